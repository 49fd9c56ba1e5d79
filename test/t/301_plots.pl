# Pictures of trainings and evaluations: one line a model, a point an epoch,
# one self-contained XML document that psql writes to a file as it is, and that
# draws something, in light and in dark.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

$node->safe_psql('postgres', q{
CREATE SCHEMA "Ext";
CREATE EXTENSION xmhash SCHEMA "Ext";
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT cos(id * n) FROM generate_series(1, 8) AS n)::real[] AS image_features,
         ARRAY(SELECT sin(id * n + 1) FROM generate_series(1, 6) AS n)::real[] AS text_features, (id % 3)::text AS label
  FROM generate_series(1, 200) AS id;
CALL "Ext".xmhash_train('plain', 'pair', 'image_features', 'text_features', 16, options => '{"epochs": 7}');
CALL "Ext".xmhash_train('"validated <&>"', 'pair', 'image_features', 'text_features', 16, label_column => 'label',
                        options => '{"epochs": 4, "validation_fraction": 0.2}');
CREATE TABLE coded AS SELECT label, "Ext".xmhash_encode_image('plain', image_features) AS image_code,
                             "Ext".xmhash_encode_text('plain', text_features) AS text_code FROM pair;
CREATE ROLE stranger;
});

sub query { return $node->safe_psql('postgres', shift); }

# The picture of a query, written as sql/README.md says.
my $pictures = 0;

sub picture
{
	my $query = shift;
	my $file = $node->basedir . '/plot' . $pictures++ . '.svg';
	$node->safe_psql('postgres', "$query \\g (format=unaligned tuples_only=on) $file");
	return ($file, slurp_file($file));
}

sub paths { return grep { !/h24/ } shift =~ /<path class="xmhash-line[^>]* d="([^"]+)"/g; }
sub points { return scalar(() = shift =~ /[ML]/g); }
sub texts { return grep { !/^[-0-9.]+$/ } shift =~ /<text [^>]*>([^<]*)</g; }

sub check_document
{
	my ($name, $svg) = @_;

	like($svg, qr/^<svg [^>]*viewBox="0 0 \d+ \d+">\n.*<\/svg>\n*$/s, "$name: an SVG element and nothing else");
	unlike($svg, qr/href|url\(|\@import|<script|<image|\bnan\b|\binf\b/, "$name: nothing from outside, no broken number");
	like($svg, qr/<title>[^<]+<\/title>\n<desc>[^<]+</, "$name: title and description");
	like($svg, qr/prefers-color-scheme:dark/, "$name: colours for dark");
	my @loose = grep { $_ !~ /^&(amp|lt|gt|quot);/ } $svg =~ /(&.{0,5})/g;
	is("@loose", '', "$name: markup is escaped");
}

# How many colours a picture has when drawn; nothing when there is no drawer.
sub colours
{
	my $file = shift;
	my $pixels;

	return if system("command -v rsvg-convert >/dev/null && /usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0;
	system('rsvg-convert', '-o', "$file.png", $file) == 0 or die 'rsvg-convert failed';
	$pixels = `/usr/bin/python3 - '$file.png' <<'END'
import struct, sys, zlib
import numpy
data, at, body = open(sys.argv[1], 'rb').read(), 8, b''
while at < len(data):
    size, kind = struct.unpack('>I4s', data[at:at + 8])
    if kind == b'IHDR':
        width, height = struct.unpack('>II', data[at + 8:at + 16])
    if kind == b'IDAT':
        body += data[at + 8:at + 8 + size]
    at += size + 12
rows = numpy.frombuffer(zlib.decompress(body), numpy.uint8)
print(width, height, len(numpy.unique(rows)))
END`;
	return $pixels;
}

my ($file, $svg) = picture(q{SELECT "Ext".xmhash_plot_training('plain')});
check_document('one model', $svg);
is_deeply([ texts($svg) ], [ 'Training of plain', 'loss (mean of an epoch)', 'epoch', 'loss',
	split(/\n/, query(q{SELECT term FROM "Ext".xmhash_training, jsonb_object_keys(loss_terms) AS term WHERE model = 'plain'::regclass AND epoch = 1 ORDER BY term COLLATE "C"})) ],
	'one model: title, axes, the loss and its terms');
is_deeply([ map { points($_) } paths($svg) ], [ (7) x (paths($svg)) ], 'one model: a point an epoch');
# The loss is the line drawn last; its ends lie as the figures do.
my ($first_y, $last_y) = (paths($svg))[-1] =~ /^M[\d.]+ ([\d.]+).* ([\d.]+)$/;
my ($first, $last) = split /\|/, query(q{SELECT min(loss) FILTER (WHERE epoch = 1), min(loss) FILTER (WHERE epoch = 7) FROM "Ext".xmhash_training WHERE model = 'plain'::regclass});
ok(($first > $last) == ($first_y < $last_y), 'one model: a falling loss falls');
if (defined(my $drawn = colours($file)))
{
	my ($width, $height, $values) = split / /, $drawn;
	ok($width >= 700 && $height >= 390 && $values > 50, 'one model: drawn by librsvg');
}

($file, $svg) = picture(q{SELECT "Ext".xmhash_plot_training('"validated <&>"')});
check_document('a validated model', $svg);
is((grep { $_ eq 'validation mAP' } texts($svg)), 1, 'a validated model: a panel for its mAP');
($file, $svg) = picture(q{SELECT "Ext".xmhash_plot_training('plain', '"validated <&>"')});
check_document('two models', $svg);
is_deeply([ (texts($svg))[ -2, -1 ] ], [ 'plain', 'validated &lt;&amp;&gt;' ], 'two models: a legend');
is_deeply([ sort map { points($_) } paths($svg) ], [ 4, 4, 7 ], 'two models: two losses and one mAP');
is(query(q{SET search_path = ''; SELECT md5("Ext".xmhash_plot_training(VARIADIC ARRAY['public.plain', 'public."validated <&>"']::regclass[]))}),
	query(q{SELECT md5("Ext".xmhash_plot_training('plain', '"validated <&>"'))}), 'the same with an empty search path');

($file, $svg) = picture(q{SELECT "Ext".xmhash_plot_precision_recall('coded', ARRAY['image_code', 'text_code'], 'coded', ARRAY['text_code', 'image_code'], 'label', ARRAY['image to text', 'text to image'])});
check_document('precision and recall', $svg);
my $map = query(q{SELECT round(map::numeric, 3) FROM "Ext".xmhash_evaluate('coded', 'image_code', 'coded', 'text_code', 'label')});
is((texts($svg))[-2], "image to text (mAP $map)", 'precision and recall: the legend tells the mAP');
is(scalar(paths($svg)), 2, 'precision and recall: two lines');

my ($status, $stdout, $stderr) = $node->psql('postgres', q{GRANT USAGE ON SCHEMA "Ext" TO stranger; SET ROLE stranger; SELECT "Ext".xmhash_plot_training('plain')});
like($stderr, qr/permission denied for table plain/, "another owner's model is not drawn");

$node->stop;
done_testing();

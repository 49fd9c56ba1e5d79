# Perceptual hashes of drawings, in three sizes each: whatever form they come in is one
# code, a radius search finds the other sizes, and the groups of duplicates in SQL are
# those that a union of near pairs gives outside.  The drawings are Debian's
# openclipart-svg where it is installed, else made up.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clients = dirname($FindBin::RealBin) . '/clients';
plan skip_all => 'rsvg-convert, or Python with numpy, is not installed'
	if system("rsvg-convert --version >/dev/null 2>&1 && /usr/bin/env python3 -c 'import numpy' 2>/dev/null");

my $radius = 6;
my ($csv, $stderr) = run_command([ '/usr/bin/env', 'python3', "$clients/dhash.py", 50, (grep { -d } '/usr/share/openclipart/svg') ]);
note $stderr;
my @rows = map { [ split /,/ ] } split /\n/, $csv;
is(scalar(@rows), 150, 'fifty drawings, three sizes each') or diag $stderr;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $psql = sub { return $node->safe_psql('postgres', shift); };
$psql->('CREATE EXTENSION xmhash;
	CREATE TABLE photo (id serial PRIMARY KEY, drawing int, width int, hash text, signed bigint, unsigned numeric(20), base64 text, bits bit(64))');
$node->safe_psql('postgres', "COPY photo (drawing, width, hash, signed, unsigned, base64, bits) FROM STDIN (FORMAT csv);\n$csv\n\\.\n");
$psql->(q[ALTER TABLE photo ADD code bitcode(64) GENERATED ALWAYS AS (('x' || hash)::bitcode) STORED;
	CREATE INDEX photo_code ON photo USING xmhash (code)]);
is($psql->(q[SELECT count(*) FROM photo WHERE code = signed::bitcode AND code = unsigned::bitcode AND code = bits
	AND code = decode(base64, 'base64')::bitcode AND code = decode(hash, 'hex')::bitcode AND code = bits::text::bitcode]),
	150, 'each form is the same code');

# Outside: the distance of two hashes, and the smallest row of each group.
sub distance { my ($a, $b) = @_; return ($a->[6] ^ $b->[6]) =~ tr/\x01//; }
my @kept = 0 .. $#rows;
sub root { my $i = shift; $i = $kept[$i] while $kept[$i] != $i; return $i; }
my (@pairs, $resized);
for my $i (0 .. $#rows)
{
	for my $j ($i + 1 .. $#rows)
	{
		next if distance($rows[$i], $rows[$j]) > $radius;
		push @pairs, ($i + 1) . '-' . ($j + 1);
		$resized++ if $rows[$i][0] == $rows[$j][0];
		my ($a, $b) = sort { $a <=> $b } root($i), root($j);
		$kept[$b] = $a;
	}
}
my %groups;
push @{ $groups{ root($_) + 1 } }, $_ + 1 for 0 .. $#rows;
my $expected = join("\n", map { "$_|{" . join(',', @{ $groups{$_} }) . '}' } sort { $a <=> $b } grep { @{ $groups{$_} } > 1 } keys %groups);

cmp_ok($resized, '>=', 120, 'of 150 pairs of sizes of one drawing most are near');
is($psql->("SELECT min(id), array_agg(id ORDER BY id) FROM xmhash_duplicate_groups('photo', 'id', 'code', $radius, NULL::int) GROUP BY group_id ORDER BY 1"),
	$expected, 'the groups');
for my $scan ('enable_seqscan', 'enable_indexscan')
{
	my $set = "SET $scan = off; SET enable_bitmapscan = off;";

	is($psql->("$set SELECT string_agg(a.id || '-' || b.id, ' ' ORDER BY a.id, b.id)
		FROM photo AS a JOIN photo AS b ON hamming_within(b.code, a.code, $radius) AND a.id < b.id"),
		join(' ', @pairs), "$scan = off: the near pairs");
	is($psql->("$set WITH RECURSIVE near AS MATERIALIZED (
			SELECT a.id, b.id AS other
			FROM photo AS a JOIN photo AS b ON hamming_within(b.code, a.code, $radius) AND a.id <> b.id
		), reach (id, other) AS (
			TABLE near
			UNION
			SELECT reach.id, near.other FROM reach JOIN near ON near.id = reach.other
		)
		SELECT kept, array_agg(id ORDER BY id) AS copies
		FROM (SELECT id, min(other) AS kept FROM reach GROUP BY id) AS member
		GROUP BY kept ORDER BY kept"), $expected, "$scan = off: the groups");
}

$node->stop;
done_testing();

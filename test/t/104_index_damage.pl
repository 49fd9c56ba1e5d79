# Damage is found: for each kind of page and each field, xmhash_index_check()
# names the block; a scan raises an error or, where only the content of an entry
# is changed, may not notice, but nothing crashes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(new_node create_schema);

use constant { BLOCK => 8192, OPAQUE => 24 };
my %kinds = (1 => 'meta', 2 => 'catalogue', 3 => 'pending', 4 => 'data', 5 => 'null', 6 => 'directory', 7 => 'band');

# Offsets of what is flipped; negative ones count from the page's end.
my %fields = (
	'pd_lower'      => 12,
	'pd_upper'      => 14,
	'pd_special'    => 16,
	'first content' => 24,
	'last content'  => -OPAQUE - 1,
	'owner'         => -OPAQUE,
	'nonce'         => -OPAQUE + 8,
	'number'        => -OPAQUE + 12,
	'checksum'      => -OPAQUE + 16,
	'count'         => -OPAQUE + 20,
	'kind'          => -OPAQUE + 22);

my $node = new_node('damage');
# Core's checksums would find the damage first.
$node->append_conf('postgresql.conf', "autovacuum = off\nzero_damaged_pages = off\n");
$node->start;
create_schema($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE base (id serial, code bitcode(64));
INSERT INTO base (code) SELECT CASE WHEN i % 20 = 0 THEN NULL ELSE random_code(64, 20) END FROM generate_series(1, 20000) i;
SQL

sub path_of
{
	my ($index) = @_;
	return $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$index')");
}

my @cases;
for my $kind (sort keys %kinds)
{
	for my $field (sort keys %fields)
	{
		# What lies before a page's tids, or behind its bytes, may be a hole.
		next if $field eq 'last content' && $kind !~ /[3457]/;
		next if $field eq 'first content' && $kind == 5;
		push @cases, { table => 'd' . @cases, kind => $kind, field => $field };
	}
}
push @cases, { table => 'd' . @cases, kind => $_, field => 'all zero' } for sort keys %kinds;
push @cases, { table => 'd' . @cases, kind => $_, field => 'random' } for sort keys %kinds;
# A file without its last pages; one of no page at all.
push @cases, { table => 'd' . @cases, kind => $_, field => 'cut off' } for 1, 2;
# Every second index has filter columns, and its queries conditions on them.
@{ $cases[$_] }{qw(columns condition)} = $_ % 2 ? (', id, ((id % 7)::text)', "id > 0 AND (id % 7)::text <> 'none'") : ('', 'true') for 0 .. $#cases;

my $setup = '';
$setup .= <<"SQL" for @cases;
CREATE TABLE $_->{table} AS SELECT * FROM base;
CREATE INDEX $_->{table}_code ON $_->{table} USING xmhash (code$_->{columns}) WITH (bands = 2);
INSERT INTO $_->{table} SELECT * FROM base LIMIT 300;
SQL
$node->safe_psql('postgres', $setup);
$_->{path} = path_of("$_->{table}_code") for @cases;
$node->stop;

# Find a block of the kind, the last one: segments fill the file from its start.
for my $case (@cases)
{
	open(my $file, '+<:raw', $case->{path}) or die "$case->{path}: $!";
	my $blocks = (-s $file) / BLOCK;
	my $page;
	for my $block (reverse 0 .. $blocks - 1)
	{
		seek($file, $block * BLOCK, 0);
		read($file, $page, BLOCK) == BLOCK or die 'short read';
		next if unpack('C', substr($page, BLOCK - OPAQUE + 22, 1)) != $case->{kind};
		$case->{block} = $block;
		last;
	}
	die "no $kinds{$case->{kind}} page" if !defined $case->{block};
	my $offset = $fields{ $case->{field} };
	if ($case->{field} eq 'all zero') { $page = "\0" x BLOCK }
	elsif ($case->{field} eq 'random') { substr($page, $_, 1) = chr(int(rand(256))) for 24 .. BLOCK - 1 }
	else
	{
		$offset += BLOCK if $offset < 0;
		substr($page, $offset, 1) = chr(ord(substr($page, $offset, 1)) ^ 0x11);
	}
	if ($case->{field} eq 'cut off') { truncate($file, $case->{block} * BLOCK) or die "$case->{path}: $!" }
	else
	{
		seek($file, $case->{block} * BLOCK, 0);
		print $file $page;
	}
	close($file);
}
$node->start;

for my $case (@cases)
{
	my $name = "$kinds{$case->{kind}} page, $case->{field}";
	my ($status, $out, $err) = $node->psql('postgres', <<"SQL");
\\set VERBOSITY verbose
SELECT xmhash_index_check('$case->{table}_code');
SQL
	# From 17 on core says of a file that is cut off: blocks 7..7.
	like($err, qr{ERROR:  XX00[12]: .*(block $case->{block}|blocks $case->{block}\.\.$case->{block})\b}, "$name: the check names the block");
	($status, $out, $err) = $node->psql('postgres', <<"SQL");
\\set VERBOSITY verbose
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM $case->{table} WHERE $case->{condition} ORDER BY code <~> (SELECT code FROM base WHERE code IS NOT NULL LIMIT 1)) x;
SELECT count(*) FROM $case->{table}, (SELECT code FROM base WHERE code IS NOT NULL LIMIT 100) q WHERE hamming_within($case->{table}.code, q.code, 1) AND $case->{condition};
SQL
	# What scans do not compute is the checksum of the content.
	my $unnoticed = $case->{field} =~ /content|checksum/ && $case->{kind} =~ /[345]/;
	# Nor do they read every band page, or one at all where data pages are fewer.
	$unnoticed ||= $case->{kind} == 7;
	like($err, $unnoticed ? qr/^$|XX00[12]/ : qr/ERROR:  XX00[12]/, "$name: a scan");
	# A query that could use the index, but does not, asks what that would cost.
	($status, $out, $err) = $node->psql('postgres', <<"SQL");
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM (SELECT id FROM $case->{table} WHERE id > 10 ORDER BY code <~> (SELECT code FROM base WHERE code IS NOT NULL LIMIT 1) LIMIT 5) x;
SQL
	is($out . $err, '5', "$name: a query that does not use the index");
	($status, $out, $err) = $node->psql('postgres', "DELETE FROM $case->{table} WHERE id % 3 = 0; VACUUM $case->{table}");
	unlike($err, qr/server closed|terminat/, "$name: VACUUM does not crash");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();

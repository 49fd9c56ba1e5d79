# Damage is found: for each kind of page and each field, xmhash_index_check()
# names the block; a scan raises an error or, where only the content of an entry
# is changed, may not notice, but nothing crashes.  Sound pages of another index's
# columns, or with a key that its column can't have, are found too.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Copy qw(copy);
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(new_node without_checksums create_schema);

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

my $node = new_node('damage', without_checksums());
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

sub crc32c
{
	my ($sum, $bytes) = @_;
	for my $byte (unpack('C*', $bytes))
	{
		$sum ^= $byte;
		$sum = $sum & 1 ? $sum >> 1 ^ 0x82F63B78 : $sum >> 1 for 1 .. 8;
	}
	return $sum;
}

# Give the last row of the last pending page, of codes of 64 bits and one filter column, another
# key, and the page the checksum that it then should have.  Returns block and row.
sub forge_key
{
	my ($path, $key) = @_;
	my $page;
	open(my $file, '+<:raw', $path) or die "$path: $!";
	my $block = (-s $file) / BLOCK;
	do
	{
		seek($file, --$block * BLOCK, 0);
		read($file, $page, BLOCK) == BLOCK or die 'short read';
	} while (unpack('C', substr($page, BLOCK - OPAQUE + 22, 1)) != 3 && $block > 0);
	my $rows = unpack('S<', substr($page, BLOCK - OPAQUE + 20, 2));
	die 'no pending rows' if $block == 0 || $rows == 0;
	substr($page, BLOCK - OPAQUE - 16 * $rows + 8, 8) = pack('q<', $key);
	my $sum = crc32c(0xFFFFFFFF, substr($page, BLOCK - OPAQUE, 16) . substr($page, BLOCK - OPAQUE + 22, 1));
	$sum = crc32c($sum, substr($page, 24 + 8 * $_, 8) . substr($page, BLOCK - OPAQUE - 16 * ($_ + 1), 16)) for 0 .. $rows - 1;
	substr($page, BLOCK - OPAQUE + 16, 4) = pack('L<', $sum);
	seek($file, $block * BLOCK, 0);
	print $file $page;
	close($file);
	return ($block, $rows - 1);
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

# An index whose file is that of one with other columns: by what its own has, and the other's.
my @swaps = (
	[ 'code', 'code, n', 'has 1 filter columns, of 8 bytes by mask 0; the index has 0, by mask 0' ],
	[ 'code, n', 'code', 'has 0 filter columns, of 8 bytes by mask 0; the index has 1, by mask 0' ],
	[ 'code, n', 'code, id', 'has 1 filter columns, of 8 bytes by mask 1; the index has 1, by mask 0' ],
	[ 'code, id, n', 'code, n, id', 'has 2 filter columns, of 8 bytes by mask 2; the index has 2, by mask 1' ]);
# Keys that do not fit, and the largest and least that do.
my @keys = map { { key => $_, fits => $_ >= -2**31 && $_ < 2**31 } } (2**31, -2**31 - 1, 2**40, 2**31 - 1, -2**31);
$setup = '';
for my $i (0 .. $#swaps)
{
	$setup .= "CREATE TABLE s${i}_$_ (code bitcode(64), id bigint, n integer); INSERT INTO s${i}_$_ SELECT random_code(64, i), i, i FROM generate_series(1, 1000) i;"
	  . "CREATE INDEX s${i}_${_}_code ON s${i}_$_ USING xmhash ($swaps[$i][$_]);"
	  for 0, 1;
}
for my $i (0 .. $#keys)
{
	$setup .= "CREATE TABLE k$i (code bitcode(64), n integer); CREATE INDEX k${i}_code ON k$i USING xmhash (code, n);"
	  . "INSERT INTO k$i SELECT random_code(64, i), i FROM generate_series(1, 5) i;";
}
$node->safe_psql('postgres', $setup);
my @swapped = map { [ path_of("s${_}_1_code"), path_of("s${_}_0_code") ] } 0 .. $#swaps;
$keys[$_]{path} = path_of("k${_}_code") for 0 .. $#keys;
$node->stop;
copy($_->[0], $_->[1]) or die "$_->[1]: $!" for @swapped;
@{$_}{qw(block row)} = forge_key($_->{path}, $_->{key}) for @keys;

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

for my $i (0 .. $#swaps)
{
	my @statements = (
		"SELECT xmhash_index_check('s${i}_0_code')",
		"SET enable_seqscan = off; SELECT id FROM s${i}_0 ORDER BY code <~> (SELECT random_code(64, 1)) LIMIT 1",
		"INSERT INTO s${i}_0 VALUES (random_code(64, 1), 1, 1)",
		"VACUUM (INDEX_CLEANUP on) s${i}_0");
	for my $statement (@statements)
	{
		my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement;\n");
		like($err, qr/ERROR:  XX002: .*block 0.*\n.*\Q$swaps[$i][2]\E/, "($swaps[$i][0]) with the file of ($swaps[$i][1]): $statement");
	}
}
for my $i (0 .. $#keys)
{
	my ($key, $block, $row) = @{ $keys[$i] }{qw(key block row)};
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT xmhash_index_check('k${i}_code');\n");
	my $expected = $keys[$i]{fits} ? qr/^$/ :
	  qr/ERROR:  XX002: .*block $block\b.*\n.*Entry $row of the pending page has key $key in filter column 1, whose keys have 4 bytes/;
	like($err, $expected, "a pending row with key $key in a column of 4 bytes");
	($status, $out, $err) = $node->psql('postgres', <<"SQL");
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM k$i WHERE n > -10 AND hamming_within(code, (SELECT random_code(64, 1)), 64);
VACUUM k$i;
SELECT count(*) FROM (SELECT n FROM k$i WHERE n > -10 ORDER BY code <~> (SELECT random_code(64, 1))) x;
SQL
	is($err, '', "a pending row with key $key: searches and VACUUM go on");
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal/, 'nothing crashed');
$node->stop;
done_testing();

# Groups of near-duplicates: those of connected components, whatever the table, its
# identifiers and its codes are; in the memory that they may have; and when they are
# cut off, nothing is left of them.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node);

my $rounds = $ENV{ROUNDS} // 60;
seeded();

my $node = new_node('groups');
$node->append_conf('postgresql.conf', "xmhash.progress = off\njit = off\nmax_parallel_workers_per_gather = 0\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;
CREATE TYPE part AS (shelf integer, name text);
SQL

# ---- Any table against components in Perl ----

# How a number becomes an identifier of each type.
my %identifier = (
	integer => '%d', bigint => '%d', numeric => '%d.50', date => "date '2026-01-01' + %d", text => "'row %d'",
	uuid => "md5('%d')::uuid", part => "ROW(%d, 'n')::part", bytea => "decode(md5('%d'), 'hex')", 'integer[]' => 'ARRAY[%d, 0]');

sub pick { return $_[ rand @_ ] }

sub flipped
{
	my ($code, $times) = @_;
	substr($code, $_, 1) =~ tr/01/10/ for map { int rand length $code } 1 .. $times;
	return $code;
}

# Codes near one of few centers, some far from all; some equal, some NULL.
sub codes
{
	my ($count, $bits) = @_;
	my @centers = map { join '', map { int rand 2 } 1 .. $bits } 0 .. rand 12;
	my @codes;
	for (1 .. $count)
	{
		my $chance = rand;
		push @codes, $chance < .08 ? undef
			: $chance < .3 && @codes ? pick(@codes)
			: $chance < .5 ? join('', map { int rand 2 } 1 .. $bits)
			: flipped(pick(@centers), rand 4);
	}
	return @codes;
}

sub values_of
{
	my ($type, $first, @codes) = @_;
	return join ', ', map {
		my $id = rand() < .05 ? 'NULL' : sprintf $identifier{$type}, $first + (rand() < .1 ? 0 : $_);
		"($id, " . (defined $codes[$_] ? "'$codes[$_]'" : 'NULL') . ", $_)" } 0 .. $#codes;
}

# "group|id", a line a member, for rows (id, code) in the order of reading.
sub components
{
	my ($radius, @rows) = @_;
	my @kept = 0 .. $#rows;
	my $root = sub { my $i = shift; $i = $kept[$i] while $kept[$i] != $i; return $i; };
	for my $i (0 .. $#rows)
	{
		for my $j (0 .. $i - 1)
		{
			next if (($rows[$i][1] ^ $rows[$j][1]) =~ tr/\x01//) > $radius;
			my ($a, $b) = sort { $a <=> $b } $root->($i), $root->($j);
			$kept[$b] = $a;
		}
	}
	my %members;
	push @{ $members{ $root->($_) } }, $rows[$_][0] for 0 .. $#rows;
	my $group = 0;
	my @lines;
	for my $first (sort { $a <=> $b } grep { @{ $members{$_} } > 1 } keys %members)
	{
		$group++;
		push @lines, map { "$group|$_" } @{ $members{$first} };
	}
	return join "\n", @lines;
}

my ($wrong, $grouped) = (0, 0);
for my $round (1 .. $rounds)
{
	my $type = pick(sort keys %identifier);
	my $bits = pick(1, 2, 7, 8, 24, 64, 64, 64, 65, 128, 200);
	my $radius = pick(0, 1, 2, 3, 5, int($bits / 3), $bits, $bits + 3, 2147483647);
	my $kind = pick('plain', 'plain', 'partitioned', 'view', 'materialized');
	my $index = pick('', '', 'CREATE INDEX ON t USING xmhash (code)',
		'CREATE INDEX ON t USING xmhash (code) WITH (bands = 2, pending_list_limit = 8)');
	my @first = codes(int(rand 130), $bits);
	my @then = codes(int(rand 60), $bits);
	my $sql = "SET client_min_messages = error; DROP TABLE IF EXISTS t CASCADE;\n";

	$index =~ s/bands = 2, // if $bits < 2;
	$sql .= "CREATE TABLE t (id $type, code " . pick('bitcode', "bitcode($bits)", "bit($bits)") . ', n integer)'
		. ($kind eq 'partitioned' ? ' PARTITION BY LIST (n);' . join('', map { "CREATE TABLE t$_ PARTITION OF t " . ($_ ? "FOR VALUES IN (" . join(',', map { 3 * $_ } 0 .. 50) . ')' : 'DEFAULT') . ';' } 0, 1) : ';') . "\n";
	$sql .= "$index;\n" if $index && $sql !~ /code bit\(/;
	$sql .= 'INSERT INTO t VALUES ' . values_of($type, 0, @first) . ";\n" if @first;
	# Rows that are dead or never were; what comes later is in the pending list.
	$sql .= pick('', 'DELETE FROM t WHERE n % 4 = 1;', 'UPDATE t SET id = NULL WHERE n % 5 = 2;', 'DELETE FROM t WHERE n % 2 = 0; VACUUM t;') . "\n";
	$sql .= 'BEGIN; INSERT INTO t VALUES ' . values_of($type, 500, @then) . '; ' . pick('COMMIT', 'ROLLBACK') . ";\n" if @then;
	my $relation = 't';
	if ($kind eq 'view' || $kind eq 'materialized')
	{
		$relation = 'v';
		$sql .= 'CREATE ' . ($kind eq 'view' ? '' : 'MATERIALIZED ') . "VIEW v AS SELECT code, id FROM t WHERE n % 7 > 0;\n";
	}
	$node->safe_psql('postgres', $sql);
	my @rows = map { [ split /\|/, $_, 2 ] } split /\n/,
		$node->safe_psql('postgres', "SELECT coalesce(id::text, '-') || '|' || code::text FROM $relation WHERE code IS NOT NULL");
	my $call = "xmhash_duplicate_groups('$relation', 'id', 'code', $radius" . (rand() < .5 ? ')' : ", NULL::$type)");
	my $expected = components($radius, @rows);
	my $found = $node->safe_psql('postgres', 'SET work_mem = ' . pick("'64kB'", "'4MB'") . "; SELECT group_id, coalesce(id::text, '-') FROM $call");

	$grouped += () = $expected =~ /\n/g;
	next if $found eq $expected;
	$wrong++;
	diag "round $round: $call of $kind, $bits bits\n$sql", "expected:\n$expected\nfound:\n$found";
	last;
}
is($wrong, 0, "$rounds tables: the groups are the connected components");
cmp_ok($grouped, '>', $rounds, "of $grouped members");

# ---- Memory ----

# 400,000 different codes without clusters: by four, three of which are copies with a bit changed.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE many AS
  SELECT n AS id, (('x' || left(md5((n / 4)::text), 16))::bit(64) # CASE n % 4 WHEN 0 THEN 0 ELSE 1::bigint << (n % 4 * 7) END::bit(64))::bitcode(64) AS code
  FROM generate_series(0, 399999) AS n;
CREATE VIEW few AS SELECT * FROM many WHERE id < 3000;
CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS $$
  SELECT substring(status FROM 'VmHWM:\s+(\d+)')::bigint - substring(status FROM 'RssShmem:\s+(\d+)')::bigint
  FROM pg_read_file('/proc/' || pg_backend_pid() || '/status') AS status
$$;
SQL
my $many = q{xmhash_duplicate_groups('many', 'id', 'code', 2, NULL::integer)};
my $answer = qq{SELECT count(*), max(group_id), sum(hashint8(group_id * 1000003 + id)::bigint) FROM $many};
my $whole = $node->safe_psql('postgres', "SET work_mem = '64MB'; $answer");
like($whole, qr/^400000\|100000\|/, 'in memory: rows by four');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT code) FROM many'), 400000, 'all codes are different');
is($node->safe_psql('postgres', "SET work_mem = '64kB'; SET hash_mem_multiplier = 8; $answer"), $whole, 'with memory for some of what is looked up anywhere: the same');
my $peak = -r '/proc/self/status' ? 'SELECT peak()' : 'SELECT 0';
my ($before, $found, $after) = split /\n/, $node->safe_psql('postgres', <<"SQL");
SET work_mem = '64kB'; SET hash_mem_multiplier = 1;
SELECT WHERE 0 = (SELECT count(*) FROM many) + (SELECT count(*) FROM xmhash_duplicate_groups('few', 'id', 'code', 2));
$peak;
$answer;
$peak;
SQL
is($found, $whole, 'in little memory: the same');
note $after - $before, ' kB';
# The parents of so many codes alone would take 1,600 kB.
cmp_ok($after - $before, '<', 1000, 'within some hundred kilobytes');

# ---- Cut off ----

sub no_files { return is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_ls_tmpdir()'), 0, shift); }

my ($status, $out, $err) = $node->psql('postgres', "SET work_mem = '64kB'; SET temp_file_limit = '10MB'; SELECT count(*) FROM $many", extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  53400: temporary file size exceeds "?temp_file_limit"? \(10240kB\)/, 'temporary files count against temp_file_limit');
no_files('and are gone after the error');

# Codes without clusters and a radius that neither centers nor bands are any help with: minutes of work.
my $stdout = '';
my $stderr = '';
my $timer = IPC::Run::timer($PostgreSQL::Test::Utils::timeout_default);
my $session = IPC::Run::start([ 'psql', '-X', '-A', '-t', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', "SET application_name = 'grouping'", '-c', 'SET xmhash.progress = on',
	'-c', "SET work_mem = '64kB'", '-c', q{SELECT count(*) FROM xmhash_duplicate_groups('many', 'id', 'code', 13)} ], '<', \undef, '>', \$stdout, '2>', \$stderr, $timer);
ok(pump_until($session, $timer, \$stderr, qr/INFO:.* of 400000 different codes compared/), 'it tells how far it is');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM pg_ls_tmpdir()'), '>', 2, 'with temporary files');
is($node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'grouping'}), 't', 'is asked to end');
$session->finish;
like($stderr, qr/ERROR:  57014: canceling statement due to user request/, 'ends');
no_files('and leaves no file');

$node->stop;
done_testing();

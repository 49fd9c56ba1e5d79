# Randomised comparison with the sequential scan: lengths, distributions, sizes
# and NULLs, mixed with everything that changes a table or an index; after each
# step the index is checked in full.  FUZZ_SECONDS bounds it, SEED repeats it.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use XmhashIndex qw(seeded new_node create_schema);

my $seconds = $ENV{FUZZ_SECONDS} // 20;
my $seed = seeded();

my $node = new_node('fuzz');
$node->append_conf('postgresql.conf', <<'CONF');
xmhash.pending_list_limit = 8
max_prepared_transactions = 2
min_parallel_index_scan_size = 0
min_parallel_table_scan_size = 0
CONF
$node->start;
create_schema($node);

sub one_of { return $_[ rand @_ ] }

# A statement that changes the table or its index.
sub step
{
	my ($bits, $clusters, $nulls) = @_;
	my $code = "CASE WHEN random() < $nulls THEN NULL ELSE random_code($bits, $clusters) END";
	my $most = $bits > 1000 ? 100 : 1500;
	my $n = int(rand($most)) + 1;
	my $k = int(rand(7)) + 2;
	my $insert = "INSERT INTO t (code) SELECT $code FROM generate_series(1, $n)";
	return one_of(
		$insert, $insert, $insert,
		"INSERT INTO t (code) SELECT code FROM t LIMIT $n",
		"BEGIN; $insert; ROLLBACK",
		"BEGIN; SAVEPOINT s; $insert; ROLLBACK TO s; $insert; COMMIT",
		"BEGIN; $insert; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'",
		"UPDATE t SET code = $code WHERE id % $k = 0",
		"UPDATE t SET id = id WHERE id % $k = 0",
		"DELETE FROM t WHERE id % $k = 0",
		"DELETE FROM t WHERE random() < .9",
		'VACUUM t', 'VACUUM t', 'VACUUM FULL t',
		"VACUUM (ANALYZE, PARALLEL 2) t",
		"SELECT xmhash_index_merge('t_code')", "SELECT xmhash_index_merge('t_code')",
		"REINDEX INDEX t_code",
		"REINDEX INDEX CONCURRENTLY t_code",
		"DROP INDEX t_code; CREATE INDEX CONCURRENTLY t_code ON t USING xmhash (code) WITH (bands = " . int(rand(6)) . ")",
		"TRUNCATE t; $insert",
		"BEGIN; TRUNCATE t; $insert; TRUNCATE t; $insert; COMMIT",
		"ALTER TABLE t SET UNLOGGED", "ALTER TABLE t SET LOGGED",
		"CLUSTER t USING t_id",
		"ALTER INDEX t_code SET (pending_list_limit = " . one_of(8, 16, 64, 512) . ")",
		"CHECKPOINT");
}

my ($cases, $steps) = (0, 0);
my $end = time() + $seconds;
my $failure = '';
CASE: while (time() < $end)
{
	my $bits = one_of(1, 2, 7, 8, 31, 63, 64, 64, 64, 65, 100, 128, 192, 256, 512, 1000, 4096, 16384);
	my $clusters = one_of(0, 1, 5, 50);
	my $nulls = one_of(0, 0, .1, 1);
	my $bands = one_of(0, 0, 1, 2, 3, 4, 8);
	my $type = one_of("bitcode($bits)", 'bitcode');
	my $rows = one_of(0, 1, 10, 300, 3000, 8000);
	$rows = 300 if $bits > 1000 && $rows > 300;
	my @history = (
		"DROP TABLE IF EXISTS t",
		"CREATE TABLE t (id serial, code $type); CREATE INDEX t_id ON t (id)",
		"SELECT setseed(" . rand() . ")",
		"INSERT INTO t (code) SELECT CASE WHEN random() < $nulls THEN NULL ELSE random_code($bits, $clusters) END FROM generate_series(1, $rows)",
		"CREATE INDEX t_code ON t USING xmhash (code) WITH (bands = $bands)");
	$node->safe_psql('postgres', join(";\n", @history));
	$cases++;
	for (1 .. 8)
	{
		last CASE if time() >= $end;
		my $step = step($bits, $clusters, $nulls);
		push @history, $step;
		my $script = join("\n", map { "$_;" } split(/; /, $step));
		my ($status, $out, $err) = $node->psql('postgres',
			"SET client_min_messages = warning;\nSELECT setseed(" . rand() . ");\n$script\n"
			  . "SELECT xmhash_index_check('t_code', true);\nSELECT compare('t', 3, $bits, $clusters);",
			on_error_stop => 1);
		$steps++;
		next if $status == 0 && $err eq '';
		$failure = "$err\n" . join(";\n", @history);
		last CASE;
	}
}
is($failure, '', "SEED=$seed: the index and the sequential scan agree");
ok($steps > 0, "$cases tables, $steps steps");
$node->stop;
done_testing();

# A statement may end in an error at any moment: cancelled, out of time, out of
# temporary space.  Insertions, flushes, merges, VACUUM, builds and scans that
# were cut off leave an index that is sound and complete, locks and memory given
# back, and the backend fit to go on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node);

my $rounds = $ENV{ROUNDS} // 2;
my $seed = seeded();

my $node = new_node('cancel');
$node->append_conf('postgresql.conf', "xmhash.pending_list_limit = 16\nlog_min_error_statement = panic\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql"));
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id bigserial, n integer, code bitcode(64));
CREATE INDEX xm_t ON t USING xmhash (code) WITH (bands = 2);
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 60000) AS i;
CREATE TABLE t_long (id bigserial, n integer, code bitcode(16384));
CREATE INDEX xm_long ON t_long USING xmhash (code) WITH (pending_list_limit = 64);
INSERT INTO t_long (n, code) SELECT i, oracle.bits(16384) FROM generate_series(1, 300) AS i;
CREATE TABLE draws AS SELECT i, oracle.draw('clustered', 64) AS code FROM generate_series(1, 20000) AS i;
VACUUM;
SQL

# Each with the most milliseconds it might take.
my @statements = (
	[ 40, 'INSERT INTO t (n, code) SELECT i, code FROM draws WHERE i % 10 = 3' ],
	[ 60, 'INSERT INTO t_long (n, code) SELECT n, ~ code FROM t_long LIMIT 200' ],
	[ 80, "SELECT xmhash_index_merge('xm_t')" ],
	[ 40, "SELECT xmhash_index_merge('xm_long')" ],
	[ 120, 'VACUUM t' ],
	[ 60, 'VACUUM t_long' ],
	[ 150, 'REINDEX INDEX xm_t' ],
	[ 250, 'REINDEX INDEX CONCURRENTLY xm_t' ],
	[ 60, "SELECT xmhash_index_check('xm_t', true)" ],
	[ 100, "SELECT count(*) FROM (SELECT id FROM t ORDER BY code <~> oracle.centre(64, 3)::bitcode) AS x" ],
	[ 100, 'SELECT count(*) FROM draws AS d JOIN t ON hamming_within(t.code, d.code, 5) WHERE d.i < 400' ],
	[ 40, 'DELETE FROM t WHERE random() < .05' ],
	[ 40, 'DELETE FROM t_long WHERE random() < .2' ]);

for my $round (1 .. $rounds)
{
	# In one session, so that what a cut-off statement leaves in memory meets
	# the next one.
	my $script = "SET client_min_messages = error;\nSET enable_seqscan = off;\nSET maintenance_work_mem = '1MB';\nSET work_mem = '64kB';\n";
	for (1 .. 120)
	{
		my ($most, $sql) = @{ $statements[ rand @statements ] };
		my $ms = 1 + int(rand() * rand() * $most);
		$script .= rand() < .15 ? "SET temp_file_limit = '@{[ 64 * int rand 12 ]}kB';\n" : "SET temp_file_limit = -1;\n";
		if (rand() < .3 && $sql !~ /VACUUM|CONCURRENTLY/)
		{
			# Cut off in a savepoint, the transaction goes on.  The time limit
			# ends with the savepoint, at the latest when it cuts off the
			# first ROLLBACK: then the second one has all the time.
			$script .= "BEGIN;\nSAVEPOINT s;\nSET LOCAL statement_timeout = $ms;\n$sql;\nROLLBACK TO s;\nROLLBACK TO s;\n"
			  . "INSERT INTO t (n, code) SELECT i, code FROM draws LIMIT 50;\nCOMMIT;\n";
		}
		else
		{
			# The limit holds for lifting it, too.
			$script .= "SET statement_timeout = $ms;\n$sql;\n" . "RESET statement_timeout;\n" x 4;
		}
	}
	$script .= <<'SQL';
\set ON_ERROR_STOP 1
RESET statement_timeout;
SET client_min_messages = warning;
RESET temp_file_limit;
SELECT 'locks', count(*) FROM pg_locks WHERE locktype = 'page';
SELECT 'files', count(*) FROM pg_ls_tmpdir();
DROP INDEX IF EXISTS xm_t_ccnew, xm_t_ccnew1, xm_t_ccnew2, xm_t_ccnew3, xm_t_ccnew4, xm_t_ccold, xm_t_ccold1, xm_t_ccold2, xm_t_ccold3;
SELECT oracle.check_indexes('t'), oracle.check_indexes('t_long');
SELECT oracle.compare('t', 'code', 64, 8), oracle.compare('t_long', 'code', 16384, 2);
VACUUM t;
VACUUM t_long;
SELECT oracle.check_indexes('t'), oracle.check_indexes('t_long');
SELECT oracle.compare('t', 'code', 64, 4), oracle.compare('t_long', 'code', 16384, 2);
SELECT 'memory', total_bytes < 100000000 FROM (SELECT sum(total_bytes) AS total_bytes FROM pg_backend_memory_contexts WHERE name LIKE 'xmhash%') AS m;
SQL
	my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0, timeout => 300);
	my $other = join "\n", grep { !/ERROR:  (canceling statement due to statement timeout|temporary file size exceeds)/ &&
		  !/^(CONTEXT|QUERY|STATEMENT):|^(SQL statement|PL\/pgSQL function|while )/ } split /\n/, $err;
	is("$status $other", '0 ', "round $round: sound, complete and exact afterwards");
	like($out, qr/^locks\|0$/m, "round $round: no lock is left");
	like($out, qr/^files\|0$/m, "round $round: no temporary file is left");
	unlike($out, qr/^memory\|f$/m, "round $round: no memory is left");
}
my $log = slurp_file($node->logfile);
my $cancelled = () = $log =~ /canceling statement due to statement timeout/g;
my $full = () = $log =~ /temporary file size exceeds/g;
cmp_ok($cancelled, '>', 0, "$cancelled statements were cut off by time");
note "$full statements were cut off by temporary space";
unlike($log, qr/PANIC|TRAP|WARNING|terminated by signal|buffer refcount leak/, 'nothing worse was logged');

# Nothing that was cut off keeps its blocks for ever: the same work over and over
# takes no more space after a while.  How large the index is at one moment depends on
# what is being replaced, so it has some tries; blocks that are lost are lost each time.
sub size_after_work
{
	$node->safe_psql('postgres', <<"SQL") for 1 .. 4;
INSERT INTO t (n, code) SELECT -1, code FROM draws;
DELETE FROM t WHERE n = -1;
VACUUM t;
SQL
	return $node->safe_psql('postgres', "SELECT pg_relation_size('xm_t')");
}
my @sizes = (size_after_work());
do { push @sizes, size_after_work() } while ($sizes[-1] > $sizes[-2] && @sizes < 12);
cmp_ok($sizes[-1], '<=', $sizes[-2], "the index stays at a size: @sizes");
$node->stop;
done_testing();

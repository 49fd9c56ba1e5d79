# A build is helped by as many processes as the server's planner says: by the
# table's parallel_workers, the setting and the memory that each would have.
# Since PostgreSQL 17 core plans that and hands it over; before, it is asked.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(new_node);

my $node = new_node('helpers');
# Starts of background workers are logged at this level.
$node->append_conf('postgresql.conf', "log_min_messages = debug1\nmax_parallel_maintenance_workers = 4\nmax_worker_processes = 8\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;
CREATE TABLE t AS SELECT i, ('x' || md5(i::text))::bit(64)::bitcode AS code FROM generate_series(1, 20000) AS i;
SQL
my $core_plans = $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;

sub helpers_of
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	$node->safe_psql('postgres', "SET client_min_messages = debug1; SET maintenance_work_mem = '160MB'; $sql");
	my $log = substr(slurp_file($node->logfile), $from);
	my $started = () = $log =~ /starting background worker process "parallel worker for PID/g;
	my ($planned) = $log =~ /building index "t_code" on table "t" with request for (\d+) parallel worker/;
	$planned //= 0;
	is($planned, $started, 'which is what core planned') if $core_plans;
	return $started;
}

$node->safe_psql('postgres', 'ALTER TABLE t SET (parallel_workers = 2)');
is(helpers_of('CREATE INDEX t_code ON t USING xmhash (code)'), 2, 'as many helpers as the table says');
is(helpers_of('SET max_parallel_maintenance_workers = 1; REINDEX INDEX t_code'), 1, 'but no more than the setting allows');
is(helpers_of('DROP INDEX t_code; CREATE INDEX CONCURRENTLY t_code ON t USING xmhash (code)'), 2, 'a concurrent build, too');
$node->safe_psql('postgres', 'ALTER TABLE t RESET (parallel_workers)');
is(helpers_of('SET min_parallel_table_scan_size = 0; REINDEX INDEX t_code'), 4, 'as many as its size asks for');
is(helpers_of("SET min_parallel_table_scan_size = 0; SET maintenance_work_mem = '64MB'; REINDEX INDEX t_code"), 1, 'but no more than the memory is enough for');
$node->safe_psql('postgres', 'ALTER TABLE t SET (parallel_workers = 0)');
is(helpers_of('REINDEX INDEX t_code'), 0, 'none if the table says so');
is($node->safe_psql('postgres', q{SELECT xmhash_index_check('t_code', true)}), '', 'the index is sound');
$node->stop;
done_testing();

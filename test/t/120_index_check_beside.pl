# A check makes nobody wait: it ends while VACUUM, slowed down, holds the lock
# of merges for ever; and while it is held up itself, rows are inserted, the
# pending list is flushed, segments are merged and VACUUM runs through.  Nor does
# a merge or check that waits cancel an autovacuum.  Nothing here depends on time.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node create_schema verify);

seeded();
my $node = new_node('beside');
$node->append_conf('postgresql.conf', "deadlock_timeout = '10ms'\nautovacuum_naptime = '1s'\nlog_autovacuum_min_duration = 0\n");
$node->start;
create_schema($node);
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION gate(code bitcode) RETURNS bitcode LANGUAGE sql IMMUTABLE AS 'SELECT code';
CREATE TABLE t (id serial, code bitcode(1024)) WITH (autovacuum_enabled = off);
INSERT INTO t (code) SELECT random_code(1024, 30) FROM generate_series(1, 5000);
CREATE INDEX t_code ON t USING xmhash (code) WITH (pending_list_limit = 16);
CREATE INDEX t_gate ON t USING xmhash (gate(code)) WITH (pending_list_limit = 16);
SQL
sub query { return $node->safe_psql('postgres', "SET statement_timeout = '300s'; $_[0]"); }
sub background { my @commands = @_; return IPC::Run::start([ 'psql', '-X', '-At', '-d', $node->connstr('postgres'), map { ('-c', $_) } @commands ],
	'>', $node->basedir . '/out.log', '2>', $node->basedir . '/err.log'); }
my $slow = 'SET vacuum_cost_delay = 100; SET vacuum_cost_limit = 1; SET vacuum_cost_page_hit = 100';

# 1. While VACUUM holds the lock.
query('DELETE FROM t WHERE id % 3 = 0');
my $vacuum = background(split(/; /, $slow), 'VACUUM t');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'page' AND granted AND relation = 't_code'::regclass") or BAIL_OUT('VACUUM did not begin');
query("SELECT xmhash_index_check('t_code', true)");
is(query("SELECT count(*) FROM pg_locks WHERE locktype = 'page' AND granted AND relation = 't_code'::regclass"), 1, 'a check ends while VACUUM holds the lock of merges');
query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'VACUUM t'");
$vacuum->finish;

# 2. While the check is held up, in the middle of reading the table.
query("CREATE OR REPLACE FUNCTION gate(code bitcode) RETURNS bitcode LANGUAGE plpgsql AS \$\$ BEGIN IF pg_catalog.current_setting('application_name') = 'check' THEN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); END IF; RETURN code; END \$\$");
my $gatekeeper = IPC::Run::start([ 'psql', '-X', '-At', '-d', $node->connstr('postgres'), '-c', 'SELECT pg_advisory_lock(1)', '-c', 'SELECT pg_sleep(100000)' ],
	'&>', $node->basedir . '/gate.log');
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND granted");
my $check = background("SET application_name = 'check'", "SELECT xmhash_index_check('t_gate', true)");
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") or BAIL_OUT('the check did not begin');
is(query("SELECT count(*) FROM pg_locks WHERE locktype = 'page'"), 0, 'the check holds no lock of pages');
my $next = query("SELECT next FROM (SELECT segments AS next FROM xmhash_index_stats('t_gate')) x");
for (1 .. 12)
{
	query('INSERT INTO t (code) SELECT random_code(1024, 30) FROM generate_series(1, 300)');
	cmp_ok(query("SELECT pending_pages FROM xmhash_index_stats('t_gate')"), '<=', 3, "the pending list stays short ($_)");
}
cmp_ok(query("SELECT segments FROM xmhash_index_stats('t_gate')"), '>', $next, 'as it is flushed');
query("DELETE FROM t WHERE id % 5 = 0");
query("UPDATE t SET code = random_code(1024, 30) WHERE id % 7 = 0");
query("SELECT xmhash_index_merge('t_gate')");
query('VACUUM t');
query('INSERT INTO t (code) SELECT random_code(1024, 30) FROM generate_series(1, 600)');
is(query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), 1, 'all while the check is held up');
query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(100000)%'");
$gatekeeper->finish;
$check->finish;
is(slurp_file($node->basedir . '/err.log'), '', 'and finds the index sound');

# 3. An autovacuum goes on, whoever waits for it.
query("DROP INDEX t_gate; ALTER TABLE t SET (autovacuum_enabled = on, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0, "
	  . "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)");
$node->safe_psql('postgres', $_) for 'ALTER SYSTEM SET vacuum_cost_page_hit = 20', 'ALTER SYSTEM SET autovacuum = on', 'SELECT pg_reload_conf()';
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
	  . "WHERE locktype = 'page' AND granted AND backend_type = 'autovacuum worker'") or BAIL_OUT('no autovacuum');
my $merge = background("SELECT xmhash_index_merge('t_code')");
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT xmhash_index_merge%' AND wait_event = 'page'")
  or BAIL_OUT('the merge did not wait');
query("SELECT xmhash_index_check('t_code', true)");
# Many times deadlock_timeout, for those who would cancel it.
query('SELECT pg_sleep(1)');
is(query("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT xmhash_index_merge%' AND wait_event = 'page'"), 1, 'the merge waits on');
unlike(slurp_file($node->logfile), qr/canceling autovacuum task|sending cancel to blocking autovacuum/, 'and cancels no autovacuum');
query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT xmhash_index_merge%'");
eval { $merge->finish };
$node->safe_psql('postgres', $_) for 'ALTER SYSTEM SET autovacuum = off', 'SELECT pg_reload_conf()';
query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'");
verify($node, 't', 't_code', 1024, 30, 'after all that');
$node->stop;
done_testing();

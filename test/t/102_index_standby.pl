# A hot standby replays flushes, merges, VACUUM and a rebuild to the same pages
# (wal_consistency_checking compares each), answers exactly while it does, and
# where it cannot, because the primary used pages again, says so by 40001.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);
use XmhashIndex qw(seeded new_node create_schema verify pgbench_script);

my $seconds = $ENV{FUZZ_SECONDS} // 8;
seeded();

my $primary = new_node('primary', allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<'CONF');
wal_consistency_checking = 'generic'
xmhash.pending_list_limit = 16
CONF
$primary->start;
create_schema($primary);
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id serial, code bitcode(64));
CREATE INDEX t_code ON t USING xmhash (code, id, ((id % 7)::text)) WITH (bands = 2);
INSERT INTO t (code) SELECT random_code(64, 30) FROM generate_series(1, 5000);
SQL
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->append_conf('postgresql.conf', "max_standby_streaming_delay = -1\nhot_standby_feedback = off\n");
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

# No REINDEX here: an index built on the primary lacks the rows that are dead
# there, and a snapshot of the standby from before their deletion misses them.
# That is so for every access method (a btree on the same table shows it).
my $writer = pgbench_script($primary, 'writer', <<'SQL');
\set n random(1, 300)
\set k random(1, 50)
\set what random(1, 10)
INSERT INTO t (code) SELECT CASE WHEN random() < .05 THEN NULL ELSE random_code(64, 30) END FROM generate_series(1, :n);
DELETE FROM t WHERE id % 50 = :k;
\if :what <= 4
VACUUM t;
\elif :what <= 7
SELECT xmhash_index_merge('t_code');
\endif
SQL
my $log = $primary->basedir . '/writer.log';
my $work = IPC::Run::start(
	[ 'pgbench', '-n', '-h', $primary->host, '-p', $primary->port, '-c', 2, '--max-tries=1000', '-T', $seconds, '-f', $writer, 'postgres' ],
	'&>', $log);

my ($answers, $retries, $wrong) = (0, 0, '');
my $end = time() + $seconds;
while (time() < $end)
{
	# Both orders in one snapshot, with a cursor that is kept open a while.
	my ($status, $out, $err) = $standby->psql('postgres', <<'SQL', on_error_die => 0);
\set VERBOSITY verbose
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT compare('t', 1, 64, 30);
SET LOCAL enable_sort = off;
SET LOCAL enable_seqscan = off;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY code <~> (~ B'0'::bit(64))::bitcode;
FETCH 100 FROM c \g /dev/null
SELECT pg_sleep(0.3);
FETCH ALL FROM c \g /dev/null
COMMIT;
SQL
	if ($err eq '') { $answers++ }
	elsif ($err =~ /40001|conflict with recovery/) { $retries++ }
	else { $wrong .= $err }
}
$work->finish;
is($wrong, '', 'no answer on the standby was wrong');
ok($answers > 0, "the standby answered ($answers times; $retries times it asked for a retry)");

$primary->safe_psql('postgres', 'REINDEX INDEX t_code');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
verify($primary, 't', 't_code', 64, 30, 'primary');
verify($standby, 't', 't_code', 64, 30, 'standby');
my $stats = 'SELECT segments, rows, null_rows, pending_rows, free_pages FROM xmhash_index_stats(\'t_code\')';
is($standby->safe_psql('postgres', $stats), $primary->safe_psql('postgres', $stats), 'both have the same index');
# All of it in order, in little memory: through a sort that spills.
my $all = <<'SQL';
SET enable_seqscan = off; SET enable_sort = off; SET work_mem = '64kB';
SELECT md5(string_agg(distance::text, ',')) FROM (SELECT code <~> B'0110'::bit(64)::bitcode AS distance FROM t ORDER BY code <~> B'0110'::bit(64)::bitcode) x;
SELECT pages_read + pending_pages_read <= 3 * (i.data_pages + i.pending_pages) FROM xmhash_last_scan(), xmhash_index_stats('t_code') AS i;
SQL
my $answer = $standby->safe_psql('postgres', $all);
is($answer, $primary->safe_psql('postgres', $all), 'a large output, on both the same');
like($answer, qr/^t$/m, 'and reads no page more than three times');
unlike(slurp_file($standby->logfile), qr/inconsistent page|FATAL.*(invalid|WAL)|PANIC/, 'replay gave the same pages');

# A cursor that stays open while the primary uses every page again that it
# began with: the rows of its snapshot, or 40001 and not one row too few.
my $reader = $standby->background_psql('postgres', on_error_stop => 0);
$reader->query_safe("SET enable_sort = off; SET enable_seqscan = off");
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
my $rows = $reader->query_safe('SELECT count(*) FROM t');
$reader->query_safe("DECLARE c CURSOR FOR SELECT id FROM t ORDER BY code <~> (~ B'0'::bit(64))::bitcode");
$reader->query_safe('FETCH 10 FROM c');
for (1 .. 4)
{
	$primary->safe_psql('postgres', 'INSERT INTO t (code) SELECT random_code(64, 30) FROM generate_series(1, 8000)');
	$primary->safe_psql('postgres', 'SELECT pg_current_xact_id()');
	$primary->safe_psql('postgres', "SELECT xmhash_index_merge('t_code')");
	$primary->safe_psql('postgres', 'SELECT pg_current_xact_id()');
}
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my ($fetched) = $reader->query('MOVE FORWARD ALL FROM c');
like($reader->{stderr}, qr/were recycled during a scan/, 'a scan whose pages were used again says so');
$reader->quit;

my ($status, $out, $err) = $standby->psql('postgres', "SELECT xmhash_index_merge('t_code')");
like($err, qr/recovery is in progress/, 'a standby refuses to merge');

# Promotion: the index goes on being written to.
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', <<'SQL');
INSERT INTO t (code) SELECT random_code(64, 30) FROM generate_series(1, 5000);
DELETE FROM t WHERE id % 3 = 0;
VACUUM t;
SQL
verify($standby, 't', 't_code', 64, 30, 'promoted standby');
$standby->stop;
done_testing();

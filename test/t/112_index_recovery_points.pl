# Recovery may end at any record.  A busy server's WAL is replayed up to many
# points chosen at random among the index's own records: into the midst of
# flushes, merges, VACUUM, builds.  At each, while the server is a hot standby,
# the index is sound, complete and gives the sequential scan's answers; then the
# server is promoted, and insertions, VACUUM and merges take the index on from
# whatever was left half done.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node pgbench_script);

my $points = $ENV{POINTS} // 12;
my $seed = seeded();

my $primary = new_node('primary', allows_streaming => 1, has_archiving => 1);
# Full-page images would hide what the records themselves lack.
$primary->append_conf('postgresql.conf', <<'CONF');
xmhash.pending_list_limit = 8
full_page_writes = off
wal_keep_size = 4GB
CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION xmhash');
$primary->safe_psql('postgres', slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql"));
$primary->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id bigserial, n integer, code bitcode(64));
CREATE INDEX xm_t ON t USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (bands = 3);
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 12000) AS i;
-- Pages of three codes: catalogue and lists grow long.
CREATE TABLE t_long (id bigserial, n integer, code bitcode(16384));
CREATE INDEX xm_long ON t_long USING xmhash (code, n, (id + 1));
SQL
$primary->stop;
$primary->backup_fs_cold('base');
$primary->start;

my $writer = pgbench_script($primary, 'writer', <<'SQL');
\set n random(1, 400)
\set k random(0, 29)
\set what random(1, 10)
BEGIN;
INSERT INTO t (n, code) SELECT i, CASE WHEN random() < .05 THEN NULL ELSE oracle.draw('clustered', 64) END FROM generate_series(1, :n) AS i;
INSERT INTO t_long (n, code) SELECT i, oracle.bits(16384) FROM generate_series(1, 10) AS i;
\if :what = 1
ROLLBACK;
\else
COMMIT;
\endif
DELETE FROM t WHERE id % 30 = :k AND random() < .5;
DELETE FROM t_long WHERE id % 30 = :k;
SQL
my $keeper = pgbench_script($primary, 'keeper', <<'SQL');
\set bands random(0, 3)
\set what random(1, 9)
\if :what <= 3
VACUUM t;
VACUUM t_long;
\elif :what <= 6
SELECT xmhash_index_merge('xm_t');
\elif :what <= 8
CREATE INDEX xm_new ON t USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (bands = :bands);
-- in one transaction, so that recovery ends with one of that name
DROP INDEX xm_t \; ALTER INDEX xm_new RENAME TO xm_t;
\else
TRUNCATE t_long;
\endif
\sleep 50 ms
SQL

my $start = $primary->lsn('insert');
my $log = $primary->basedir . '/pgbench';
my @common = ('pgbench', '-n', '-h', $primary->host, '-p', $primary->port, '-T', 4, '--max-tries=1000', "--random-seed=$seed");
my @work = map { IPC::Run::start([ @common, '-c', $_->[0], '-f', $_->[1], 'postgres' ], '<', \undef, '&>', "$log.$_->[0]") }
  ([ 3, $writer ], [ 1, $keeper ]);
$_->finish for @work;
unlike(slurp_file("$log.$_"), qr/ERROR|abort/, "the work went on without an error ($_ clients)") for 3, 1;
my $end = $primary->lsn('insert');
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
$primary->stop;

my ($records, $waldump_error);
IPC::Run::run([ 'pg_waldump', '-p', $primary->data_dir . '/pg_wal', '-r', 'Generic', '-s', $start, '-e', $end ], '>', \$records, '2>', \$waldump_error);
my @lsns = $records =~ /lsn: ([0-9A-F]+\/[0-9A-F]+)/g;
# Most records are insertions; those of several pages are steps of the rest.
my @steps = map { /blkref #1/ && /lsn: ([0-9A-F]+\/[0-9A-F]+)/ ? $1 : () } split /\n/, $records;
cmp_ok(scalar @steps, '>', 30, 'and of flushes, merges and VACUUM: ' . @steps);
cmp_ok(scalar @lsns, '>', 300, 'there are many records of the index: ' . @lsns);

my $failed = 0;
for my $point (1 .. $points)
{
	my $lsn = $point % 4 == 0 ? $lsns[ rand @lsns ] : $steps[ rand @steps ];
	my $node = PostgreSQL::Test::Cluster->new("point_$point");
	$node->init_from_backup($primary, 'base', has_restoring => 1, standby => 0);
	$node->append_conf('postgresql.conf', <<"CONF");
recovery_target_lsn = '$lsn'
recovery_target_inclusive = @{[ rand() < .5 ? 'on' : 'off' ]}
recovery_target_action = pause
full_page_writes = on
archive_mode = off
max_wal_size = 1GB
CONF
	$node->start;
	$node->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'") or die 'the point is not reached';
	my $verify = <<'SQL';
SELECT oracle.check_indexes('t'), oracle.check_indexes('t_long'),
  oracle.compare('t', 'code', 64, 8), oracle.compare('t_long', 'code', 16384, 3);
SQL
	my ($status, $out, $err) = $node->psql('postgres', $verify);
	is($err, '', "at $lsn, a hot standby");
	$failed++ if $err ne '';

	$node->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	$node->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
	($status, $out, $err) = $node->psql('postgres', <<"SQL");
SET client_min_messages = warning;
$verify
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
INSERT INTO t_long (n, code) SELECT i, oracle.bits(16384) FROM generate_series(1, 30) AS i;
$verify
DELETE FROM t WHERE n % 3 = 1;
VACUUM t;
VACUUM t_long;
$verify
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SELECT xmhash_index_merge('xm_t'), xmhash_index_merge('xm_long');
$verify
SQL
	is($err, '', "at $lsn, promoted and written to");
	$failed++ if $err ne '';
	$node->stop('immediate');
	$node->clean_node if $node->can('clean_node') && $err eq '';
	last if $failed > 3;
}
done_testing();

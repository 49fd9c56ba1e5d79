# A crash at any moment of insertions, flushes, merges, VACUUM and builds leaves
# an index that is sound, complete, and gives the answers of a sequential scan.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use XmhashIndex qw(seeded new_node create_schema verify pgbench_script);

my $rounds = $ENV{ROUNDS} // 10;
seeded();

my $node = new_node('crash');
# Few buffers, so that pages are written out of order; a short list, so that
# flushes and merges come all the time.
$node->append_conf('postgresql.conf', <<'CONF');
restart_after_crash = on
shared_buffers = 2MB
xmhash.pending_list_limit = 16
CONF
$node->start;
create_schema($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id serial, code bitcode(64));
CREATE INDEX t_code ON t USING xmhash (code, id, ((id % 7)::text)) WITH (bands = 2);
CREATE UNLOGGED TABLE u (id serial, code bitcode(64));
CREATE INDEX u_code ON u USING xmhash (code);
INSERT INTO t (code) SELECT random_code(64, 30) FROM generate_series(1, 3000);
SQL

my $writer = pgbench_script($node, 'writer', <<'SQL');
\set n random(1, 300)
\set k random(1, 10)
BEGIN;
INSERT INTO t (code) SELECT CASE WHEN random() < .05 THEN NULL ELSE random_code(64, 30) END FROM generate_series(1, :n);
INSERT INTO u (code) SELECT random_code(64, 30) FROM generate_series(1, 10);
DELETE FROM t WHERE id % 10 = :k AND random() < .1;
UPDATE t SET code = random_code(64, 30) WHERE id % 50 = :k AND random() < .1;
COMMIT;
SQL
my $keeper = pgbench_script($node, 'keeper', <<'SQL');
\set what random(1, 10)
\if :what <= 4
VACUUM t;
\elif :what <= 7
SELECT xmhash_index_merge('t_code');
\elif :what = 8
CHECKPOINT;
\else
REINDEX INDEX CONCURRENTLY t_code;
\endif
SQL

my $flushed = 0;
for my $round (1 .. $rounds)
{
	my $log = $node->basedir . "/pgbench_$round.log";
	my @common = ('pgbench', '-n', '-h', $node->host, '-p', $node->port, '-T', 30);
	my @work;
	push @work, IPC::Run::start([ @common, '-c', 3, '--max-tries=1000', '-f', $writer, 'postgres' ], '&>', $log);
	push @work, IPC::Run::start([ @common, '-c', 1, '-f', $keeper, 'postgres' ], '&>', "$log.keeper");
	usleep(200_000 + int(rand(1_300_000)));
	my @pids = split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
	my $pid = @pids ? $pids[ rand @pids ] : undef;
	ok($pid && kill('KILL', $pid), "round $round: a backend is killed");
	$_->finish for @work;
	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server did not come back');
	# Invalid indexes are what an interrupted REINDEX CONCURRENTLY leaves.
	$node->safe_psql('postgres', <<'SQL');
DO $$ DECLARE r regclass; BEGIN
  FOR r IN SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid AND indrelid = 't'::regclass LOOP
    EXECUTE 'DROP INDEX ' || r;
  END LOOP;
END $$;
SQL
	last if !verify($node, 't', 't_code', 64, 30, "round $round");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM u'), '0', "round $round: the unlogged table is empty again");
	last if !verify($node, 'u', 'u_code', 64, 30, "round $round, unlogged");
	$flushed++ if $node->safe_psql('postgres', "SELECT segments FROM xmhash_index_stats('t_code')") > 0;
}
ok($flushed > 0, 'crashes met an index with segments');

# What a crash leaves behind is found again: no blocks stay lost.
$node->safe_psql('postgres', 'INSERT INTO t (code) SELECT random_code(64, 30) FROM generate_series(1, 10)');
$node->safe_psql('postgres', 'VACUUM t');
is( $node->safe_psql('postgres', <<'SQL'),
SELECT data_pages + band_pages + null_pages + directory_pages + catalogue_pages + pending_pages + free_pages + 1 >=
       bytes / current_setting('block_size')::integer
FROM xmhash_index_stats('t_code')
SQL
	't', 'every block is accounted for');
$node->stop;
done_testing();

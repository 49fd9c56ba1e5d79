# A mixed load on one server: writers of every kind, VACUUM, merges, rebuilds, and
# readers with snapshots and cursors of all ages.  Every reader's answers are
# those of its snapshot; on a primary no reader is ever told that its pages were
# recycled; no statement fails but for reasons of its own.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node pgbench_script);

my $seconds = $ENV{FUZZ_SECONDS} || 25;
my $seed = seeded();

my $node = new_node('mixed', extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', <<'CONF');
xmhash.pending_list_limit = 8
max_connections = 60
max_prepared_transactions = 20
deadlock_timeout = 100ms
log_min_error_statement = panic
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql"));
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id bigserial, n integer, code bitcode(64));
CREATE INDEX xm_t ON t USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (bands = 2);
CREATE INDEX xm_partial ON t USING xmhash ((~ code)) WHERE n % 3 = 0;
INSERT INTO t (n, code) SELECT i % 1000, oracle.draw('clustered', 64) FROM generate_series(1, 8000) AS i;
CREATE TABLE t_long (id bigserial, n integer, code bitcode(4096));
CREATE INDEX xm_long ON t_long USING xmhash (code);
-- codes that differ, kept so by an exclusion constraint
CREATE TABLE t_distinct (id bigserial, n integer, code bitcode(16), CONSTRAINT xm_distinct EXCLUDE USING xmhash (code WITH =, (length(code)) WITH =));

-- A cursor left open while others change the table.  Distances must rise, ids
-- be distinct, and their number that of the snapshot.
CREATE FUNCTION slow_cursor(q bitcode, pause float8) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  c refcursor;
  row record;
  last integer := 0;
  ids bigint[] := '{}';
  expected bigint;
BEGIN
  PERFORM oracle.way('index');
  OPEN c NO SCROLL FOR EXECUTE 'SELECT id, code <~> $1 AS d FROM t WHERE code IS NOT NULL ORDER BY code <~> $1' USING q;
  FOR i IN 1 .. 20 LOOP
    FETCH c INTO row;
    EXIT WHEN NOT FOUND;
    ids := ids || row.id;
    last := row.d;
  END LOOP;
  PERFORM pg_sleep(pause);
  LOOP
    FETCH c INTO row;
    EXIT WHEN NOT FOUND;
    IF row.d < last THEN
      RAISE EXCEPTION 'distance % after %', row.d, last;
    END IF;
    last := row.d;
    ids := ids || row.id;
  END LOOP;
  PERFORM oracle.way('seq');
  SELECT count(*) INTO expected FROM t WHERE code IS NOT NULL;
  PERFORM oracle.way_back();
  IF expected <> cardinality(ids) OR expected <> (SELECT count(DISTINCT i) FROM unnest(ids) AS i) THEN
    RAISE EXCEPTION 'a slow cursor gave % rows, the table has %', cardinality(ids), expected;
  END IF;
  RETURN expected;
END $$;
SQL

my %scripts = (
	writer => [ 4, <<'SQL' ],
\set n random(1, 150)
\set k random(0, 999)
\set what random(1, 20)
INSERT INTO t (n, code) SELECT (:k + i) % 1000, CASE WHEN random() < .05 THEN NULL ELSE oracle.draw(CASE WHEN :what < 4 THEN 'one' ELSE 'clustered' END, 64) END FROM generate_series(1, :n) AS i;
\if :what <= 8
DELETE FROM t WHERE ctid IN (SELECT ctid FROM t WHERE n % 20 = :k % 20 FOR UPDATE SKIP LOCKED);
\elif :what <= 12
BEGIN;
UPDATE t SET code = oracle.draw('clustered', 64) WHERE ctid IN (SELECT ctid FROM t WHERE n % 50 = :k % 50 FOR UPDATE SKIP LOCKED);
SAVEPOINT s;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 50) AS i;
ROLLBACK TO s;
COMMIT;
\elif :what <= 14
BEGIN;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 100) AS i;
\sleep 100 ms
ROLLBACK;
\elif :what <= 16
BEGIN;
INSERT INTO t_long (n, code) SELECT i, oracle.bits(4096) FROM generate_series(1, 20) AS i;
PREPARE TRANSACTION 'p:client_id';
\sleep 50 ms
COMMIT PREPARED 'p:client_id';
\else
UPDATE t SET n = (n + 1) % 1000 WHERE ctid IN (SELECT ctid FROM t WHERE n % 50 = :k % 50 FOR UPDATE SKIP LOCKED);
\endif
SQL
	on_conflict => [ 2, <<'SQL' ],
\set n random(1, 30)
INSERT INTO t_distinct (n, code) SELECT i, oracle.bits(16) FROM generate_series(1, :n) AS i ON CONFLICT DO NOTHING;
DELETE FROM t_distinct WHERE ctid IN (SELECT ctid FROM t_distinct WHERE n = :n FOR UPDATE SKIP LOCKED);
SQL
	maintenance => [ 1, <<'SQL' ],
\set what random(1, 20)
\if :what <= 6
VACUUM t;
\elif :what <= 8
VACUUM (FREEZE, INDEX_CLEANUP ON) t;
\elif :what <= 10
VACUUM t_long;
DELETE FROM t_long WHERE id % 2 = 0;
\elif :what <= 14
SELECT xmhash_index_merge('xm_t'), xmhash_index_merge('xm_partial'), xmhash_index_merge('xm_long');
\elif :what <= 16
REINDEX INDEX CONCURRENTLY xm_t;
\elif :what <= 17
VACUUM t_distinct;
\elif :what <= 18
ALTER INDEX xm_t SET (pending_list_limit = 64);
\else
ALTER INDEX xm_t RESET (pending_list_limit);
\endif
SQL
	slow_vacuum => [ 1, <<'SQL' ],
SET vacuum_cost_delay = '5ms';
SET vacuum_cost_limit = 20;
VACUUM t;
SQL
	checker => [ 1, <<'SQL' ],
SELECT oracle.check_indexes('t'), oracle.check_indexes('t_long'), oracle.check_indexes('t_distinct');
SQL
	reader => [ 3, <<'SQL' ],
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT oracle.compare('t', 'code', 64, 2);
SELECT oracle.compare('t', '(~ code)', 64, 1, 'n % 3 = 0');
SELECT oracle.compare('t_long', 'code', 4096, 1);
SELECT oracle.compare('t_distinct', 'code', 16, 1);
COMMIT;
SQL
	slow_reader => [ 3, <<'SQL' ],
\set ms random(10, 1500)
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT slow_cursor(oracle.question('t', 'code', 64), :ms / 1000.0);
COMMIT;
SQL
	old_reader => [ 1, <<'SQL' ]);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT oracle.compare('t', 'code', 64, 1);
\sleep 2 s
SELECT oracle.compare('t', 'code', 64, 6);
COMMIT;
SQL

my %logs;
my @work;
for my $name (sort keys %scripts)
{
	my $file = pgbench_script($node, $name, $scripts{$name}[1]);
	$logs{$name} = $node->basedir . "/$name.log";
	push @work, IPC::Run::start(
		[ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-T', $seconds, '-c', $scripts{$name}[0], "--random-seed=$seed",
			# Two may each hold a row that the other wants.  Readers may not: of what they meet nothing is passed over.
			$name =~ /reader|checker/ ? () : '--max-tries=1000', '-f', $file, 'postgres' ],
		'<', \undef, '&>', $logs{$name});
}
$_->finish for @work;

for my $name (sort keys %scripts)
{
	my $log = slurp_file($logs{$name});
	# A row may be locked by two, a snapshot too old for a rebuilt index.
	my @errors = grep { !/deadlock detected/ } $log =~ /(ERROR:.*(?:\nDETAIL.*)?)/g;
	is(join("\n", @errors), '', "$name met no error");
	# One that died of an allowed error early has not done its work.
	like($log, qr/number of transactions actually processed: [1-9]/, "$name did something: " . ($log =~ /actually processed: (\d+)/)[0]);
}
is($node->safe_psql('postgres', 'SELECT count(*) - count(DISTINCT code) FROM t_distinct'), '0', 'the exclusion constraint let no code in twice');
for (1 .. 2)
{
	my ($status, $out, $err) = $node->psql('postgres', <<'SQL');
SET client_min_messages = warning;
SELECT oracle.check_indexes('t'), oracle.check_indexes('t_long'), oracle.check_indexes('t_distinct');
SELECT oracle.compare('t', 'code', 64, 10), oracle.compare('t_long', 'code', 4096, 5), oracle.compare('t_distinct', 'code', 16, 5);
VACUUM;
SQL
	is($err, '', 'all is sound afterwards');
}
unlike(slurp_file($node->logfile), qr/PANIC|terminated by signal|were recycled|XX002|is damaged/, 'nothing worse was logged');
$node->stop;
done_testing();

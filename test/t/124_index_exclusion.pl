# No two codes within a radius, whatever inserts, updates, deletes, merges and
# crashes at the same time: the constraint on balls holds for what has committed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node pgbench_script);

my $rounds = $ENV{ROUNDS} // 2;
seeded();

my $node = new_node('exclusion');
$node->append_conf('postgresql.conf', <<'CONF');
restart_after_crash = on
max_prepared_transactions = 2
deadlock_timeout = 20ms
CONF
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;
CREATE TABLE t (id bigserial, code bitcode(16), radius integer, tenant integer DEFAULT random() * 20,
  CONSTRAINT far EXCLUDE USING xmhash (hamming_ball(code, radius) WITH <@>) WITH (pending_list_limit = 8),
  CONSTRAINT apart EXCLUDE USING xmhash (hamming_ball(code, 5) WITH <@>, tenant WITH =) WITH (pending_list_limit = 8));
CREATE SEQUENCE done;
-- A statement that loses leaves nothing: one of two that wait for each other is ended by the server.
CREATE PROCEDURE change(what integer, c bitcode, r integer) LANGUAGE plpgsql AS $$
BEGIN
  IF what < 4 THEN
    INSERT INTO t (code, radius) VALUES (c, r) ON CONFLICT DO NOTHING;
  ELSIF what < 8 THEN
    INSERT INTO t (code, radius) VALUES (c, r);
  ELSIF what = 8 THEN
    UPDATE t SET code = c, radius = r WHERE id = (SELECT id FROM t ORDER BY random() LIMIT 1);
  ELSE
    DELETE FROM t WHERE id = (SELECT id FROM t ORDER BY random() LIMIT 1);
  END IF;
  PERFORM nextval('done');
EXCEPTION WHEN exclusion_violation OR deadlock_detected THEN
  PERFORM nextval('done');
END $$;
SQL
my $writer = pgbench_script($node, 'writer', <<'SQL');
\set what random(0, 9)
\set code random(0, 65535)
\set near random(0, 65535)
BEGIN;
CALL change(:what, (:code)::bit(16)::bitcode, 1 + :code % 3);
CALL change(:what, (:code # (1 << :what))::bit(16)::bitcode, 2);
CALL change(0, (:near)::bit(16)::bitcode, 3);
COMMIT;
SQL
my $keeper = pgbench_script($node, 'keeper', <<'SQL');
VACUUM t;
SELECT xmhash_index_merge('far');
SQL

sub holds
{
	my $name = shift;
	is( $node->safe_psql('postgres', 'SELECT count(*) FROM t a JOIN t b ON a.ctid < b.ctid AND a.code <~> b.code <= least(a.radius, b.radius)'),
		'0', "$name: no two codes are within their radii");
	is( $node->safe_psql('postgres', 'SELECT count(*) FROM t a JOIN t b ON a.ctid < b.ctid AND a.tenant = b.tenant AND a.code <~> b.code <= 5'),
		'0', "$name: nor within five bits in one tenant");
	is($node->safe_psql('postgres', "SELECT xmhash_index_check('$_', true)"), '', "$name: index $_ is sound") for 'far', 'apart';
	return;
}

for my $round (1 .. $rounds)
{
	my $log = $node->basedir . "/pgbench_$round.log";
	my @common = ('pgbench', '-n', '-h', $node->host, '-p', $node->port);
	my @work;
	my $before = $node->safe_psql('postgres', 'SELECT last_value FROM done');
	push @work, IPC::Run::start([ @common, '-c', 4, '-t', 1_000_000, '-f', $writer, 'postgres' ], '&>', $log);
	push @work, IPC::Run::start([ @common, '-c', 1, '-t', 1_000_000, '-f', $keeper, 'postgres' ], '&>', "$log.keeper");
	ok($node->poll_query_until('postgres', "SELECT last_value > $before + 600 FROM done"), "round $round: writers are at work");
	my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1");
	if (!ok($pid && kill('KILL', $pid), "round $round: one of them is killed"))
	{
		$_->kill_kill for @work;
		last;
	}
	$_->finish for @work;
	$node->poll_query_until('postgres', 'SELECT true') or BAIL_OUT('the server did not come back');
	holds("round $round");
}
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM t'), '>', 20, 'codes that were let in');

# A row of a prepared transaction outlives a crash, and is waited for.
$node->safe_psql('postgres', "TRUNCATE t; BEGIN; INSERT INTO t (code, radius) VALUES ('x0F0F', 3); PREPARE TRANSACTION 'p';");
$node->stop('immediate');
$node->start;
my ($status, $out, $err) = $node->psql('postgres', "SET lock_timeout = '50ms'; INSERT INTO t (code, radius) VALUES ('x0F0E', 3)", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/55P03/, 'who comes near a prepared row waits for it');
is($node->safe_psql('postgres', "INSERT INTO t (code, radius) VALUES ('xF000', 3) RETURNING id > 0"), 't', 'others do not wait');
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
($status, $out, $err) = $node->psql('postgres', "INSERT INTO t (code, radius) VALUES ('x0F0E', 3)", extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
like($err, qr/23P01/, 'once it has committed, it is in the way');
holds('prepared');

# Partitions are one table where each has what must be equal for itself, as core allows since 17.
($status, $out, $err) = $node->psql('postgres', 'CREATE TABLE part (tenant integer, code bitcode(16), CONSTRAINT part_far EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>, tenant WITH =)) PARTITION BY LIST (tenant)', extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 170000)
{
	like($err, qr/0A000/, 'no constraint on a partitioned table');
}
else
{
	$node->safe_psql('postgres', q{CREATE TABLE part1 PARTITION OF part FOR VALUES IN (1); CREATE TABLE part2 PARTITION OF part FOR VALUES IN (2);
		INSERT INTO part VALUES (1, 'x0F0F'), (1, 'xF0F0'), (2, 'x0F0E')});
	for my $near (q{INSERT INTO part VALUES (1, 'x0F0E')}, 'UPDATE part SET tenant = 1 WHERE tenant = 2')
	{
		($status, $out, $err) = $node->psql('postgres', $near, extra_params => [ '-v', 'VERBOSITY=sqlstate' ]);
		like($err, qr/23P01/, "a partitioned table refuses $near");
	}
}
$node->stop;
done_testing();

# With 10,000 models in a database the views list them all, at a cost that grows
# with their number alone, whatever locks others hold; and encoding by one of
# them costs no more than it did.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use POSIX ();
use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

my $models = 10_000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf',
	"xmhash.progress = off\nmax_locks_per_transaction = 1024\nautovacuum = off\nshared_buffers = 256MB\nmax_parallel_workers_per_gather = 0");
$node->start;

sub query { return $node->safe_psql('postgres', shift); }

query(q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 16) AS n) AS image,
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 20) AS n) AS words
  FROM generate_series(1, 200) AS id;
CALL xmhash_train('used', 'pair', 'image', 'words', 32, options => '{"epochs": 2}');
CREATE ROLE other;
-- Blocks that a query touches, found in memory or not, its plan's not counted.
CREATE FUNCTION blocks(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json, TIMING off, SUMMARY off) ' || query INTO plan;
  RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
-- Most of them say that they are being trained, so that somebody has to ask who does.
CREATE PROCEDURE make(first integer, last integer) LANGUAGE plpgsql AS $$
DECLARE
  file bytea := xmhash_export_model('used');
BEGIN
  FOR i IN first .. last LOOP
    PERFORM xmhash_import_model('m' || i, file);
    IF i % 10 <> 0 THEN
      EXECUTE format('UPDATE m%s SET info = info || ''{"status": "training"}'' WHERE part = ''model''', i);
    END IF;
    IF i % 100 = 0 THEN
      COMMIT;
    END IF;
  END LOOP;
END $$;
});

my $list = 'SELECT count(model), count(status), sum(bytes) FROM xmhash_models';
my $epochs = 'SELECT count(*) FROM xmhash_training';
my $encode = q{SELECT count(xmhash_encode_image('used', image)), count(xmhash_encode_text('used', words)) FROM pair};

# The catalogue's own blocks grow too; without them, what a model costs.
sub blocks_of_models
{
	my $view = shift;
	return query("SELECT blocks('$view') FROM generate_series(1, 2) n") =~ /(\d+)$/
	  ? $1 - query(q{SELECT pg_relation_size('pg_class') / current_setting('block_size')::integer}) : die;
}

# In one session, which remembers the model.
sub blocks_of_encoding
{
	my $quoted = $encode =~ s/'/''/gr;
	my @blocks = split /\n/, query("$encode; SELECT blocks('$quoted'); SELECT blocks('$quoted')");
	return $blocks[2];
}

query('CALL make(1, 1000)');
my @few = map { blocks_of_models($_) } ($list, $epochs);
my $encoding = blocks_of_encoding();
query("CALL make(1001, $models - 1)");
is(query($list =~ s/, sum\(bytes\)//r), "$models|$models", 'all models are listed, and each is looked at');
is(query(q{SELECT string_agg(concat_ws(' ', status, n), ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM xmhash_models GROUP BY status) s}),
	'imported 999, interrupted 9000, trained 1', 'with what they are');
is(query('SET ROLE other; ' . ($list =~ s/, sum\(bytes\)//r)), '0|0', 'and none to who may use none');
my @many = map { blocks_of_models($_) } ($list, $epochs);
cmp_ok($many[$_], '<', 12 * ($few[$_] + 100), "$many[$_] blocks of $models models are no more than in proportion to $few[$_] of 1001") for (0, 1);
cmp_ok($many[0], '<', 4 * $models, 'a few blocks each');
is(query("SET enable_seqscan = off; SELECT string_agg((blocks('SELECT status FROM xmhash_models WHERE model = ''m77''::regclass') < 30)::text, ' ') FROM generate_series(1, 2)"), 'false true',
	'one of them is found without a look at the others, once the catalogue is known');
is(blocks_of_encoding(), $encoding, 'a model that is remembered encodes without any of their blocks');

# Who trains what is asked once a statement, not once for each model: whoever else holds locks, as pg_dump does.
sub seconds
{
	my $query = shift;
	my $ticks = q{SELECT (regexp_match(pg_read_file('/proc/' || pg_backend_pid() || '/stat'), '\) ([^\n]*)'))[1]};
	my ($before, undef, $after) = split /\n/, query("$ticks; $query; $ticks");
	my @ticks = map { my @fields = split / /; $fields[11] + $fields[12] } ($before, $after);
	return ($ticks[1] - $ticks[0]) / POSIX::sysconf(&POSIX::_SC_CLK_TCK);
}
SKIP:
{
	skip 'no /proc', 1 unless -r '/proc/self/stat';
	my $alone = seconds($list);
	my $holder = start_session($node, 'holder', 'BEGIN', q{DO 'DECLARE t regclass; BEGIN FOR t IN SELECT model FROM xmhash_models LOOP EXECUTE ''SELECT FROM '' || t; END LOOP; END'}, 'SELECT pg_sleep(600)');
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'holder' AND wait_event = 'PgSleep'}) or die "no locks: $holder->{err}";
	my $beside = seconds($list);
	note("alone $alone s, beside somebody who holds all of them $beside s of processor time");
	cmp_ok($beside, '<', 2 * $alone + 1, 'locks of others make it no slower');
	query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'});
	$holder->{run}->finish;
}

# A training is told from an interrupted one among all of them.
my $training = start_session($node, 'training', q{CALL xmhash_train('live', 'pair', 'image', 'words', 16, options => '{"epochs": 1000000}')});
$node->poll_query_until('postgres', q{SELECT status = 'training' FROM xmhash_models WHERE model = to_regclass('live')}) or die "no training: $training->{err}";
is(query(q{SELECT string_agg(concat_ws(' ', status, n), ', ' ORDER BY status) FROM (SELECT status, count(*) AS n FROM xmhash_models GROUP BY status) s}),
	'imported 999, interrupted 9000, trained 1, training 1', 'the one that runs is found among them');
query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'});
$training->{run}->finish;
$node->stop('immediate');
done_testing();

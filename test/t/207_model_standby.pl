# A hot standby encodes with the primary's models, and notices at once when one
# is dropped or replaced there.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 'logical');
$primary->append_conf('postgresql.conf', 'xmhash.progress = off');
$primary->start;
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

$primary->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 16) AS n) AS image,
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 20) AS n) AS words
  FROM generate_series(1, 200) AS id;
CALL xmhash_train('m', 'pair', 'image', 'words', 32, options => '{"epochs": 3}');
});

my $codes = q{SELECT md5(string_agg(xmhash_encode_image('m', image)::text || xmhash_encode_text('m', words)::text, ',' ORDER BY id)) FROM pair};
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', $codes), $primary->safe_psql('postgres', $codes), 'the standby gives the same codes');
is($standby->safe_psql('postgres', q{SELECT name, status FROM xmhash_models}), 'm|trained', 'and shows the model');

SKIP:
{
	skip 'no background_psql', 3 unless $standby->can('background_psql');
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	my $length = q{SELECT length(xmhash_encode_image('m', image)) FROM pair WHERE id = 1};
	is(($session->query($length))[0], '32', 'in use on the standby');
	$primary->safe_psql('postgres', q{BEGIN; SELECT xmhash_drop_model('m');
		CALL xmhash_train('m', 'pair', 'image', 'words', 48, options => '{"epochs": 3}'); COMMIT});
	$primary->wait_for_catchup($standby);
	is(($session->query($length))[0], '48', 'replaced on the primary');
	$primary->safe_psql('postgres', q{SELECT xmhash_drop_model('m')});
	$primary->wait_for_catchup($standby);
	$session->query($length);
	like($session->{stderr}, qr/model "m" does not exist/, 'dropped on the primary');
	$session->quit;
}
my (undef, undef, $error) = $standby->psql('postgres', q{CALL xmhash_train('n', 'pair', 'image', 'words', 32)});
like($error, qr/cannot execute xmhash_train\(\) (during recovery|in a read-only transaction)/, 'a standby does not train');

# Logical replication of models: rows that come so are noticed like others.
$primary->safe_psql('postgres', q{
CREATE DATABASE subscriber;
CREATE PUBLICATION models FOR TABLE xmhash_model, xmhash_model_part;
CALL xmhash_train('copied', 'pair', 'image', 'words', 24, options => '{"epochs": 1}');
SELECT pg_create_logical_replication_slot('models', 'pgoutput')});
$primary->safe_psql('subscriber', 'CREATE EXTENSION xmhash');
$primary->safe_psql('subscriber', sprintf(q{CREATE SUBSCRIPTION models CONNECTION $$%s$$ PUBLICATION models
	WITH (create_slot = false, slot_name = 'models')}, $primary->connstr('postgres')));
$primary->poll_query_until('subscriber', q{SELECT count(*) = 2 FROM pg_subscription_rel WHERE srsubstate = 'r'}) or die 'no initial copy';
my $features = $primary->safe_psql('postgres', 'SELECT image FROM pair WHERE id = 1');
my $encode = qq{SELECT length(xmhash_encode_image('copied', '$features'))};
# One session, which remembers the model; it waits for the row to change by itself.
sub encode_until
{
	my ($change, $condition) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $primary->connstr('subscriber') . ' application_name=reader', '-c', $encode,
		'-c', qq{DO 'BEGIN WHILE NOT ($condition) LOOP PERFORM pg_sleep(0.05); END LOOP; END'}, '-c', $encode ], '<', \undef, '>', \$out, '2>', \$err);
	$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event = 'PgSleep'})
	  or die "the reader does not wait: $err";
	$primary->safe_psql('postgres', $change);
	$run->finish;
	return $out . $err;
}
like(encode_until(q{SELECT xmhash_drop_model('copied'); CALL xmhash_train('copied', 'pair', 'image', 'words', 40, options => '{"epochs": 1}')},
	q{EXISTS (SELECT FROM xmhash_model WHERE bits = 40 AND status = ''trained'')}), qr/^24\n40$/, 'replaced on the publisher');
like(encode_until(q{SELECT xmhash_drop_model('copied')}, q{NOT EXISTS (SELECT FROM xmhash_model)}),
	qr/^40\n.*model "copied" does not exist/, 'dropped on the publisher');
$primary->safe_psql('subscriber', 'ALTER SUBSCRIPTION models DISABLE; ALTER SUBSCRIPTION models SET (slot_name = NONE); DROP SUBSCRIPTION models');

$standby->stop;
$primary->stop;
done_testing();

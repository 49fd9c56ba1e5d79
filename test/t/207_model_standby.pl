# A hot standby encodes with the primary's models, and notices at once when one
# is changed, dropped or replaced there; a subscriber encodes with models that
# are replicated as tables, and says so while they are on their way; a base
# backup has them.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

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
is($standby->safe_psql('postgres', q{SELECT model, status FROM xmhash_models}), 'm|trained', 'and shows the model');

# An unlogged table has no file there.
$primary->safe_psql('postgres', 'CREATE UNLOGGED TABLE unlogged OF xmhash_model; INSERT INTO unlogged SELECT * FROM m');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', q{SELECT model, status FROM xmhash_models ORDER BY status}), "m|trained\nunlogged|", 'one that is unlogged holds up nobody');
my (undef, undef, $refused) = $standby->psql('postgres', q{SELECT xmhash_encode_image('unlogged', image) FROM pair WHERE id = 1});
like($refused, qr/model "unlogged" is an unlogged table/, 'nor can it be used');
$primary->safe_psql('postgres', 'DROP TABLE unlogged');

SKIP:
{
	skip 'no background_psql', 5 unless $standby->can('background_psql');
	my $session = $standby->background_psql('postgres', on_error_stop => 0);
	my $length = q{SELECT length(xmhash_encode_image('m', image)) FROM pair WHERE id = 1};
	like(($session->query($length))[0], qr/\A32\s*\z/, 'in use on the standby');
	$primary->safe_psql('postgres', q{UPDATE m SET data = substr(data, 5) WHERE part = 'weights'});
	$primary->wait_for_catchup($standby);
	$session->query($length);
	like($session->{stderr}, qr/model "m" is damaged/, 'its rows changed by hand on the primary');
	$session->{stderr} = '';
	$primary->safe_psql('postgres', q{UPDATE m SET data = '\x00000000' || data WHERE part = 'weights'});
	$primary->wait_for_catchup($standby);
	like(($session->query($length))[0], qr/\A32\s*\z/, 'and back');
	$primary->safe_psql('postgres', q{BEGIN; DROP TABLE m;
		CALL xmhash_train('m', 'pair', 'image', 'words', 48, options => '{"epochs": 3}'); COMMIT});
	$primary->wait_for_catchup($standby);
	like(($session->query($length))[0], qr/\A48\s*\z/, 'replaced on the primary');
	$primary->safe_psql('postgres', q{DROP TABLE m});
	$primary->wait_for_catchup($standby);
	$session->query($length);
	like($session->{stderr}, qr/relation "m" does not exist/, 'dropped on the primary');
	$session->quit;
}
my (undef, undef, $error) = $standby->psql('postgres', q{CALL xmhash_train('n', 'pair', 'image', 'words', 32)});
like($error, qr/cannot execute xmhash_train\(\) (during recovery|in a read-only transaction)/, 'a standby does not train');

# Logical replication: a model is a table like others.  The subscriber is another
# database of the primary.
$primary->safe_psql('postgres', q{
CREATE DATABASE subscriber;
CREATE PUBLICATION everything FOR ALL TABLES;
CALL xmhash_train('copied', 'pair', 'image', 'words', 24, options => '{"epochs": 1}');
SELECT pg_create_logical_replication_slot('models', 'pgoutput')});
$primary->safe_psql('subscriber', q{CREATE EXTENSION xmhash; CREATE TABLE copied OF xmhash_model (PRIMARY KEY (part, number));
	CREATE TABLE pair (id integer, image real[], words real[])});
my $there = $primary->connstr('postgres');
sub subscriber { my (undef, $out, $err) = $primary->psql('subscriber', shift); return $out . $err; }
my $features = $primary->safe_psql('postgres', 'SELECT image FROM pair WHERE id = 1');
my $encode = qq{SELECT xmhash_encode_image('%s', '$features')};
like(subscriber(sprintf($encode, 'copied')), qr/model "copied" is empty/, 'before it comes, the model is empty');
$primary->safe_psql('subscriber', qq{CREATE SUBSCRIPTION models CONNECTION \$\$$there\$\$ PUBLICATION everything WITH (create_slot = false, slot_name = 'models')});
sub all_copied
{
	$primary->poll_query_until('subscriber', q{SELECT count(*) = 0 FROM pg_subscription_rel WHERE srsubstate <> 'r'}) or die 'no initial copy';
}
all_copied();
is(subscriber(sprintf($encode, 'copied')), $primary->safe_psql('postgres', sprintf($encode, 'copied')), 'the subscriber gives the same codes');

# Half of it has arrived: a training that was interrupted.  One session sees the rest come.
my $training = hold_training($primary, 'broken', 3,
	q{CALL xmhash_train('broken', 'pair', 'image', 'words', 40, options => '{"epochs": 4, "checkpoint_seconds": 0}')});
$primary->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'});
$training->{run}->finish;
finish_hold($primary, $training);
$primary->safe_psql('subscriber', 'CREATE TABLE broken OF xmhash_model (PRIMARY KEY (part, number)); ALTER SUBSCRIPTION models REFRESH PUBLICATION');
all_copied();
is(subscriber(q{SELECT model, status, epochs_done FROM xmhash_models WHERE model = 'broken'::regclass}), 'broken|interrupted|2', 'what has come is shown');
my ($out, $err) = ('', '');
my $reader = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $primary->connstr('subscriber') . ' application_name=reader', '-c', sprintf($encode, 'broken'),
		'-c', q{DO 'BEGIN WHILE NOT EXISTS (SELECT FROM xmhash_models WHERE model = ''broken''::regclass AND status = ''trained'') LOOP PERFORM pg_sleep(0.05); END LOOP; END'},
		'-c', sprintf($encode, 'broken') ],
	'<', \undef, '>', \$out, '2>', \$err);
$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event = 'PgSleep'})
  or die "the reader does not wait: $err";
$primary->safe_psql('postgres', q{CALL xmhash_train_resume('broken')});
$reader->finish;
like($err, qr/ERROR:  model "broken" is not trained yet/, 'half a model does not encode');
is($out, $primary->safe_psql('postgres', sprintf($encode, 'broken')) . "\n", 'the whole one does, in the same session');

# Rows that change on the publisher are noticed by a session that remembers the model: by its
# trigger, which pg_dump brings, and without it too.
my $schema = $primary->basedir . '/schema';
command_ok([ 'pg_dump', '-s', '-t', 'm2', '-f', $schema, $primary->connstr('postgres') ], 'the table of a model, without its rows')
  if $primary->safe_psql('postgres', q{CALL xmhash_train('m2', 'pair', 'image', 'words', 32, options => '{"epochs": 1}'); CREATE TABLE turn (now text PRIMARY KEY)}) eq '';
$primary->safe_psql('subscriber', 'CREATE TABLE turn (now text PRIMARY KEY)');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $schema, $primary->connstr('subscriber') ], 'goes to the subscriber');
is(subscriber(q{SELECT string_agg(concat_ws(' ', tgrelid::regclass, tgenabled), ',') FROM pg_trigger WHERE tgname = 'xmhash_model_changed'}), 'm2 A', 'with its trigger');
$primary->safe_psql('subscriber', 'ALTER SUBSCRIPTION models REFRESH PUBLICATION');
all_copied();
my $both = "SELECT concat_ws(' ', xmhash_encode_image('m2', '$features'), xmhash_encode_image('copied', '$features'))";
my $wait = q{DO 'BEGIN WHILE NOT EXISTS (SELECT FROM turn WHERE now = ''%s'') LOOP PERFORM pg_sleep(0.05); END LOOP; END'};
($out, $err) = ('', '');
$reader = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $primary->connstr('subscriber') . ' application_name=reader', '-c', $both, '-c', sprintf($wait, 'changed'), '-c', $both ],
	'<', \undef, '>', \$out, '2>', \$err);
$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'reader' AND wait_event = 'PgSleep'})
  or die "the reader does not wait: $err";
my $before = $primary->safe_psql('postgres', $both);
$primary->safe_psql('postgres', qq{UPDATE $_ SET data = overlay(data PLACING decode(repeat('000080c1', 32), 'hex') FROM 1) WHERE part = 'weights'}) for ('m2', 'copied');
$primary->safe_psql('postgres', q{INSERT INTO turn VALUES ('changed')});
$reader->finish;
is($err, '', 'one session reads before and after');
is($out, "$before\n" . $primary->safe_psql('postgres', $both) . "\n", 'and gives the codes of the rows that have come');
isnt($primary->safe_psql('postgres', $both), $before, 'which are others');

# Without its weights: what a partial restore leaves.
$primary->safe_psql('subscriber', q{CREATE TABLE part OF xmhash_model (PRIMARY KEY (part, number)); INSERT INTO part SELECT * FROM copied WHERE part <> 'weights'});
like(subscriber(sprintf($encode, 'part')), qr/model "part" is not complete: piece 1 of 1 of its weights is missing/, 'a missing piece is named');
$primary->safe_psql('subscriber', q{INSERT INTO part SELECT * FROM copied WHERE part = 'weights'});
is(subscriber(sprintf($encode, 'part')), subscriber(sprintf($encode, 'copied')), 'when it comes, all is well');

# Replaced on the publisher.
$primary->safe_psql('postgres', q{BEGIN; TRUNCATE copied; INSERT INTO copied SELECT * FROM broken; COMMIT});
$primary->poll_query_until('subscriber', q{SELECT bits = 40 FROM xmhash_models WHERE model = 'copied'::regclass}) or die 'nothing comes';
is(subscriber(sprintf($encode, 'copied')), $primary->safe_psql('postgres', sprintf($encode, 'broken')), 'truncated and filled anew');
$primary->safe_psql('subscriber', 'ALTER SUBSCRIPTION models DISABLE; ALTER SUBSCRIPTION models SET (slot_name = NONE); DROP SUBSCRIPTION models');

$standby->stop;

# A base backup, as a server of its own.
$primary->backup('late');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($primary, 'late');
$restored->start;
$codes = q{SELECT md5(string_agg(xmhash_encode_image('broken', image)::text || xmhash_encode_text('broken', words)::text, ',' ORDER BY id)) FROM pair};
is($restored->safe_psql('postgres', $codes), $primary->safe_psql('postgres', $codes), 'a base backup gives the same codes');
$restored->stop;
$primary->stop;
done_testing();

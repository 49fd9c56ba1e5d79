# Relations are given by their numbers, and read by queries that name them.  Whoever
# can rename one puts another in its place while the call waits for a lock: a view
# whose columns tableoid and ctid are anything, or a table with a trigger.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.progress = off\nxmhash.threads = 1\nrestart_after_crash = off");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE ROLE mallory;
CREATE SCHEMA hers AUTHORIZATION mallory;
CREATE TABLE query AS SELECT id % 3 AS label, id::bitcode AS code FROM generate_series(1, 9::bigint) AS id;
GRANT SELECT ON query TO mallory;
CREATE TABLE ran_as (name name);
GRANT INSERT ON ran_as TO PUBLIC;
SET ROLE mallory;
CREATE TABLE hers.pair AS
  SELECT id, id % 3 AS label, ARRAY[sin(id), cos(id), 1]::real[] AS image, ARRAY[id % 2, id % 5, 1]::real[] AS words,
         id::bigint::bitcode AS code, NULL::bitcode AS made
  FROM generate_series(1, 80) AS id;
CREATE TYPE hers.disguise AS ENUM ('tid');
CREATE FUNCTION hers.undress(hers.disguise) RETURNS tid LANGUAGE sql IMMUTABLE AS $$ SELECT '(0,1)'::tid $$;
CREATE CAST (hers.disguise AS tid) WITH FUNCTION hers.undress(hers.disguise) AS IMPLICIT;
CREATE FUNCTION hers.once() RETURNS tid LANGUAGE plpgsql STABLE COST 0.1 AS $$
BEGIN
	PERFORM set_config('hers.calls', (coalesce(nullif(current_setting('hers.calls', true), ''), '0')::integer + 1)::text, false);
	RETURN CASE WHEN current_setting('hers.calls')::integer % 2 = 1 THEN '(0,1)'::tid END;
END $$;
CREATE FUNCTION hers.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO public.ran_as SELECT current_user;
	RETURN NULL;
END $$;
RESET ROLE;
CALL xmhash_train('model', 'hers.pair', 'image', 'words', 16, options => '{"epochs": 1, "batch_size": 16}');
GRANT SELECT ON model TO mallory;
});

my %calls = (
	evaluate => q{SELECT xmhash_evaluate('query', 'code', 'hers.pair', 'code', 'label')},
	precision_recall => q{SELECT count(*) FROM xmhash_precision_recall('query', 'code', 'hers.pair', 'code', 'label')},
	plot => q{SELECT length(xmhash_plot_precision_recall('query', 'code', 'hers.pair', 'code', 'label'))},
	compare_models => q{SELECT xmhash_compare_models('{model}', 'hers.pair', 'image', 'words', 'label')},
	train => q{CALL xmhash_train('hers.other', 'hers.pair', 'image', 'words', 16, options => '{"epochs": 1, "batch_size": 16}')},
	encode_table => q{CALL xmhash_encode_table('model', 'hers.pair', 'image', 'made', NULL, NULL)});

# Run the call as a role until it waits for the relation, which another session
# has replaced and not committed yet; let both go on.  What the call says.
sub attempt
{
	my ($role, $call, @replace) = @_;
	my $gate = start_session($node, 'gate', 'SELECT pg_advisory_lock(1)', 'SELECT pg_sleep(600)');
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND granted}) or die 'no gate';
	my $holder = start_session($node, 'holder', 'SET ROLE mallory', 'BEGIN', @replace, 'SELECT pg_advisory_xact_lock(1)', 'COMMIT');
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
	  or die "nothing is replaced: $holder->{err}";
	my $caller = start_session($node, 'caller', "SET ROLE $role", $call);
	my $waits = $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'caller' AND wait_event_type = 'Lock'});
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gate'});
	$_->{run}->finish for ($gate, $holder, $caller);
	return $waits ? $caller->{err} : "did not wait: $caller->{err}";
}

# Run the call until it waits for a lock that another session holds, give the name of her
# schema to another one, and let the call go on; then give it back.  What the call says.
sub attempt_between_schemas
{
	my ($call, $lock) = @_;
	my $gate = start_session($node, 'gate', 'BEGIN', $lock, 'SELECT pg_sleep(600)');
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'gate' AND wait_event = 'PgSleep'}) or die 'no gate';
	my $caller = start_session($node, 'caller', $call);
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'caller' AND wait_event_type = 'Lock'}) or die 'does not wait';
	$node->safe_psql('postgres', 'SET ROLE mallory; ALTER SCHEMA hers RENAME TO before; ALTER SCHEMA other RENAME TO hers');
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gate'});
	$_->{run}->finish for ($gate, $caller);
	$node->safe_psql('postgres', 'ALTER SCHEMA hers RENAME TO other; ALTER SCHEMA before RENAME TO hers');
	return $caller->{err};
}

my @attempts = (
	[ evaluate => '1::bigint' ], [ evaluate => 'NULL::tid' ], [ evaluate => 'hers.once()' ],
	[ precision_recall => '1::bigint' ], [ plot => '1::bigint' ], [ compare_models => 'NULL::tid' ],
	[ train => '1::bigint' ], [ train => 'NULL::tid' ],
	[ encode_table => q{'tid'::hers.disguise} ], [ encode_table => 'hers.once()' ]);
for (@attempts)
{
	my ($name, $place) = @$_;
	my $error = attempt('mallory', $calls{$name}, 'ALTER TABLE hers.pair RENAME TO pair_before',
		"CREATE VIEW hers.pair AS SELECT id, label, image, words, code, made, 0::oid AS tableoid, $place AS ctid FROM hers.pair_before");
	# Evaluation locks the relation before it looks for its name; the others find out that it is another.
	if ($name =~ /train|encode/) { like($error, qr/ERROR:.*(replaced|renamed) while/, "$name: a view whose ctid is $place"); }
	else { is($error, '', "$name: the relation that was given, not a view whose ctid is $place"); }
	$node->safe_psql('postgres', q{DROP VIEW hers.pair; ALTER TABLE hers.pair_before RENAME TO pair});
}

# Her schema, a table of the superuser's in it: by another schema of that name she
# would get his rights for her trigger.
$node->safe_psql('postgres', q{
ALTER TABLE hers.pair OWNER TO CURRENT_USER;
GRANT CREATE ON DATABASE postgres TO mallory;
SET ROLE mallory;
CREATE SCHEMA other;
CREATE TABLE other.pair (id integer, label integer, image real[], words real[], code bitcode, made bitcode);
INSERT INTO other.pair SELECT id, 1, '{1,2,3}', '{1,2,3}', '1', NULL FROM generate_series(1, 80) AS id;
CREATE TRIGGER note BEFORE UPDATE ON other.pair FOR EACH STATEMENT EXECUTE FUNCTION hers.note()});
for my $mode ('ACCESS EXCLUSIVE', 'SHARE')
{
	my $error = attempt_between_schemas($calls{encode_table}, "LOCK hers.pair IN $mode MODE");
	like($error, qr/ERROR:.*renamed while/, "encode_table, held up by a lock in $mode mode: another schema of that name");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM ran_as'), 0, 'and no trigger in it has run');
}

# A comparison has looked at the relation, and waits for a model: another schema gets
# the name of hers, with columns of other types.
$node->safe_psql('postgres', q{
ALTER TABLE hers.pair OWNER TO mallory});
for my $change ('ALTER label TYPE text', 'ALTER image TYPE double precision[]', 'DROP words, ADD words bytea')
{
	$node->safe_psql('postgres', "SET ROLE mallory; DROP TABLE other.pair; CREATE TABLE other.pair AS TABLE hers.pair; ALTER TABLE other.pair $change");
	my $error = attempt_between_schemas($calls{compare_models}, 'LOCK model');
	like($error, qr/ERROR:.*altered while it began to be read/, "compare_models: another schema of that name, whose table has had $change");
}

# While the pairs are read, a model becomes one of longer codes: it goes on with what it began with.
$node->safe_psql('postgres', q{
SET client_min_messages = error;
CALL xmhash_train('long', 'hers.pair', 'image', 'words', 2000, 'kernel_ridge', options => '{"anchors": 10, "dimensions": 2}');
ALTER TABLE model OWNER TO mallory;
CREATE FUNCTION hold(id integer) RETURNS boolean LANGUAGE plpgsql STABLE AS
  $$ BEGIN IF id = 1500 THEN PERFORM pg_advisory_xact_lock_shared(2); END IF; RETURN true; END $$;
CREATE VIEW held AS
  SELECT n % 3 AS label, (SELECT image FROM hers.pair WHERE id = 1 + n % 80) AS image, (SELECT words FROM hers.pair WHERE id = 1 + n % 80) AS words
  FROM generate_series(1, 3000) AS n WHERE hold(n)});
my $gate = start_session($node, 'gate', 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(600)');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'gate' AND wait_event = 'PgSleep'}) or die 'no gate';
my $caller = start_session($node, 'caller', q{SELECT bits, pairs FROM xmhash_compare_models('{model}', 'held', 'image', 'words', 'label')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'caller' AND wait_event = 'advisory'}) or die 'does not wait';
$node->safe_psql('postgres', 'BEGIN; DELETE FROM model; INSERT INTO model SELECT * FROM long; COMMIT');
is($node->safe_psql('postgres', q{SELECT length(xmhash_encode_image('model', '{1,2,3}'))}), 2000, 'a model of longer codes takes the place of one');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gate'});
$_->{run}->finish for ($gate, $caller);
is($caller->{err}, '', 'a comparison that began before goes on');
like($caller->{out}, qr/16\|3000/, 'with the codes that it began with');
is($node->safe_psql('postgres', q{SELECT bits, pairs FROM xmhash_compare_models('{model}', 'held', 'image', 'words', 'label')}), '2000|3000', 'the next one has the others');

$node->stop;
done_testing();

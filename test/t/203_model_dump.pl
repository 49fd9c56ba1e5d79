# Models and codes survive dump and restore, whatever the schemas are called,
# into a database where nothing is in the search path; codes arrive as they
# were, kept current by a trigger that is restored too.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'xmhash.progress = off');
$node->start;

my $schema = 'Ext "quoted" $1%s';
(my $quoted = $schema) =~ s/"/""/g;
$quoted = qq{"$quoted"};

sub query { my ($database, $query) = @_; return $node->safe_psql($database, $query); }

$node->safe_psql('postgres', 'CREATE DATABASE source');
query('source', qq{
CREATE SCHEMA $quoted;
CREATE EXTENSION xmhash SCHEMA $quoted;
CREATE ROLE alice;
CREATE ROLE bob;
CREATE SCHEMA "Data";
GRANT ALL ON SCHEMA "Data", $quoted TO PUBLIC;
CREATE TABLE "Data"."Pairs" AS
  SELECT id, 'c' || id % 4 AS label,
         ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 20) AS n) AS image,
         ARRAY(SELECT ((id + n) % 5 = 0)::integer::real FROM generate_series(1, 30) AS n) AS words,
         NULL::$quoted.bitcode AS image_code, NULL::$quoted.bitcode AS words_code
  FROM generate_series(1, 300) AS id;
ALTER TABLE "Data"."Pairs" OWNER TO alice;
SET ROLE alice;
CALL $quoted.xmhash_train('of alice', '"Data"."Pairs"', 'image', 'words', 24, options => '{"epochs": 3, "text_hidden": 12, "scale": "standard"}');
CALL $quoted.xmhash_train('labelled', '"Data"."Pairs"', 'image', 'words', 16, 'dmsh_ln', 'label', options => '{"epochs": 2}');
CALL $quoted.xmhash_encode_table('of alice', '"Data"."Pairs"', 'image', 'image_code', 'words', 'words_code');
CREATE TRIGGER image_code BEFORE INSERT OR UPDATE OF image ON "Data"."Pairs"
  FOR EACH ROW EXECUTE FUNCTION $quoted.xmhash_encode_trigger('of alice', 'image', 'image', 'image_code');
RESET ROLE;
});
# A training that was interrupted, with a checkpoint.
my (undef, undef, $said) = $node->psql('source', qq{SET statement_timeout = 1500;
CALL $quoted.xmhash_train('unfinished', '"Data"."Pairs"', 'image', 'words', 8, options => '{"epochs": 500000, "checkpoint_seconds": 0}')});
like($said, qr/statement timeout/, 'a training is interrupted');

my $codes = q{SELECT md5(string_agg(concat_ws(' ', id, image_code, words_code), ',' ORDER BY id)) FROM "Data"."Pairs"};
my $models = qq{SELECT string_agg(concat_ws(' ', m.*), ',' ORDER BY name) FROM $quoted.xmhash_models m};
my $parts = qq{SELECT md5(string_agg(concat_ws(' ', p.*), ',' ORDER BY model, part)) FROM $quoted.xmhash_model_part p};
my $logs = qq{SELECT md5(string_agg(concat_ws(' ', p.*), ',' ORDER BY model, epoch)) FROM $quoted.xmhash_training_log p};
my $checkpoints = qq{SELECT md5(string_agg(concat_ws(' ', p.*), ',' ORDER BY model, part)) FROM $quoted.xmhash_checkpoint_part p};
my $again = qq{SELECT bool_and(image_code OPERATOR($quoted.=) $quoted.xmhash_encode_image('of alice', image)
  AND words_code OPERATOR($quoted.=) $quoted.xmhash_encode_text('of alice', words)) FROM "Data"."Pairs"};
is(query('source', $again), 't', 'codes are those of the model');

my $dump = $node->basedir . '/dump';
for my $format ('plain', 'custom')
{
	my $target = "target_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $target");
	command_ok([ 'pg_dump', "--format=$format", '-f', $dump, $node->connstr('source') ], "dumped, $format");
	command_ok($format eq 'plain' ?
		  [ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr($target) ] :
		  [ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $node->connstr($target), $dump ],
		"restored, $format");
	for my $query ($codes, $models, $parts, $logs, $checkpoints)
	{
		is(query($target, $query), query('source', $query), "as it was: $query");
	}
	is(query($target, qq{SET search_path = ''; $again}), 't', 'the restored model gives the restored codes');
	is(query($target, qq{SET ROLE alice; INSERT INTO "Data"."Pairs" SELECT 1000, NULL, image FROM "Data"."Pairs" WHERE id = 5;
		SELECT a.image_code::text = b.image_code::text FROM "Data"."Pairs" a, "Data"."Pairs" b WHERE a.id = 5 AND b.id = 1000}),
		't', 'the restored trigger encodes');
	my (undef, undef, $error) = $node->psql($target, qq{SET ROLE bob; SELECT $quoted.xmhash_encode_image('of alice', '{1}')});
	like($error, qr/model "of alice" does not exist/, 'the restored model has its owner');
	(undef, undef, $error) = $node->psql($target,
		qq{DELETE FROM "Data"."Pairs" WHERE id = 1000; SET xmhash.progress = on; SET statement_timeout = 1000; CALL $quoted.xmhash_train_resume('unfinished')});
	like($error, qr/resuming after epoch [1-9]/, 'the restored checkpoint is one to go on from');
	is(query($target, q{SELECT count(*) FROM pg_depend d, pg_class c WHERE d.objid = c.oid AND d.deptype = 'e' AND relname ~ '^xmhash_'}),
		query('source', q{SELECT count(*) FROM pg_depend d, pg_class c WHERE d.objid = c.oid AND d.deptype = 'e' AND relname ~ '^xmhash_'}),
		'tables belong to the extension');
}

# A model whose owner is gone, whatever kept its role from staying, is not
# dumped: its owner's number may be another role's elsewhere.
query('source', qq{CREATE ROLE gone; GRANT SELECT ON "Data"."Pairs" TO gone;
	ALTER TABLE $quoted.xmhash_model DISABLE TRIGGER xmhash_model_ownership;
	SET ROLE gone; CALL $quoted.xmhash_train('left', '"Data"."Pairs"', 'image', 'words', 8, options => '{"epochs": 1}'); RESET ROLE;
	DROP OWNED BY gone; DROP ROLE gone;
	ALTER TABLE $quoted.xmhash_model ENABLE ALWAYS TRIGGER xmhash_model_ownership});
like(query('source', qq{SELECT owner FROM $quoted.xmhash_model WHERE name = 'left'}), qr/^[0-9]+$/, 'a number is all that is known of its owner');
$node->safe_psql('postgres', 'CREATE DATABASE target_left');
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('source') ], 'dumped with a model of nobody');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('target_left') ], 'and restored');
is(query('target_left', qq{SELECT string_agg(name, ',' ORDER BY name) FROM $quoted.xmhash_model}), 'labelled,of alice,unfinished', 'without that one');
my ($status, undef, $refused) = $node->psql('target_left', 'DROP ROLE alice');
like($refused, qr/role "alice" cannot be dropped/, 'restored models keep their owners from being dropped');
like($refused, qr/\d objects in database source/, 'as do those they were made of');
query('source', qq{DELETE FROM $quoted.xmhash_model WHERE name = 'left'});

# The owner of the target schema puts operators there that fit better than those
# the views mean: they are not taken.
$node->safe_psql('postgres', 'CREATE DATABASE captured');
query('captured', q{
CREATE SCHEMA trap;
SET search_path = trap, public;
DO $$
DECLARE
  a text;
  b text;
  o text;
  -- Those that exist in pg_catalog are found there first.
  types text[] := '{bigint,integer,smallint,oid,regrole,regclass,text,name,varchar,uuid,jsonb,boolean,real,real[]}';
BEGIN
  FOREACH a IN ARRAY types LOOP FOREACH b IN ARRAY types LOOP
    EXECUTE format('CREATE FUNCTION trap.trap(%1$s, %2$s) RETURNS %1$s IMMUTABLE LANGUAGE sql AS ''SELECT $1''', a, b);
    EXECUTE format('CREATE FUNCTION trap.trap_boolean(%1$s, %2$s) RETURNS boolean IMMUTABLE LANGUAGE sql AS ''SELECT true''', a, b);
    FOREACH o IN ARRAY '{=,<>,<,>,<=,>=,~}'::text[] LOOP
      EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.trap_boolean)', o, a, b);
    END LOOP;
    FOREACH o IN ARRAY '{&,|,#,>>,<<,->>,+,-,*,/,||}'::text[] LOOP
      EXECUTE format('CREATE OPERATOR trap.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = trap.trap)', o, a, b);
    END LOOP;
  END LOOP; END LOOP;
END $$;
CREATE EXTENSION xmhash SCHEMA trap});
is(query('captured', q{SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) || ' uses ' || o.oid::regoperator, '; ')
	FROM pg_depend d JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND d.refobjid = o.oid
	JOIN pg_proc f ON f.oid = o.oprcode WHERE f.proname LIKE 'trap%'}), '', 'no view, policy or constraint has taken an operator of the schema');
is(query('captured', q{SELECT count(*) FROM trap.xmhash_models, trap.xmhash_training}), 0, 'and the views work');

# A role that bypasses row security can dump and restore; another is told.
query('source', 'CREATE ROLE dumper LOGIN BYPASSRLS IN ROLE pg_read_all_data; CREATE ROLE nobody LOGIN IN ROLE pg_read_all_data');
command_ok([ 'pg_dump', '-f', $dump, $node->connstr('source') . ' user=dumper' ], 'a role with BYPASSRLS dumps');
command_fails_like([ 'pg_dump', '-f', $dump, $node->connstr('source') . ' user=nobody' ],
	qr/query would be affected by row-level security policy/, 'one without is told so');

# A model that is in use by one session is dropped by another.
my $session = $node->background_psql('source', on_error_stop => 0) if $node->can('background_psql');
SKIP:
{
	skip 'no background_psql', 2 unless $session;
	is($session->query_safe(qq{SELECT length($quoted.xmhash_encode_image('labelled', image)::bit varying) FROM "Data"."Pairs" LIMIT 1}), '16', 'in use');
	query('source', qq{SELECT $quoted.xmhash_drop_model('labelled')});
	my ($output) = $session->query(qq{SELECT $quoted.xmhash_encode_image('labelled', image) FROM "Data"."Pairs" LIMIT 1});
	like($session->{stderr}, qr/model "labelled" does not exist/, 'and gone, though it was remembered');
	$session->quit;
}

# DROP EXTENSION takes all of it along, and it can be made again.
query('target_plain', qq{DROP EXTENSION xmhash CASCADE; CREATE EXTENSION xmhash SCHEMA $quoted});
is(query('target_plain', qq{SELECT count(*) FROM $quoted.xmhash_models}), 0, 'dropped and made again, it is empty');

$node->stop;
done_testing();

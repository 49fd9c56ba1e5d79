# Models and codes survive dump and restore as tables do: by the database's
# owner, who is no superuser; whole, in parallel, schema first and data second,
# without the roles that owned them, one model alone, and by pg_upgrade; with
# the extension in a schema that no search path names.
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
$node->append_conf('postgresql.conf', 'xmhash.progress = off');
$node->start;

my $schema = 'Ext "quoted" $1%s';
(my $quoted = $schema) =~ s/"/""/g;
$quoted = qq{"$quoted"};

sub query { my ($database, $query) = @_; return $node->safe_psql($database, $query); }

# As the owner of the database.
sub as_owner { my ($database, $query) = @_; return query($database, "SET SESSION AUTHORIZATION owner; $query"); }

sub owned { my $database = shift; return $node->connstr($database) . ' user=owner'; }

sub make_database
{
	my $database = shift;
	query('postgres', "CREATE DATABASE $database OWNER owner TEMPLATE template0");
	query('postgres', "GRANT CREATE ON DATABASE $database TO alice");
	return $database;
}

query('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE alice; CREATE ROLE bob; GRANT alice TO owner');
make_database('source');
as_owner('source', "CREATE SCHEMA $quoted; CREATE EXTENSION xmhash SCHEMA $quoted");
my $dump = $node->basedir . '/dump';
command_ok([ 'pg_dump', '-f', $dump, owned('source') ], 'the owner of a database dumps it, with the extension and no model');

as_owner('source', qq{
CREATE SCHEMA "Data" AUTHORIZATION alice;
GRANT ALL ON SCHEMA "Data", $quoted TO alice, bob;
CREATE TABLE "Data"."Pairs" AS
  SELECT id, 'c' || id % 4 AS label,
         ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 20) AS n) AS image,
         ARRAY(SELECT ((id + n) % 5 = 0)::integer::real FROM generate_series(1, 30) AS n) AS words,
         NULL::$quoted.bitcode AS image_code, NULL::$quoted.bitcode AS words_code
  FROM generate_series(1, 300) AS id;
ALTER TABLE "Data"."Pairs" OWNER TO alice;
SET ROLE alice;
CALL $quoted.xmhash_train('"Data"."Of Alice"', '"Data"."Pairs"', 'image', 'words', 24, options => '{"epochs": 3, "text_hidden": 12, "scale": "standard"}');
CALL $quoted.xmhash_train('"Data".labelled', '"Data"."Pairs"', 'image', 'words', 16, 'dmsh_ln', 'label', options => '{"epochs": 2}');
CALL $quoted.xmhash_encode_table('"Data"."Of Alice"', '"Data"."Pairs"', 'image', 'image_code', 'words', 'words_code');
CREATE TRIGGER image_code BEFORE INSERT OR UPDATE OF image ON "Data"."Pairs"
  FOR EACH ROW EXECUTE FUNCTION $quoted.xmhash_encode_trigger('"Of Alice"', 'image', 'image', 'image_code');
CREATE TRIGGER words_code BEFORE INSERT OR UPDATE OF words ON "Data"."Pairs"
  FOR EACH ROW EXECUTE FUNCTION $quoted.xmhash_encode_trigger('"Of Alice"', 'text', 'words', 'words_code');
CREATE INDEX by_code ON "Data"."Pairs" ($quoted.xmhash_encode_text('"Data".labelled', words));
CREATE VIEW "Data".coded AS SELECT id, $quoted.xmhash_encode_image('"Data".labelled', image) AS code FROM "Data"."Pairs";
CREATE MATERIALIZED VIEW "Data".kept AS SELECT id, $quoted.xmhash_encode_image('"Data".labelled', image) AS code FROM "Data"."Pairs";
});

# A training that was interrupted, with a checkpoint.
my $said = stopped_when($node, 'source', q{SELECT count(*) > 1 FROM "Data".unfinished WHERE part = 'epoch'}, 'SET SESSION AUTHORIZATION owner',
	qq{CALL $quoted.xmhash_train('"Data".unfinished', '"Data"."Pairs"', 'image', 'words', 8, options => '{"epochs": 500000, "checkpoint_seconds": 0}')});
like($said, qr/canceling statement due to user request/, 'a training is interrupted');
my $epochs = query('source', q{SELECT count(*) FROM "Data".unfinished WHERE part = 'epoch'});

my @contents = (
	q{SELECT md5(string_agg(concat_ws(' ', id, image_code, words_code), ',' ORDER BY id)) FROM "Data"."Pairs"},
	qq{SELECT string_agg(to_jsonb(m) - 'owner'::text #>> '{}', ',' ORDER BY model::text) FROM $quoted.xmhash_models m},
	qq{SELECT md5(string_agg(concat_ws(' ', e.*), ',' ORDER BY model::text, epoch)) FROM $quoted.xmhash_training e},
	(map { qq{SELECT md5(string_agg(concat_ws(' ', m.*), ',' ORDER BY part, number)) FROM "Data".$_ m} } '"Of Alice"', 'labelled', 'unfinished'),
	q{SELECT md5(string_agg(concat_ws(' ', id, code), ',' ORDER BY id)) FROM "Data".coded},
	q{SELECT string_agg(attname || attstorage::text, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = '"Data".labelled'::regclass AND attnum > 0});
my $again = qq{SELECT bool_and(image_code OPERATOR($quoted.=) $quoted.xmhash_encode_image('"Data"."Of Alice"', image)
  AND words_code OPERATOR($quoted.=) $quoted.xmhash_encode_text('"Data"."Of Alice"', words)) FROM "Data"."Pairs"};
is(query('source', $again), 't', 'codes are those of the model');

# What a restored database must be like.
sub check
{
	my ($database, $how, $owner) = @_;
	for my $query (@contents)
	{
		is(query($database, $query), query('source', $query), "$how: as it was: $query");
	}
	is(query($database, "SET search_path = ''; $again"), 't', "$how: the restored model gives the restored codes");
	is(query($database, qq{SET enable_seqscan = off; SELECT count(*) FROM "Data"."Pairs" WHERE $quoted.xmhash_encode_text('"Data".labelled', words)
		OPERATOR($quoted.=) (SELECT $quoted.xmhash_encode_text('"Data".labelled', words) FROM "Data"."Pairs" WHERE id = 7)}),
		query('source', qq{SET enable_indexscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM "Data"."Pairs" WHERE $quoted.xmhash_encode_text('"Data".labelled', words)
		OPERATOR($quoted.=) (SELECT $quoted.xmhash_encode_text('"Data".labelled', words) FROM "Data"."Pairs" WHERE id = 7)}), "$how: the index on codes is right");
	is(query($database, qq{SET ROLE $owner; INSERT INTO "Data"."Pairs" SELECT 1000, NULL, image FROM "Data"."Pairs" WHERE id = 5;
		SELECT a.image_code::text = b.image_code::text FROM "Data"."Pairs" a, "Data"."Pairs" b WHERE a.id = 5 AND b.id = 1000}),
		't', "$how: the restored trigger encodes");
	my (undef, undef, $error) = $node->psql($database, 'DROP TABLE "Data".labelled');
	like($error, qr/index "Data".by_code depends on table "Data".labelled/, "$how: what needs the model is named before it goes");
	$node->safe_psql($database, 'DELETE FROM "Data"."Pairs" WHERE id = 1000');
	$error = stopped_when($node, $database, qq{SELECT count(*) > $epochs FROM "Data".unfinished WHERE part = 'epoch'}, 'SET xmhash.progress = on',
		qq{CALL $quoted.xmhash_train_resume('"Data".unfinished')});
	like($error, qr/resuming after epoch [1-9]/, "$how: the restored checkpoint is one to go on from");
	return;
}

make_database('target_plain');
command_ok([ 'pg_dump', '-f', $dump, owned('source') ], 'dumped by the owner of the database');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, owned('target_plain') ], 'restored by the owner of the other');
check('target_plain', 'plain', 'alice');
(undef, undef, my $refused) = $node->psql('target_plain', qq{SET ROLE bob; SELECT $quoted.xmhash_encode_image('"Data"."Of Alice"', '{1}')});
like($refused, qr/permission denied for table Of Alice/, 'the restored model has its owner');

make_database('target_parallel');
command_ok([ 'pg_dump', '-Fc', '-f', $dump, owned('source') ], 'dumped, custom format');
command_ok([ 'pg_restore', '--exit-on-error', '-j', '4', '-d', owned('target_parallel'), $dump ], 'restored by four jobs');
check('target_parallel', '-Fc -j4', 'alice');

# Schema first, data second: the trigger is there before its model.
make_database('target_two');
command_ok([ 'pg_dump', '-s', '-f', "$dump.schema", owned('source') ], 'the schema alone');
command_ok([ 'pg_dump', '-a', '-f', "$dump.data", owned('source') ], 'the data alone');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.schema", owned('target_two') ], 'the schema restored');
query('target_two', 'DROP INDEX "Data".by_code');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', "$dump.data", owned('target_two') ], 'then the data');
is(query('target_two', q{SELECT count(*) FROM pg_class WHERE relname = 'kept'}), 1, 'with the materialized view');
query('target_two', qq{CREATE INDEX by_code ON "Data"."Pairs" ($quoted.xmhash_encode_text('"Data".labelled', words))});
check('target_two', '-s, then -a', 'alice');

# On a server without the old roles, by an owner of another name there.
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->start;
$other->safe_psql('postgres', 'CREATE ROLE heir LOGIN; CREATE DATABASE target OWNER heir');
command_ok([ 'pg_restore', '--exit-on-error', '--no-owner', '--no-privileges', '-d', $other->connstr('target') . ' user=heir', $dump ],
	'restored without the roles that owned it');
is($other->safe_psql('target', $again), 't', 'the model gives the restored codes');
is($other->safe_psql('target', qq{SELECT string_agg(DISTINCT owner::text, ',') || count(*) FROM $quoted.xmhash_models}), 'heir3', 'and all models belong to who restored them');
$other->stop;

# One model alone.
make_database('target_one');
as_owner('target_one', qq{CREATE SCHEMA $quoted; CREATE EXTENSION xmhash SCHEMA $quoted; CREATE SCHEMA "Data" AUTHORIZATION alice});
command_ok([ 'pg_dump', '-t', '"Data".labelled', '-f', $dump, owned('source') ], 'one model dumped');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, owned('target_one') ], 'and restored');
is(query('target_one', qq{SELECT string_agg(concat_ws(' ', model, status, bits), ',') FROM $quoted.xmhash_models}), '"Data".labelled trained 16', 'alone');
my $code = qq{SELECT $quoted.xmhash_encode_image('"Data".labelled', ARRAY(SELECT cos(n)::real FROM generate_series(1, 20) n))};
is(query('target_one', $code), query('source', $code), 'it gives the same codes');

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
  types text[] := '{bigint,integer,smallint,oid,regrole,regclass,regtype,"\"char\"",text,name,varchar,uuid,jsonb,boolean,real,real[]}';
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
	JOIN pg_proc f ON f.oid = o.oprcode WHERE f.proname LIKE 'trap%'}), '', 'no view has taken an operator of the schema');
is(query('captured', q{SELECT count(*) FROM trap.xmhash_models, trap.xmhash_training}), 0, 'and the views work');

# The extension leaves nothing in a schema that a tool could take for a table of
# the user's, and models go with it if they are to.
is(query('source', q{SELECT string_agg(c.relname, ',') FROM pg_class c JOIN pg_depend d ON d.objid = c.oid AND d.classid = 'pg_class'::regclass
	AND d.deptype = 'e' WHERE c.relkind IN ('r', 'p', 'S')}), '', 'the extension has no tables');
($_, undef, $said) = $node->psql('target_plain', 'DROP EXTENSION xmhash');
like($said, qr/table "Data".labelled depends on type/, 'DROP EXTENSION names the models');
query('target_plain', qq{DROP EXTENSION xmhash CASCADE; CREATE EXTENSION xmhash SCHEMA $quoted});
is(query('target_plain', qq{SELECT count(*) FROM $quoted.xmhash_models}), 0, 'dropped with them and made again, it is empty');

# pg_upgrade to the same release goes through the same steps as to a later one.
query('postgres', "DROP DATABASE $_") for ('target_plain', 'target_two', 'target_one', 'captured');
my %before = map { $_ => query('source', $_) } (@contents, $again);
$node->stop;
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
my ($old_bin, $new_bin) = ($node->config_data('--bindir')) x 2;
my $work = $node->basedir . '/upgrade';
mkdir $work or die "$work: $!";
chdir $work or die "$work: $!";
command_ok(
	[ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $upgraded->data_dir, '-b', $old_bin, '-B', $new_bin,
		'-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ],
	'pg_upgrade');
$upgraded->start;
is($upgraded->safe_psql('source', $_), $before{$_}, "upgraded: $_") for (@contents, $again);
$upgraded->stop;
done_testing();

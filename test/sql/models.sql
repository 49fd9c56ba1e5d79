-- A model is a table: who may use it, what happens to it, and what a session
-- remembers of it.
SET xmhash.progress = off;
\set SHOW_CONTEXT never
CREATE SCHEMA models_test;
SET search_path = models_test, public;
CREATE TABLE pairs (id integer PRIMARY KEY, image real[], words real[]);
INSERT INTO pairs
SELECT g, (SELECT array_agg(sin(i * g)::real) FROM generate_series(1, 6) i),
       (SELECT array_agg(((i + g) % 4 = 0)::integer::real) FROM generate_series(1, 8) i)
FROM generate_series(1, 64) g;
CREATE ROLE regress_xmhash_alice;
CREATE ROLE regress_xmhash_bob;
CREATE ROLE regress_xmhash_carol;
CREATE ROLE regress_xmhash_member;
GRANT regress_xmhash_alice TO regress_xmhash_member;
GRANT USAGE ON SCHEMA models_test TO PUBLIC;
GRANT CREATE ON SCHEMA models_test TO regress_xmhash_alice, regress_xmhash_bob;
GRANT SELECT ON pairs TO PUBLIC;
CREATE FUNCTION bits_of(model regclass) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT length(xmhash_encode_image(model, image)) FROM pairs WHERE id = 1);
END
$$;

-- The owner, whom she grants it to, and who is neither; cached or not.
SET ROLE regress_xmhash_alice;
CALL xmhash_train('scenes', 'pairs', 'image', 'words', 8, options => '{"epochs": 2}');
GRANT SELECT ON scenes TO regress_xmhash_bob;
SELECT model, owner, status FROM xmhash_models;
SELECT bits_of('scenes');
SET ROLE regress_xmhash_bob;
SELECT model, owner, status FROM xmhash_models;
SELECT model, count(*) FROM xmhash_training GROUP BY model;
SELECT bits_of('scenes');
SELECT count(xmhash_encode_text('scenes', words)) FROM pairs;
SELECT length(xmhash_export_model('scenes')) > 0 AS exported;
SET ROLE regress_xmhash_carol;
SELECT count(*) FROM xmhash_models;
SELECT count(*) FROM xmhash_training;
SELECT bits_of('scenes');
SELECT xmhash_encode_text('scenes', words) FROM pairs;
SELECT xmhash_export_model('scenes');
SELECT xmhash_plot_training('scenes');
SELECT method, status FROM xmhash_model_info('scenes');
SELECT count(*) FROM xmhash_model_epochs('scenes');
-- Rights to some columns are none to the model.
RESET ROLE;
GRANT SELECT (part, number, info, data) ON scenes TO regress_xmhash_carol;
SET ROLE regress_xmhash_carol;
SELECT bits_of('scenes');

-- Training belongs to the owner, or a member of that role.
SET ROLE regress_xmhash_bob;
CALL xmhash_train_resume('scenes');
CALL xmhash_train('scenes', 'pairs', 'image', 'words', 8);
SET ROLE regress_xmhash_carol;
CALL xmhash_train('other', 'pairs', 'image', 'words', 8);
SELECT xmhash_import_model('other', '');
SET ROLE regress_xmhash_member;
CALL xmhash_train_resume('scenes');

-- Revoked while it is cached; granted again.
SET ROLE regress_xmhash_bob;
PREPARE encode AS SELECT count(xmhash_encode_image('scenes', image)) FROM pairs;
EXECUTE encode;
RESET ROLE;
REVOKE SELECT ON scenes FROM regress_xmhash_bob;
SET ROLE regress_xmhash_bob;
EXECUTE encode;
RESET ROLE;
GRANT SELECT ON scenes TO regress_xmhash_bob;
SET ROLE regress_xmhash_bob;
EXECUTE encode;
-- By membership, which goes as well.
SET ROLE regress_xmhash_member;
EXECUTE encode;
RESET ROLE;
REVOKE regress_xmhash_alice FROM regress_xmhash_member;
SET ROLE regress_xmhash_member;
EXECUTE encode;
RESET ROLE;
GRANT regress_xmhash_alice TO regress_xmhash_member;

-- A function of alice's lends her rights, and SET ROLE takes them away again.
CREATE FUNCTION lent(features real[]) RETURNS bitcode LANGUAGE sql SECURITY DEFINER
    SET search_path = models_test, public AS $$ SELECT xmhash_encode_image('scenes', features) $$;
ALTER FUNCTION lent(real[]) OWNER TO regress_xmhash_alice;
SET ROLE regress_xmhash_carol;
SELECT count(lent(image)) FROM pairs;
EXECUTE encode;
SET ROLE regress_xmhash_alice;
EXECUTE encode;

-- A schema that may not be used hides the name, as of any table.
RESET ROLE;
CREATE SCHEMA models_hidden;
SELECT xmhash_import_model('models_hidden.m', xmhash_export_model('scenes'));
GRANT SELECT ON models_hidden.m TO regress_xmhash_bob;
SET ROLE regress_xmhash_bob;
SELECT bits_of('models_hidden.m');
RESET ROLE;

-- One name in two schemas, and in a session's own.
CREATE SCHEMA models_elsewhere;
CALL xmhash_train('models_elsewhere.scenes', 'pairs', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT bits_of('scenes') AS here, bits_of('models_elsewhere.scenes') AS elsewhere;
CALL xmhash_train('pg_temp.scenes', 'pairs', 'image', 'words', 24, options => '{"epochs": 1}');
SELECT bits_of('pg_temp.scenes') AS temporary, bits_of('models_test.scenes') AS here;
SELECT relpersistence FROM pg_class WHERE oid = 'pg_temp.scenes'::regclass;
SELECT count(*) FROM xmhash_models;
DROP TABLE pg_temp.scenes;
DROP SCHEMA models_elsewhere, models_hidden CASCADE;

-- Row security: the model is used as a whole or not at all.
SET ROLE regress_xmhash_alice;
ALTER TABLE scenes ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON scenes USING (true);
SELECT bits_of('scenes');
SET ROLE regress_xmhash_bob;
SELECT bits_of('scenes');
SELECT count(*) FROM xmhash_models WHERE status IS NOT NULL;
SET ROLE regress_xmhash_alice;
ALTER TABLE scenes FORCE ROW LEVEL SECURITY;
SELECT bits_of('scenes');
ALTER TABLE scenes NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY;
SET ROLE regress_xmhash_bob;
SELECT bits_of('scenes');

-- Renamed, moved, given away: what has its number goes on with it.
SET ROLE regress_xmhash_alice;
CREATE VIEW by_number AS SELECT count(xmhash_encode_image('scenes', image)) FROM pairs;
SELECT * FROM by_number;
ALTER TABLE scenes RENAME TO renamed;
SELECT * FROM by_number;
DROP VIEW by_number;
SELECT bits_of('scenes');
SELECT bits_of('renamed');
RESET ROLE;
ALTER TABLE renamed OWNER TO regress_xmhash_bob;
SET ROLE regress_xmhash_alice;
SELECT bits_of('renamed');
SET ROLE regress_xmhash_bob;
SELECT model, owner FROM xmhash_models;

-- A name that now stands for another model; all of it with the transaction.
CALL xmhash_train('second', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT bits_of('renamed'), bits_of('second');
BEGIN;
DROP TABLE renamed;
ALTER TABLE second RENAME TO renamed;
SELECT bits_of('renamed');
SAVEPOINT before;
DROP TABLE renamed;
SELECT bits_of('renamed');
ROLLBACK TO before;
SELECT bits_of('renamed');
ROLLBACK;
SELECT bits_of('renamed'), bits_of('second');
TRUNCATE second;
SELECT bits_of('second');
SELECT model, status, bits FROM xmhash_models WHERE model = 'second'::regclass;
BEGIN;
INSERT INTO second SELECT * FROM renamed;
SELECT bits_of('second');
ROLLBACK;
SELECT bits_of('second');
INSERT INTO second SELECT * FROM renamed;
SELECT bits_of('second');
RESET ROLE;

-- Roles: a model is an object like others.
DROP ROLE regress_xmhash_bob;
REASSIGN OWNED BY regress_xmhash_bob TO regress_xmhash_alice;
SELECT model, owner FROM xmhash_models ORDER BY model::text;
DROP OWNED BY regress_xmhash_bob;
DROP ROLE regress_xmhash_bob;

-- A table of the model's type is one, whoever made it; another is not.
CREATE TABLE handmade OF xmhash_model;
INSERT INTO handmade SELECT * FROM renamed WHERE part IN ('model', 'weights');
SELECT bits_of('handmade');
-- Rows that are changed by hand are noticed, there by a look at each call.
INSERT INTO handmade SELECT * FROM renamed WHERE part = 'weights';
SELECT bits_of('handmade');
ALTER TABLE handmade ALTER data SET STORAGE EXTERNAL;
SELECT bits_of('handmade');
UPDATE handmade SET number = number + 1 WHERE ctid = (SELECT max(ctid) FROM handmade);
SELECT bits_of('handmade');
DELETE FROM handmade WHERE part = 'weights' AND number = 1;
SELECT bits_of('handmade');
INSERT INTO handmade SELECT * FROM renamed WHERE part = 'model';
SELECT status FROM xmhash_models WHERE model = 'handmade'::regclass;
ALTER TABLE handmade ALTER data SET STORAGE EXTERNAL;
SELECT bits_of('handmade');
CREATE TABLE parted OF xmhash_model PARTITION BY LIST (part);
SELECT bits_of('parted');
CREATE TABLE untyped AS SELECT * FROM renamed;
SELECT bits_of('untyped');
ALTER TABLE untyped OF xmhash_model;
SELECT bits_of('untyped');
-- Columns that were dropped before others do not matter.
CREATE TABLE shifted (gone integer, part text COLLATE "C", number integer, more text, info jsonb, data bytea);
ALTER TABLE shifted DROP gone, DROP more;
ALTER TABLE shifted OF xmhash_model;
INSERT INTO shifted SELECT * FROM renamed;
ALTER TABLE shifted ADD PRIMARY KEY (part, number);
SELECT bits_of('shifted');

-- Of a model that was trained or imported, its trigger tells of changed rows.
SELECT xmhash_import_model('changing', xmhash_export_model('renamed'));
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid = 'changing'::regclass;
SELECT bits_of('changing');
BEGIN;
UPDATE changing SET data = substr(data, 5) WHERE part = 'weights';
SELECT bits_of('changing');
ROLLBACK;
SELECT bits_of('changing');
BEGIN;
SAVEPOINT before;
DELETE FROM changing WHERE part = 'weights';
SELECT bits_of('changing');
ROLLBACK TO before;
SELECT bits_of('changing');
COMMIT;
INSERT INTO changing SELECT part, 1, info, data FROM renamed WHERE part = 'weights';
SELECT bits_of('changing');
SET session_replication_role = replica;
DELETE FROM changing WHERE part = 'weights' AND number = 1;
SELECT bits_of('changing');
RESET session_replication_role;
COPY changing (part, number) FROM stdin;
weights	2
\.
SELECT bits_of('changing');
DELETE FROM changing WHERE part = 'weights' AND number = 2;
-- As it does where a plan has folded the call: new codes, and the right is asked for again.
SET plan_cache_mode = force_generic_plan;
PREPARE folded AS SELECT xmhash_encode_image('changing', '{1,2,3,4,5,6}');
PREPARE same AS SELECT xmhash_encode_image('changing', array_agg(n::real ORDER BY n)) = xmhash_encode_image('changing', '{1,2,3,4,5,6}') AS same FROM generate_series(1, 6) n;
EXECUTE same;
UPDATE changing SET data = decode(repeat('0000803f', octet_length(data) / 4 - 4) || '00000000000080bf000000000000803f', 'hex') WHERE part = 'weights';
EXECUTE same;
EXECUTE folded;
GRANT SELECT ON changing TO regress_xmhash_alice;
SET ROLE regress_xmhash_alice;
EXECUTE folded;
RESET ROLE;
REVOKE SELECT ON changing FROM regress_xmhash_alice;
SET ROLE regress_xmhash_alice;
EXECUTE folded;
-- But not of another role after a plan was made: a folded constant is what whoever made the plan might see, of any function.
RESET ROLE;
EXECUTE folded;
SET ROLE regress_xmhash_carol;
EXECUTE folded;
SELECT xmhash_encode_image('changing', '{1,2,3,4,5,6}');
RESET ROLE;
RESET plan_cache_mode;
-- Without its trigger, or with less of it, rows are looked at by each call.
ALTER TABLE changing DISABLE TRIGGER xmhash_model_changed;
SELECT bits_of('changing');
DELETE FROM changing WHERE part = 'weights';
SELECT bits_of('changing');
INSERT INTO changing SELECT * FROM renamed WHERE part = 'weights';
DROP TRIGGER xmhash_model_changed ON changing;
CREATE TRIGGER xmhash_model_changed AFTER INSERT ON changing FOR EACH ROW EXECUTE FUNCTION xmhash_model_changed();
ALTER TABLE changing ENABLE ALWAYS TRIGGER xmhash_model_changed;
SELECT bits_of('changing');
DELETE FROM changing WHERE part = 'weights';
SELECT bits_of('changing');
SELECT xmhash_model_changed();

-- A table that others' code would run for is not trained into.
CREATE FUNCTION unfinished(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE %s OF xmhash_model (PRIMARY KEY (part, number));
    INSERT INTO %1$s SELECT part, number, CASE part WHEN ''model'' THEN info || ''{"status": "training"}'' ELSE info END, data
    FROM renamed WHERE part <> ''weights''', name);
END
$$;
SELECT unfinished('half');
SELECT bits_of('half');
SELECT model, status, epochs_done FROM xmhash_models WHERE model = 'half'::regclass;
CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''run''; END';
CREATE TRIGGER never BEFORE INSERT OR UPDATE ON half FOR EACH ROW EXECUTE FUNCTION never();
CALL xmhash_train_resume('half');
DROP TRIGGER never ON half;
CREATE RULE never AS ON INSERT TO half DO INSTEAD NOTHING;
CALL xmhash_train_resume('half');
DROP RULE never ON half;
CREATE INDEX half_expression ON half ((info ->> 'status'));
CALL xmhash_train_resume('half');
DROP INDEX half_expression;
ALTER TABLE half ADD CONSTRAINT never CHECK (number >= 0);
CALL xmhash_train_resume('half');
ALTER TABLE half DROP CONSTRAINT never;
-- Compiled code would look for the value of a NULL.
UPDATE half SET data = '' WHERE data IS NULL;
ALTER TABLE half ALTER data SET NOT NULL;
CALL xmhash_train_resume('half');
ALTER TABLE half ALTER data DROP NOT NULL;
CREATE TABLE referring (part text COLLATE "C", number integer, FOREIGN KEY (part, number) REFERENCES half);
CALL xmhash_train_resume('half');
DROP TABLE referring;
CALL xmhash_train_resume('half');
SELECT model, status, epochs_done FROM xmhash_models WHERE model = 'half'::regclass;
SELECT count(*) AS same FROM half JOIN renamed USING (part, number, data) WHERE part = 'weights';

-- Rows that say what can't be: clear errors, from views and functions alike.
CREATE TABLE hostile OF xmhash_model (PRIMARY KEY (part, number));
CREATE FUNCTION try(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcome text;
  more text;
BEGIN
  TRUNCATE hostile;
  INSERT INTO hostile SELECT * FROM renamed;
  EXECUTE change;
  SELECT status INTO outcome FROM xmhash_models WHERE model = 'hostile'::regclass;
  PERFORM count(*), max(loss), max(epochs) FROM xmhash_training WHERE model = 'hostile'::regclass;
  RETURN outcome || ', ' || bits_of('hostile') || ' bits';
EXCEPTION WHEN data_corrupted OR object_not_in_prerequisite_state THEN
  GET STACKED DIAGNOSTICS more = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(', ', outcome, sqlstate, sqlerrm, more);
END
$$;
CREATE FUNCTION try_info(change jsonb) RETURNS text LANGUAGE sql AS $$
SELECT try(format('UPDATE hostile SET info = info || %L WHERE part = ''model''', change))
$$;
SELECT try('SELECT 1');
SELECT try('DELETE FROM hostile');
SELECT try('DELETE FROM hostile WHERE part = ''model''');
SELECT try('DELETE FROM hostile WHERE part = ''weights''');
SELECT try('UPDATE hostile SET info = NULL');
SELECT try('UPDATE hostile SET info = ''1''');
SELECT try('UPDATE hostile SET info = ''[]''');
SELECT try('UPDATE hostile SET info = ''{}''');
SELECT try('UPDATE hostile SET data = NULL');
SELECT try('UPDATE hostile SET data = ''''');
SELECT try('UPDATE hostile SET data = data || data');
SELECT try('UPDATE hostile SET data = decode(repeat(''ff'', octet_length(data)), ''hex'')');
SELECT try('UPDATE hostile SET data = decode(repeat(''0000807f'', octet_length(data) / 4), ''hex'')');
SELECT try('UPDATE hostile SET number = 2000000000 WHERE part = ''weights''');
SELECT try('UPDATE hostile SET number = -1 WHERE part = ''weights''');
SELECT try('UPDATE hostile SET number = 7 WHERE part = ''model''');
SELECT try('INSERT INTO hostile SELECT part, 1, info, data FROM hostile WHERE part = ''weights''');
SELECT try_info('{"format": 3}');
SELECT try_info('{"format": 1e4000}');
SELECT try_info('{"status": "great"}');
SELECT try_info('{"status": 7}');
SELECT try_info('{"status": "training"}');
SELECT try_info(jsonb_build_object('method', repeat('A', 2000)));
SELECT try_info('{"bits": 0}');
SELECT try_info('{"bits": 8.5}');
SELECT try_info('{"bits": 16384}');
SELECT try_info('{"bits": 1e10}');
SELECT try_info('{"image": null}');
SELECT try_info('{"image": {"layers": [6, 1, 1, 1, 1, 1, 1, 1, 1, 8], "scales": 1}}');
SELECT try('UPDATE hostile SET info = info - ''text'' - ''image'' WHERE part = ''model''');
-- One network alone, as files may have it: encoding by the other says so.
SELECT try('UPDATE hostile SET info = info - ''image'' WHERE part = ''model''');
TRUNCATE hostile;
INSERT INTO hostile SELECT part, number, info - 'image', substr(data, 1, 4 * (9 * 8 + 2)) FROM renamed;
SELECT bits_of('hostile');
SELECT length(xmhash_encode_text('hostile', words)) FROM pairs WHERE id = 1;
SELECT image_dimensions, text_dimensions, image_hidden, text_hidden FROM xmhash_models WHERE model = 'hostile'::regclass;
SELECT try_info('{"image": {"layers": [6, 8]}}');
SELECT try_info('{"image": {"layers": [], "scales": 1}}');
SELECT try_info('{"image": {"layers": [-6, 8], "scales": 1}}');
SELECT try_info('{"image": {"layers": [6, 0, 8], "scales": 1}}');
SELECT try_info('{"image": {"layers": [6, 7], "scales": 1}}');
SELECT try_info('{"image": {"layers": [6, 8], "scales": 3}}');
SELECT try_info('{"image": {"layers": [6, "8"], "scales": 1}}');
SELECT try_info('{"image": {"layers": {"6": 8}, "scales": 1}}');
SELECT try_info('{"image": {"layers": [1048576, 65536, 8], "scales": 1048576}}');
SELECT try_info('{"classes": "a"}');
SELECT try_info('{"classes": [["a"]]}');
SELECT try_info('{"classes": [1]}');
SELECT try_info('{"digest": "zz"}');
SELECT try_info('{"pairs": -5}');
SELECT try_info('{"created": 1e300}');
SELECT try_info('{"epochs_done": 3000000000}');
SELECT try_info('{"loss": "NaN"}');
SELECT try_info('{"options": [1], "source": 5}');
SELECT try_info('{"options": {"epochs": "many"}}');
SELECT try_info('{"classes": ["a", "b"], "loss": -1e307, "seconds": 0, "created": 1}');
SELECT try('UPDATE hostile SET info = ''{"loss": "x", "loss_terms": {"a": {}}, "seconds": -1, "validation_map": 1e999}'' WHERE part = ''epoch''');
SELECT epoch, epochs, loss, loss_terms, seconds, validation_map FROM xmhash_training WHERE model = 'hostile'::regclass;
SELECT length(xmhash_plot_training('hostile')) > 0 AS drawn;

-- Checkpoints are as hostile.
CREATE FUNCTION try_resume(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  more text;
BEGIN
  DROP TABLE hostile;
  PERFORM unfinished('hostile');
  INSERT INTO hostile VALUES ('checkpoint', 0, '{"epoch": 1, "threads": 1, "blas": "none"}', '');
  EXECUTE change;
  CALL xmhash_train_resume('hostile');
  RETURN (SELECT status FROM xmhash_models WHERE model = 'hostile'::regclass);
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS more = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(', ', sqlstate, sqlerrm, nullif(more, ''));
END
$$;
CREATE FUNCTION try_checkpoint(info jsonb) RETURNS text LANGUAGE sql AS $$
SELECT try_resume(format('UPDATE hostile SET info = %L WHERE part = ''checkpoint''', info))
$$;
SELECT try_resume('DELETE FROM hostile WHERE part = ''checkpoint''');
SELECT try_checkpoint(NULL);
SELECT try_checkpoint('[]');
SELECT try_checkpoint('{}');
SELECT try_checkpoint('{"epoch": 0, "threads": 1, "blas": "none"}');
SELECT try_checkpoint('{"epoch": 3, "threads": 1, "blas": "none"}');
SELECT try_checkpoint('{"epoch": 1.5, "threads": 1, "blas": "none"}');
SELECT try_checkpoint('{"epoch": 1, "threads": 2000000000, "blas": "none"}');
SELECT try_checkpoint('{"epoch": 1, "threads": 1, "blas": 1}');
SELECT try_checkpoint('{"epoch": 1, "threads": 1, "blas": "none", "best_epoch": 2, "best_map": 0.5}');
SELECT try_checkpoint('{"epoch": 1, "threads": 1, "blas": "none", "best_epoch": 1}');
SET client_min_messages = error;
SELECT try_resume('SELECT 1');
SELECT try_resume('UPDATE hostile SET data = ''\x00000000'' WHERE part = ''checkpoint''');
RESET client_min_messages;
SELECT try_resume('UPDATE hostile SET info = info || ''{"options": {"epochs": -1}}'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info - ''options'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info - ''pairs'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info || ''{"method": "magic"}'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info || ''{"source": {"relation": "no_such"}}'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info || ''{"source": {"relation": "; DROP TABLE pairs"}}'' WHERE part = ''model''');
SELECT try_resume('UPDATE hostile SET info = info || ''{"digest": "0000000000000000"}'' WHERE part = ''model''');

-- Parallel workers encode; a temporary model is out of their reach.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(xmhash_encode_image('renamed', image)) FROM pairs;
SELECT count(xmhash_encode_image('renamed', image)) FROM pairs;
SELECT count(DISTINCT pg_typeof(xmhash_encode_text('renamed', words))) FROM pairs;
SELECT xmhash_import_model('pg_temp.mine', xmhash_export_model('renamed'));
SELECT count(xmhash_encode_image('mine', image)) FROM pairs;
SET max_parallel_workers_per_gather = 0;
SELECT count(xmhash_encode_image('mine', image)) FROM pairs;

-- The functions and the type go to another schema together.
CREATE SCHEMA models_elsewhere;
BEGIN;
ALTER EXTENSION xmhash SET SCHEMA models_elsewhere;
SELECT count(*) > 1 AS there FROM models_elsewhere.xmhash_models;
SELECT count(models_elsewhere.xmhash_encode_image('renamed', image)) FROM pairs;
ROLLBACK;

SET client_min_messages = warning;
DROP SCHEMA models_test, models_elsewhere CASCADE;
DROP ROLE regress_xmhash_alice, regress_xmhash_carol, regress_xmhash_member;

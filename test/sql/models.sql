-- Models: who may use them, drop, rename, and what a session remembers.
SET xmhash.progress = off;
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
GRANT regress_xmhash_alice TO regress_xmhash_carol;
GRANT USAGE ON SCHEMA models_test TO PUBLIC;
GRANT SELECT ON pairs TO PUBLIC;

SET ROLE regress_xmhash_alice;
CALL xmhash_train('of alice', 'pairs', 'image', 'words', 8, options => '{"epochs": 2}');
SELECT name, owner FROM xmhash_models;
SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;

-- Not seen, used, dropped, renamed or resumed by another role, cached or not.
SET ROLE regress_xmhash_bob;
SELECT count(*) FROM xmhash_models;
SELECT count(*) FROM xmhash_training;
SELECT (SELECT count(*) FROM xmhash_model), (SELECT count(*) FROM xmhash_model_part),
       (SELECT count(*) FROM xmhash_training_log);
SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;
SELECT count(xmhash_encode_text('of alice', words)) FROM pairs;
SELECT xmhash_drop_model('of alice');
SELECT xmhash_rename_model('of alice', 'of bob');
CALL xmhash_train_resume('of alice');

-- Nor forged: rows of another's model, or under another's name; nor changed.
\set VERBOSITY terse
INSERT INTO xmhash_model (id, name, owner, method, bits, image_dimensions, text_dimensions, image_hidden,
                          text_hidden, image_scales, text_scales, status)
VALUES (gen_random_uuid(), 'forged', 'regress_xmhash_alice', 'jdsh', 8, 6, 8, '{}', '{}', 1, 1, 'trained');
UPDATE xmhash_model SET owner = 'regress_xmhash_bob';
DELETE FROM xmhash_model;
TRUNCATE xmhash_model CASCADE;
RESET ROLE;
SELECT id AS alice_id FROM xmhash_model WHERE name = 'of alice' \gset
SET ROLE regress_xmhash_bob;
INSERT INTO xmhash_model_part VALUES (:'alice_id', 1, '\x00');
INSERT INTO xmhash_training_log VALUES (:'alice_id', 99, 0, '{}', 0, 0);
\set VERBOSITY default

-- Even the owner cannot change a trained model, and forged weights are found out.
SET ROLE regress_xmhash_alice;
\set VERBOSITY terse
UPDATE xmhash_model_part SET data = '\x00';
DELETE FROM xmhash_model_part;
\set VERBOSITY default
INSERT INTO xmhash_model_part VALUES (:'alice_id', 1, '\x00');
\c
SET xmhash.progress = off;
SET search_path = models_test, public;
SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;
DELETE FROM xmhash_model_part WHERE part = 1;
SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;
INSERT INTO xmhash_model (id, name, owner, method, bits, image_dimensions, text_dimensions, image_hidden,
                          text_hidden, image_scales, text_scales, status)
VALUES ('00000000-0000-4000-8000-000000000001', 'huge', current_user::regrole, 'jdsh', 16384, 1048576, 1048576, '{65536}', '{65536}', 1, 1, 'trained'),
       ('00000000-0000-4000-8000-000000000002', 'no shape', current_user::regrole, 'jdsh', 8, -5, 8, '{}', '{}', 1, 1, 'trained');
SELECT xmhash_encode_image('huge', '{1}');
SELECT xmhash_encode_image('no shape', '{1}');
INSERT INTO xmhash_training_log VALUES ('00000000-0000-4000-8000-000000000002', 1, 0, '{}', 0, 0);
UPDATE xmhash_model SET options = '{"epochs": "many"}' WHERE name = 'no shape';
SELECT model, epochs FROM xmhash_training WHERE model = 'no shape';
DELETE FROM xmhash_model WHERE name IN ('huge', 'no shape');

-- Rows that any role can insert: a name that is too long, a checkpoint out of its bounds.
SET ROLE regress_xmhash_bob;
INSERT INTO xmhash_model (id, name, owner, method, bits, image_dimensions, text_dimensions, image_hidden,
                          text_hidden, image_scales, text_scales, status)
VALUES ('00000000-0000-4000-8000-000000000003', repeat('A', 2000), 'regress_xmhash_bob', 'jdsh', 1, 1, 1, '{}', '{}', 1, 1, 'trained'),
       ('00000000-0000-4000-8000-000000000004', 'short', 'regress_xmhash_bob', 'jdsh', 1, 1, 1, '{}', '{}', 1, 1, 'trained');
INSERT INTO xmhash_model_part VALUES ('00000000-0000-4000-8000-000000000003', 0, decode(repeat('00', 32), 'hex')),
                                     ('00000000-0000-4000-8000-000000000004', 0, decode(repeat('00', 32), 'hex'));
SELECT xmhash_encode_image(repeat('A', 2000), '{1}');
SELECT xmhash_encode_image('short', '{1}');
CALL xmhash_train('longer', 'pairs', 'image', 'words', 8, options => '{"epochs": 3}');
RESET ROLE;
UPDATE xmhash_model SET status = 'training' WHERE name = 'longer';
SET ROLE regress_xmhash_bob;
INSERT INTO xmhash_checkpoint SELECT id, 2000000000, 2000000000, 'none', 1, -2000000000, 'NaN' FROM xmhash_model WHERE name = 'longer';
CALL xmhash_train_resume('longer');
RESET ROLE;
DELETE FROM xmhash_model WHERE name = 'longer' OR name = 'short' OR name LIKE 'AAAA%';

-- A member of the owner's role may do all of it.
SET ROLE regress_xmhash_carol;
SELECT name, owner FROM xmhash_models;
SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;

-- A function of alice's lends her rights, and SET ROLE takes them away again.
RESET ROLE;
CREATE FUNCTION lent(features real[]) RETURNS bitcode LANGUAGE sql SECURITY DEFINER
    SET search_path = models_test, public AS $$ SELECT xmhash_encode_image('of alice', features) $$;
ALTER FUNCTION lent(real[]) OWNER TO regress_xmhash_alice;
SET ROLE regress_xmhash_bob;
SELECT count(lent(image)) FROM pairs;
PREPARE encode AS SELECT count(xmhash_encode_image('of alice', image)) FROM pairs;
EXECUTE encode;
SET ROLE regress_xmhash_alice;
EXECUTE encode;
SET ROLE regress_xmhash_bob;
EXECUTE encode;
SET ROLE regress_xmhash_carol;
EXECUTE encode;
RESET ROLE;
REVOKE regress_xmhash_alice FROM regress_xmhash_carol;
SET ROLE regress_xmhash_carol;
EXECUTE encode;
RESET ROLE;
GRANT regress_xmhash_alice TO regress_xmhash_carol;
SET ROLE regress_xmhash_carol;

-- Names: renaming is seen at once, also what is remembered by the old name.
SELECT xmhash_rename_model('of alice', 'renamed');
EXECUTE encode;
SELECT count(xmhash_encode_image('renamed', image)) FROM pairs;
SELECT xmhash_rename_model('renamed', 'renamed');
SELECT xmhash_rename_model('renamed', '');
SELECT xmhash_rename_model('no such', 'other');
CALL xmhash_train('second', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT xmhash_rename_model('second', 'renamed');
SELECT name, owner, bits FROM xmhash_models ORDER BY name;

-- A name that now stands for another model.
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
BEGIN;
SELECT xmhash_drop_model('renamed');
SELECT xmhash_rename_model('second', 'renamed');
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
SAVEPOINT before;
SELECT xmhash_drop_model('renamed');
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
ROLLBACK TO before;
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
ROLLBACK;
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
RESET ROLE;
DELETE FROM xmhash_model WHERE name = 'renamed';
SELECT length(xmhash_encode_image('renamed', image)) FROM pairs WHERE id = 1;
SELECT name FROM xmhash_models;

-- A model removed by replication, or as that does it, is gone here as well.
SET ROLE regress_xmhash_alice;
CALL xmhash_train('replicated', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
SELECT length(xmhash_encode_image('replicated', image)) FROM pairs WHERE id = 1;
RESET ROLE;
SET session_replication_role = replica;
DELETE FROM xmhash_model WHERE name = 'replicated';
RESET session_replication_role;
SELECT length(xmhash_encode_image('replicated', image)) FROM pairs WHERE id = 1;
SELECT count(*) FROM xmhash_model_part p WHERE NOT EXISTS (SELECT FROM xmhash_model m WHERE m.id = p.model);

-- A role that owns a model cannot be dropped: its number might become another's.
CREATE ROLE regress_xmhash_owner;
CREATE ROLE regress_xmhash_heir;
SET ROLE regress_xmhash_owner;
CALL xmhash_train('owned', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
CALL xmhash_train('owned too', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
RESET ROLE;
DROP ROLE regress_xmhash_owner;
DROP OWNED BY regress_xmhash_owner;
SELECT xmhash_drop_model('owned');
DROP ROLE regress_xmhash_owner;
UPDATE xmhash_model SET owner = 'regress_xmhash_heir' WHERE name = 'owned too';
DROP ROLE regress_xmhash_owner;
DROP ROLE regress_xmhash_heir;
BEGIN;
TRUNCATE xmhash_model;
DROP ROLE regress_xmhash_heir;
ROLLBACK;
DROP ROLE regress_xmhash_heir;
SELECT xmhash_drop_model('owned too');
DROP ROLE regress_xmhash_heir;
-- Nor does a row name an owner that does not exist.
\set VERBOSITY terse
INSERT INTO xmhash_model (id, name, owner, method, bits, image_dimensions, text_dimensions, image_hidden,
                          text_hidden, image_scales, text_scales, status)
VALUES (gen_random_uuid(), 'of nobody', '4294967295', 'jdsh', 8, 6, 8, '{}', '{}', 1, 1, 'trained');
\set VERBOSITY default
CREATE TABLE not_models (id uuid, owner regrole);
CREATE TRIGGER ownership AFTER INSERT ON not_models FOR EACH ROW EXECUTE FUNCTION xmhash_model_ownership();
INSERT INTO not_models VALUES (gen_random_uuid(), 'regress_xmhash_alice');

-- Parallel workers encode.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(xmhash_encode_image('second', image)) FROM pairs;
SELECT count(xmhash_encode_image('second', image)) FROM pairs;
SELECT count(DISTINCT pg_typeof(xmhash_encode_text('second', words))) FROM pairs;

-- The extension's tables survive a move to another schema.
CREATE SCHEMA models_elsewhere;
BEGIN;
ALTER EXTENSION xmhash SET SCHEMA models_elsewhere;
SELECT name FROM models_elsewhere.xmhash_models;
SELECT count(models_elsewhere.xmhash_encode_image('second', image)) FROM pairs;
ROLLBACK;

SELECT xmhash_drop_model(name) FROM xmhash_models;
SELECT count(*) FROM xmhash_model_part;
SET client_min_messages = warning;
DROP SCHEMA models_test, models_elsewhere CASCADE;
DROP ROLE regress_xmhash_alice, regress_xmhash_bob, regress_xmhash_carol;

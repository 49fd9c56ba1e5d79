-- Whose code runs as whom: what a role without any rights has put into its
-- tables, when a superuser checks, merges, rebuilds, encodes or trains them.
-- There must be no "as superuser" below, and no superuser in the end.
SET client_min_messages = warning;
CREATE ROLE regress_xmhash_mallory;
CREATE SCHEMA mallory AUTHORIZATION regress_xmhash_mallory;
SET ROLE regress_xmhash_mallory;
SET search_path = mallory, public;

-- Says who it runs as, and takes what it can get.
CREATE FUNCTION act(place text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  RAISE WARNING '% runs as %', place,
    CASE WHEN (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN 'superuser'
         WHEN current_user = 'regress_xmhash_mallory' THEN 'the owner' ELSE current_user END;
  IF pg_catalog.current_setting('role') <> 'none' THEN
    RETURN;                     -- not a superuser's session, but the test's own SET ROLE
  END IF;
  BEGIN
    ALTER ROLE regress_xmhash_mallory SUPERUSER;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
  BEGIN
    EXECUTE 'RESET ROLE';
    ALTER ROLE regress_xmhash_mallory SUPERUSER;
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
  PERFORM pg_catalog.set_config('work_mem', '64kB', false);
END $$;
GRANT ALL ON FUNCTION act TO PUBLIC;

-- An index expression and a predicate, whose bodies change.
CREATE FUNCTION code_of(i integer) RETURNS bitcode LANGUAGE sql IMMUTABLE AS $$ SELECT B'0101'::public.bitcode $$;
CREATE FUNCTION wanted(i integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;
CREATE TABLE t (i integer) WITH (autovacuum_enabled = off);
INSERT INTO t VALUES (1);
CREATE INDEX t_code ON t USING xmhash (code_of(i)) WHERE wanted(i);
CREATE OR REPLACE FUNCTION code_of(i integer) RETURNS bitcode LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the index expression'); RETURN B'0101'::public.bitcode; END $$;
CREATE OR REPLACE FUNCTION wanted(i integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the predicate'); RETURN true; END $$;
RESET ROLE;
SELECT xmhash_index_check('t_code');
SELECT xmhash_index_check('t_code', true);
SELECT xmhash_index_merge('t_code');
SELECT rows FROM xmhash_index_stats('t_code');
REINDEX INDEX t_code;
VACUUM ANALYZE t;
SHOW work_mem;
SELECT current_user = session_user AS myself_again;
-- after an error in it too
SET ROLE regress_xmhash_mallory;
CREATE OR REPLACE FUNCTION wanted(i integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RETURN 1 / (i - i) > 0; END $$;
RESET ROLE;
DO $$ BEGIN PERFORM xmhash_index_check('t_code', true); EXCEPTION WHEN division_by_zero THEN RAISE WARNING 'division by zero'; END $$;
SELECT current_user = session_user AS myself_again;
SHOW search_path;

-- Encoding a table: triggers, a constraint, a domain, an index expression.
RESET search_path;
SET xmhash.progress = off;
CREATE SCHEMA victim;
SET search_path = victim, public;
CREATE TABLE pairs AS
SELECT g AS id, ARRAY(SELECT sin(i * g)::real FROM generate_series(1, 8) i) AS image,
       ARRAY(SELECT ((i + g) % 5 = 0)::integer::real FROM generate_series(1, 9) i) AS words
FROM generate_series(1, 40) g;
CALL xmhash_train('roles_model', 'pairs', 'image', 'words', 16, options => '{"epochs": 1}');
GRANT USAGE ON SCHEMA victim TO PUBLIC;
GRANT SELECT ON pairs TO PUBLIC;
SET ROLE regress_xmhash_mallory;
SET search_path = mallory, public;
CREATE FUNCTION says(place text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act(place); RETURN true; END $$;
CREATE FUNCTION trigger_says() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the trigger ' || TG_WHEN); RETURN NEW; END $$;
CREATE DOMAIN odd_code AS bitcode CHECK (says('the domain'));
CREATE TABLE coded (id integer, image real[], image_code bitcode, words real[], words_code odd_code,
                    CHECK (image_code IS NULL OR says('the constraint')));
INSERT INTO coded SELECT id, image, NULL, words, NULL FROM victim.pairs WHERE id = 1;
CREATE TRIGGER before_row BEFORE UPDATE ON coded FOR EACH ROW EXECUTE FUNCTION trigger_says();
CREATE TRIGGER after_row AFTER UPDATE ON coded FOR EACH ROW EXECUTE FUNCTION trigger_says();
CREATE FUNCTION length_of(code bitcode) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT 1 $$;
CREATE INDEX ON coded (length_of(image_code));
CREATE OR REPLACE FUNCTION length_of(code bitcode) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the index expression'); RETURN 1; END $$;
RESET ROLE;
CALL xmhash_encode_table('victim.roles_model', 'coded', 'image', 'image_code', 'words', 'words_code');
SELECT length(image_code), length(words_code) FROM coded;
SHOW work_mem;
SELECT current_user = session_user AS myself_again;
-- The deferred would run at the end, as whoever ends the transaction.
SET ROLE regress_xmhash_mallory;
CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON coded DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trigger_says();
RESET ROLE;
\set VERBOSITY sqlstate
CALL xmhash_encode_table('victim.roles_model', 'coded', 'image', 'image_code', NULL, NULL, only_missing => false);
-- Row security that is forced on the owner leaves nothing out in silence.
SET ROLE regress_xmhash_mallory;
DROP TRIGGER late ON coded;
ALTER TABLE coded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
RESET ROLE;
CALL xmhash_encode_table('victim.roles_model', 'coded', 'image', 'image_code', NULL, NULL, only_missing => false);
\set VERBOSITY default
-- Whoever was only granted the table runs its code, as by any UPDATE, as himself.
CREATE ROLE regress_xmhash_clerk;
SET ROLE regress_xmhash_mallory;
ALTER TABLE coded DISABLE ROW LEVEL SECURITY;
GRANT USAGE ON SCHEMA mallory TO regress_xmhash_clerk;
GRANT SELECT, UPDATE ON coded TO regress_xmhash_clerk;
SET ROLE regress_xmhash_clerk;
CALL xmhash_train('pg_temp.roles_clerk', 'victim.pairs', 'image', 'words', 16, options => '{"epochs": 1}');
CALL xmhash_encode_table('roles_clerk', 'coded', 'image', 'image_code', NULL, NULL, only_missing => false);
DROP TABLE roles_clerk;
RESET ROLE;

-- Training, evaluating and comparing run no cast of the owner's of a type, as SELECT does not; those of superusers are used.
SET ROLE regress_xmhash_mallory;
CREATE TYPE odd_array AS (a real[]);
CREATE FUNCTION to_array(odd_array) RETURNS real[] LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the cast'); RETURN ($1).a; END $$;
CREATE CAST (odd_array AS real[]) WITH FUNCTION to_array(odd_array);
CREATE DOMAIN odd_domain AS odd_array;
CREATE TYPE odd_number AS (a real);
CREATE FUNCTION to_number(odd_number) RETURNS real LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the cast of an element'); RETURN ($1).a; END $$;
CREATE CAST (odd_number AS real) WITH FUNCTION to_number(odd_number);
CREATE TYPE odd_word AS ENUM ('one', 'two');
CREATE FUNCTION to_word(odd_word) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.act('the cast to text'); RETURN 'x'; END $$;
CREATE CAST (odd_word AS text) WITH FUNCTION to_word(odd_word);
CREATE TABLE lure AS
SELECT id, ROW(image)::odd_array AS image, ROW(image)::odd_array::odd_domain AS image_domain,
       ARRAY(SELECT ROW(x)::odd_number FROM unnest(image) x) AS image_elements, words, image::text AS image_text,
       CASE WHEN id % 2 = 0 THEN 'one' ELSE 'two' END::odd_word AS label
FROM victim.pairs;
GRANT SELECT ON lure TO PUBLIC;
CREATE TABLE keyed (id odd_word PRIMARY KEY, image real[], words real[]);
INSERT INTO keyed VALUES ('one', '{NaN}', '{1}');
-- his own training runs them
SET client_min_messages = error;
CALL xmhash_train('roles_own', 'lure', 'image', 'words', 16, options => '{"epochs": 1}');
DROP TABLE roles_own;
SET client_min_messages = warning;
RESET ROLE;
\set VERBOSITY terse
CALL xmhash_train('roles_train', 'lure', 'image', 'words', 16, options => '{"epochs": 1}');
CALL xmhash_train('roles_train', 'lure', 'image_domain', 'words', 16, options => '{"epochs": 1}');
CALL xmhash_train('roles_train', 'lure', 'image_elements', 'words', 16, options => '{"epochs": 1}');
SELECT pairs FROM xmhash_compare_models('{victim.roles_model}', 'lure', 'image', 'words');
SELECT pairs FROM xmhash_compare_models('{victim.roles_model}', 'lure', 'image_domain', 'words');
SELECT pairs FROM xmhash_compare_models('{victim.roles_model}', 'lure', 'image_elements', 'words');
\set VERBOSITY default
SELECT pairs FROM xmhash_compare_models('{victim.roles_model}', 'lure', 'image_text', 'words', 'label');
CALL xmhash_train('roles_train', 'keyed', 'image', 'words', 16, options => '{"epochs": 1}');
CALL xmhash_train('roles_train', 'lure', 'image_text', 'words', 16, method => 'dmsh_ln', label_column => 'label',
                  options => '{"epochs": 1, "batch_size": 16}');
DROP TABLE roles_train;
ALTER FUNCTION to_array(odd_array) OWNER TO CURRENT_USER;
CREATE OR REPLACE FUNCTION to_array(odd_array) RETURNS real[] LANGUAGE sql AS 'SELECT ($1).a';
CALL xmhash_train('roles_train', 'lure', 'image_domain', 'words', 16, options => '{"epochs": 1}');
SELECT pairs FROM xmhash_compare_models('{victim.roles_model}', 'lure', 'image_domain', 'words');
DROP TABLE roles_train;
-- Encoding a table of his runs them as him.
SET ROLE regress_xmhash_mallory;
CREATE TABLE odd_coded AS SELECT id, image_elements, NULL::bitcode AS code FROM lure LIMIT 1;
RESET ROLE;
SET client_min_messages = error;
CALL xmhash_encode_table('victim.roles_model', 'odd_coded', 'image_elements', 'code', NULL, NULL);
SET client_min_messages = warning;
SELECT length(code) FROM odd_coded;

-- What closes all cursors, his cast or trigger, ends the statement that reads by one, not the server.
SET ROLE regress_xmhash_mallory;
CREATE TYPE closing AS (a real[]);
CREATE FUNCTION close_all(closing) RETURNS real[] LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'CLOSE ALL'; RETURN ($1).a; END $$;
CREATE CAST (closing AS real[]) WITH FUNCTION close_all(closing);
CREATE FUNCTION close_all() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'CLOSE ALL'; RETURN NEW; END $$;
CREATE TABLE closed AS SELECT id, ROW(image)::closing AS image, image AS plain, words, NULL::bitcode AS code FROM victim.pairs;
CREATE TRIGGER close_all BEFORE UPDATE ON closed FOR EACH ROW EXECUTE FUNCTION close_all();
CALL xmhash_train('roles_own', 'closed', 'plain', 'words', 16, options => '{"epochs": 1}');
\set VERBOSITY sqlstate
CALL xmhash_train('roles_train', 'closed', 'image', 'words', 16, options => '{"epochs": 1}');
CALL xmhash_encode_table('roles_own', 'closed', 'plain', 'code', NULL, NULL);
SELECT pairs FROM xmhash_compare_models('{roles_own}', 'closed', 'image', 'words');
\set VERBOSITY default
RESET ROLE;

-- A training that is resumed reads what the model's own rows name: as its owner.
SET ROLE regress_xmhash_mallory;
CREATE VIEW bait AS SELECT image, words FROM victim.pairs WHERE (SELECT says('the view of a training'));
CALL xmhash_train('half', 'bait', 'image', 'words', 16, options => '{"epochs": 2}');
UPDATE half SET info = info || '{"status": "training"}' WHERE part = 'model';
RESET ROLE;
CALL xmhash_train_resume('half');
SHOW work_mem;
SELECT current_user = session_user AS myself_again, status FROM xmhash_models WHERE model = 'half'::regclass;

SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_xmhash_mallory';
DROP TABLE victim.roles_model;
DROP SCHEMA mallory CASCADE;
DROP SCHEMA victim CASCADE;
DROP OWNED BY regress_xmhash_clerk;
DROP ROLE regress_xmhash_mallory, regress_xmhash_clerk;

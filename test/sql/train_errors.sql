-- Whatever is wrong with a call is found before anything is trained, named,
-- and leaves nothing behind.
SET xmhash.progress = off;
CREATE SCHEMA train_errors;
SET search_path = train_errors, public;
CREATE TABLE pairs (id integer, part text, image real[], words real[], label text, PRIMARY KEY (part, id));
INSERT INTO pairs
SELECT g, 'p', (SELECT array_agg(sin(i * g)::real) FROM generate_series(1, 6) i),
       (SELECT array_agg(((i + g) % 4 = 0)::integer::real) FROM generate_series(1, 8) i), 'l' || g % 3
FROM generate_series(1, 60) g;

-- Arguments
CALL xmhash_train(NULL, 'pairs', 'image', 'words', 8);
CALL xmhash_train('m', NULL, 'image', 'words', 8);
CALL xmhash_train('m', 'pairs', NULL, 'words', 8);
CALL xmhash_train('m', 'pairs', 'image', 'words', NULL);
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, NULL);
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => NULL);
CALL xmhash_train('', 'pairs', 'image', 'words', 8);
CALL xmhash_train('no_schema.m', 'pairs', 'image', 'words', 8);
CALL xmhash_train('pairs', 'pairs', 'image', 'words', 8);
CALL xmhash_train('"', 'pairs', 'image', 'words', 8);
CALL xmhash_train('m', 'pairs', 'image', 'words', 0);
CALL xmhash_train('m', 'pairs', 'image', 'words', 16385);
CALL xmhash_train('m', 'no_such', 'image', 'words', 8);
CALL xmhash_train('m', 4294967295, 'image', 'words', 8);
CALL xmhash_train('m', 'pairs_pkey', 'image', 'words', 8);
CALL xmhash_train('m', 'pairs', 'no_such', 'words', 8);
CALL xmhash_train('m', 'pairs', 'image', 'id', 8);
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'no_such');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'dmsh_ln');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'dmsh_ln', 'no_such');
CREATE VIEW numeric_label AS SELECT image, words, id::numeric AS class FROM pairs;
CALL xmhash_train('m', 'numeric_label', 'image', 'words', 8, 'dmsh_ln', 'class');

-- Options
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epoch": 3}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'dmsh_ln', 'label', options => '{"momentum": 0.9}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '[]');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '3');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": 0}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": 1.5}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": 1e400}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": "ten"}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": null}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"epochs": [1]}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"learning_rate_image": -1}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"momentum": 1}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"scale": "RMS"}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"clip_targets": 1}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'dmsh_ln', 'label', options => '{"init": "ones"}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"alpha": 0.9}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"seed": -1}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"keep_best": true}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"patience": 2}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, options => '{"validation_fraction": 0.1}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, NULL, NULL, '{}');

-- Data.  Every message names the row.
CREATE FUNCTION try(what text, side text DEFAULT 'image') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  said text;
  more text;
BEGIN
  EXECUTE format('UPDATE pairs SET %I = %s WHERE id = 7', side, what);
  CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
  RETURN 'trained';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, more = PG_EXCEPTION_DETAIL;
  RETURN sqlstate || ' ' || said || E'\n' || regexp_replace(more, 'ctid \(\d+,\d+\)', 'ctid (…)');
END
$$;
\pset format unaligned
\pset tuples_only
SELECT try($$ '{}' $$);
SELECT try($$ '{1,2,3,4,5}' $$);
SELECT try($$ '{1,2,3,4,5,6,7}' $$);
SELECT try($$ '{{1,2,3},{4,5,6}}' $$);
SELECT try($$ '{1,2,NULL,4,5,6}' $$);
SELECT try($$ '{1,2,NaN,4,5,6}' $$);
SELECT try($$ '{1,2,3,4,5,Infinity}' $$);
SELECT try($$ '{-Infinity,2,3,4,5,6}' $$);
SELECT try($$ '{0,0,0,1,NaN,0,0,0}' $$, 'words');
\pset tuples_only off
\pset format aligned
CREATE TABLE doubles AS SELECT image::double precision[], words FROM pairs;
INSERT INTO doubles SELECT '{1,2,3,4,5,1e200}', words FROM pairs LIMIT 1;
\set VERBOSITY terse
CALL xmhash_train('m', 'doubles', 'image', 'words', 8);
\set VERBOSITY default
CREATE VIEW bad AS SELECT image, CASE WHEN id = 60 THEN '{1}' ELSE words END AS words FROM pairs ORDER BY id;
CALL xmhash_train('m', 'bad', 'image', 'words', 8);
CREATE VIEW few AS SELECT * FROM pairs WHERE id <= 31;
CALL xmhash_train('m', 'few', 'image', 'words', 8);
CALL xmhash_train('m', 'few', 'image', 'words', 8, 'jdsh', 'label', '{"validation_fraction": 0.5, "batch_size": 20}');
CALL xmhash_train('m', 'pairs', 'image', 'words', 8, 'jdsh', 'label', '{"validation_fraction": 0.001}');
CREATE VIEW nothing AS SELECT * FROM pairs WHERE false;
CALL xmhash_train('m', 'nothing', 'image', 'words', 8);
CREATE VIEW zeros AS SELECT array_fill(0::real, ARRAY[6]) AS image, words FROM pairs;
CALL xmhash_train('m', 'zeros', 'image', 'words', 8);
CREATE VIEW one_class AS SELECT image, words, 'only'::text AS label FROM pairs;
CALL xmhash_train('m', 'one_class', 'image', 'words', 8, 'dmsh_ln', 'label', '{"batch_size": 16}');
CREATE VIEW ragged AS SELECT image, words, CASE WHEN id = 60 THEN '{1}'::integer[] ELSE '{0,1}' END AS label FROM pairs ORDER BY id;
CALL xmhash_train('m', 'ragged', 'image', 'words', 8, 'dmsh_ln', 'label', '{"batch_size": 16}');

-- A loss that is no number keeps the last good epoch, or nothing.
CALL xmhash_train('diverges', 'pairs', 'image', 'words', 8,
                  options => '{"learning_rate_image": 1e30, "learning_rate_text": 1e30, "scale": "none"}');

-- Names in use
CALL xmhash_train('taken', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
CALL xmhash_train('taken', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
CALL xmhash_train_resume('taken');
CALL xmhash_train_resume('no_such');
CALL xmhash_train_resume('pairs');
CALL xmhash_train_resume(4294967295);
CALL xmhash_train_resume(NULL);

-- Rights on the relation are the caller's, row security included.
CREATE ROLE regress_xmhash_trainer;
GRANT USAGE ON SCHEMA train_errors TO regress_xmhash_trainer;
GRANT SELECT (image) ON pairs TO regress_xmhash_trainer;
SET ROLE regress_xmhash_trainer;
CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
RESET ROLE;
GRANT CREATE ON SCHEMA train_errors TO regress_xmhash_trainer;
SET ROLE regress_xmhash_trainer;
CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
RESET ROLE;

-- Rights to the two columns are enough, and an error is that of the data, even
-- where the row's key may not be asked for, or is one the parent lacks.
GRANT SELECT (words) ON pairs TO regress_xmhash_trainer;
CREATE TABLE parent (image real[], words real[]);
CREATE TABLE child (id integer PRIMARY KEY) INHERITS (parent);
INSERT INTO child SELECT image, words, id FROM pairs;
INSERT INTO child VALUES ('{1,2}', '{1}', 61);
SET ROLE regress_xmhash_trainer;
CALL xmhash_train('by_columns', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
SELECT model, status FROM xmhash_models;
DROP TABLE by_columns;
RESET ROLE;
BEGIN;
UPDATE pairs SET image = '{1,2}' WHERE id = 7;
GRANT SELECT (ctid, tableoid) ON pairs TO regress_xmhash_trainer;
SET ROLE regress_xmhash_trainer;
\set VERBOSITY terse
CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
ROLLBACK;
CALL xmhash_train('m', 'parent', 'image', 'words', 8);
\set VERBOSITY default
GRANT SELECT ON pairs TO regress_xmhash_trainer;
ALTER TABLE pairs ENABLE ROW LEVEL SECURITY;
CREATE POLICY visible ON pairs USING (id <= 40);
SET ROLE regress_xmhash_trainer;
CALL xmhash_train('allowed', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
CALL xmhash_train('taken', 'pairs', 'image', 'words', 8, options => '{"epochs": 1}');
SELECT model, pairs FROM xmhash_models;
BEGIN TRANSACTION READ ONLY;
CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
ROLLBACK;
RESET ROLE;

SELECT model, status, epochs_done > 0 AS some_epochs FROM xmhash_models ORDER BY model::text;
-- What cannot fit is refused before it is allocated, naming what decides it.
SET xmhash.train_max_memory = '1GB';
DO $$
DECLARE
  detail text;
BEGIN
  CALL xmhash_train('m', 'pairs', 'image', 'words', 4096, 'dmsh_ln', 'label',
                    '{"label_hidden": 65536, "image_hidden": 1000, "batch_size": 60}');
EXCEPTION WHEN out_of_memory THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RAISE NOTICE '%', regexp_replace(SQLERRM, 'needs [1-9][0-9]{3}\.[0-9]', 'needs some thousand');
  RAISE NOTICE '%', detail;
END $$;
\set VERBOSITY sqlstate
CALL xmhash_train('m', 'pairs', 'image', 'words', 16384, options => '{"image_hidden": 65536, "text_hidden": 65536}');
SET xmhash.train_max_memory = '64kB';
CALL xmhash_train('m', 'pairs', 'image', 'words', 8);
SET ROLE regress_xmhash_trainer;
SET xmhash.train_max_memory = 0;
RESET ROLE;
RESET xmhash.train_max_memory;
\set VERBOSITY default
-- A disk that is full, as far as this session is concerned
SET xmhash.train_work_mem = '64kB';
SET temp_file_limit = '100kB';
CREATE VIEW many AS SELECT image, words FROM pairs, generate_series(1, 100);
\set VERBOSITY sqlstate
CALL xmhash_train('m', 'many', 'image', 'words', 8);
\set VERBOSITY default
RESET temp_file_limit;
RESET xmhash.train_work_mem;

SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ExclusiveLock' AND pid = pg_backend_pid();
SET client_min_messages = warning;
DROP SCHEMA train_errors CASCADE;
DROP ROLE regress_xmhash_trainer;

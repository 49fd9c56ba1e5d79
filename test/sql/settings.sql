-- The settings: who may set them, and what they do.
SET xmhash.progress = off;
CREATE TABLE pair AS SELECT n AS id, ARRAY(SELECT sin(n * i)::real FROM generate_series(1, 8) AS i) AS image,
                            ARRAY(SELECT cos(n + i)::real FROM generate_series(1, 6) AS i) AS words
FROM generate_series(1, 64) AS n;

-- The cache of models is bounded; what is larger is used all the same, and kept alone.
DO $$
BEGIN
  FOR i IN 1 .. 4 LOOP
    CALL xmhash_train('cached_' || i, 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
  END LOOP;
END
$$;
CREATE VIEW cache AS SELECT count(*) AS models FROM pg_backend_memory_contexts WHERE name = 'xmhash model';
CREATE FUNCTION use_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  used bigint := 0;
BEGIN
  FOR i IN 1 .. 4 LOOP
    used := used + (SELECT count(xmhash_encode_image('cached_' || i, image)) FROM pair);
  END LOOP;
  RETURN used;
END
$$;
SHOW xmhash.model_cache;
SELECT use_all();
SELECT models FROM cache;
SET xmhash.model_cache = 0;
SELECT models FROM cache;   -- as before, until a model is looked up
CALL xmhash_train('cached_5', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT use_all();
SELECT models FROM cache;
RESET xmhash.model_cache;
SELECT use_all();
SELECT models FROM cache;
DROP TABLE cached_1, cached_2, cached_3, cached_4, cached_5;
DROP FUNCTION use_all();
DROP VIEW cache;

-- Boot values are the same on every machine; what they stand for is found where it is used.
SELECT name, setting, boot_val, min_val, max_val, context FROM pg_settings
WHERE name IN ('xmhash.threads', 'xmhash.max_threads', 'xmhash.blas_library') ORDER BY name COLLATE "C";
SET xmhash.threads = 1025;
SET xmhash.threads = -1;

-- Threads asked for in vain: the settings of superusers bound them.
SET xmhash.max_threads = 1;
SET xmhash.threads = 1024;
CALL xmhash_train('bounded', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
RESET xmhash.threads;
RESET xmhash.max_threads;

-- The library is loaded once a session: from then on the setting changes nothing.
SET xmhash.blas_library = '/nowhere/libopenblas.so.0';
CALL xmhash_train('loaded', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
\c -
SET xmhash.progress = off;
SET xmhash.blas_library = '/nowhere/libopenblas.so.0';
\set VERBOSITY sqlstate
CALL xmhash_train('unloaded', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
\set VERBOSITY default
DO $$
BEGIN
  CALL xmhash_train('unloaded', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
EXCEPTION WHEN undefined_file THEN
  RAISE NOTICE '%', SQLERRM;
END
$$;
RESET xmhash.blas_library;
CALL xmhash_train('unloaded', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT model, status FROM xmhash_models WHERE model::text IN ('bounded', 'loaded', 'unloaded') ORDER BY model::text;

-- What an unprivileged role may set, before and after the session has loaded the module.
CREATE ROLE xmhash_regress_plain;
CREATE DATABASE xmhash_regress_settings OWNER xmhash_regress_plain TEMPLATE template0;
\set VERBOSITY sqlstate
SET ROLE xmhash_regress_plain;
SET xmhash.threads = 2;
SET xmhash.train_work_mem = '1MB';
SET xmhash.model_cache = '1MB';
SET xmhash.max_threads = 1024;
SET xmhash.train_max_memory = '1GB';
SET xmhash.blas_library = '/nowhere/evil.so';
SELECT set_config('xmhash.blas_library', '/nowhere/evil.so', false);
ALTER ROLE xmhash_regress_plain SET xmhash.blas_library = '/nowhere/evil.so';
ALTER DATABASE xmhash_regress_settings SET xmhash.blas_library = '/nowhere/evil.so';
CREATE FUNCTION pg_temp.evil() RETURNS integer LANGUAGE sql SET xmhash.blas_library = '/nowhere/evil.so' AS 'SELECT 1';

\c -
SET ROLE xmhash_regress_plain;
ALTER ROLE xmhash_regress_plain SET xmhash.blas_library = '/nowhere/evil.so';
ALTER DATABASE xmhash_regress_settings SET xmhash.blas_library = '/nowhere/evil.so';
CREATE FUNCTION pg_temp.evil() RETURNS integer LANGUAGE sql SET xmhash.blas_library = '/nowhere/evil.so' AS 'SELECT 1';
SET xmhash.max_threads = 1024;
SELECT set_config('xmhash.train_max_memory', '1', false);
SET xmhash.blas_library = '/nowhere/evil.so';
SELECT length('x0F'::bitcode);   -- loads the module, which asks again who has set them
SHOW xmhash.max_threads;
SHOW xmhash.train_max_memory;
SHOW xmhash.blas_library;
RESET ROLE;
SHOW xmhash.blas_library;

-- A superuser's, set before the module is loaded, stays.
\c -
SET xmhash.blas_library = '/nowhere/chosen.so';
SET xmhash.max_threads = 3;
SET ROLE xmhash_regress_plain;
SELECT length('x0F'::bitcode);
SHOW xmhash.blas_library;
SHOW xmhash.max_threads;
RESET ROLE;
\set VERBOSITY default
DROP DATABASE xmhash_regress_settings;
DROP ROLE xmhash_regress_plain;

DROP TABLE bounded, loaded, unloaded;
DROP TABLE pair;

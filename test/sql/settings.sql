-- The settings: who may set them, and what they do.
SET xmhash.progress = off;
CREATE TABLE pair AS SELECT n AS id, ARRAY(SELECT sin(n * i)::real FROM generate_series(1, 8) AS i) AS image,
                            ARRAY(SELECT cos(n + i)::real FROM generate_series(1, 6) AS i) AS words
FROM generate_series(1, 64) AS n;

-- The cache of models is bounded; what is larger is used all the same, and kept alone.
DO $$
BEGIN
  FOR i IN 1 .. 4 LOOP
    CALL xmhash_train('cached ' || i, 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
  END LOOP;
END
$$;
CREATE VIEW cache AS SELECT count(*) AS models FROM pg_backend_memory_contexts WHERE name = 'xmhash model';
CREATE FUNCTION use_all() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  used bigint := 0;
BEGIN
  FOR i IN 1 .. 4 LOOP
    used := used + (SELECT count(xmhash_encode_image('cached ' || i, image)) FROM pair);
  END LOOP;
  RETURN used;
END
$$;
SHOW xmhash.model_cache;
SELECT use_all();
SELECT models FROM cache;
SET xmhash.model_cache = 0;
SELECT models FROM cache;   -- as before, until a model is looked up
CALL xmhash_train('cached 5', 'pair', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT use_all();
SELECT models FROM cache;
RESET xmhash.model_cache;
SELECT use_all();
SELECT models FROM cache;
SELECT xmhash_drop_model(name) FROM xmhash_models WHERE name LIKE 'cached %';
DROP FUNCTION use_all();
DROP VIEW cache;
DROP TABLE pair;

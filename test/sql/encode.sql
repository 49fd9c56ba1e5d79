-- Codes of rows, of tables and by trigger; bags of words.
SET xmhash.progress = off;
CREATE SCHEMA encode_test;
SET search_path = encode_test, public;
CREATE TABLE pairs (id integer PRIMARY KEY, image real[], words real[]);
INSERT INTO pairs
SELECT g, (SELECT array_agg(sin(i * g)::real) FROM generate_series(1, 20) i),
       (SELECT array_agg(((i + g) % 9 = 0)::integer::real) FROM generate_series(1, 50) i)
FROM generate_series(1, 700) g;
CALL xmhash_train('m', 'pairs', 'image', 'words', 37, options => '{"epochs": 2, "image_hidden": 11}');
CALL xmhash_train('centred', 'pairs', 'image', 'words', 64, options => '{"epochs": 2, "scale": "standard"}');

-- Bad features: errors that name the model and what it expects.
SELECT xmhash_encode_image('m', '{1,2,3}');
SELECT xmhash_encode_text('m', '{}');
SELECT xmhash_encode_image('m', ARRAY[ARRAY[1, 2], ARRAY[3, 4]]::real[]);
SELECT xmhash_encode_image('m', image[1:4] || NULL::real || image[6:]) FROM pairs WHERE id = 1;
SELECT xmhash_encode_image('m', image[1:4] || 'NaN'::real || image[6:]) FROM pairs WHERE id = 1;
SELECT xmhash_encode_text('m', words[1:49] || '-Infinity'::real) FROM pairs WHERE id = 1;
SELECT xmhash_encode_text('m', 'Infinity'::real || words[2:]) FROM pairs WHERE id = 1;
SELECT xmhash_encode_text('no_such', '{1}');
SELECT xmhash_encode_text('pairs', '{1}');
SELECT xmhash_encode_text(4294967295, '{1}');
SELECT xmhash_encode_text('pairs_pkey', '{1}');
SELECT xmhash_encode_text(NULL, '{1}') IS NULL AS null_model, xmhash_encode_text('m', NULL) IS NULL AS null_features;

-- What encodes: zeros, huge and tiny values, other lower bounds, doubles.
SELECT length(xmhash_encode_text('m', array_fill(0::real, ARRAY[50]))) AS zeros,
       length(xmhash_encode_text('m', array_fill(3e38::real, ARRAY[50]))) AS huge,
       length(xmhash_encode_text('m', array_fill(1e-45::real, ARRAY[50]))) AS tiny;
SELECT bool_and(xmhash_encode_image('m', ('[5:24]=' || image::text)::real[]) = xmhash_encode_image('m', image)) AS lower_bound,
       bool_and(xmhash_encode_image('m', image::double precision[]::real[]) = xmhash_encode_image('m', image)) AS doubles
FROM pairs;
SELECT provolatile, proisstrict, proparallel FROM pg_proc WHERE proname IN ('xmhash_encode_image', 'xmhash_encode_text');

-- A table at once gives the codes of one row at a time: dense, sparse, with a
-- hidden layer, centred; in batches of any size; partitions together.
CREATE TABLE coded (id integer, image real[], words double precision[], image_code bitcode(37), words_code bitcode(37))
    PARTITION BY HASH (id);
CREATE TABLE coded_0 PARTITION OF coded FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE coded_1 PARTITION OF coded FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO coded SELECT id, CASE WHEN id % 50 <> 0 THEN image END, CASE WHEN id % 70 <> 0 THEN words END FROM pairs;
CREATE FUNCTION check_codes(model regclass) RETURNS text LANGUAGE sql AS $$
SELECT format('%s right, %s wrong, %s NULL',
              count(*) FILTER (WHERE image_code = xmhash_encode_image(model, image)
                               AND words_code = xmhash_encode_text(model, words::real[])),
              count(*) FILTER (WHERE image_code <> xmhash_encode_image(model, image)
                               OR words_code <> xmhash_encode_text(model, words::real[])
                               OR (image IS NULL) <> (image_code IS NULL)
                               OR (words IS NULL) <> (words_code IS NULL)),
              count(*) FILTER (WHERE image_code IS NULL OR words_code IS NULL))
FROM coded
$$;
CALL xmhash_encode_table('m', 'coded', 'image', 'image_code', 'words', 'words_code', batch_rows => 10);
SELECT check_codes('m');

-- Only what is missing; then everything.
UPDATE coded SET image_code = NULL WHERE id <= 20;
UPDATE coded SET image_code = ~image_code WHERE id BETWEEN 21 AND 30;
CALL xmhash_encode_table('m', 'coded', 'image', 'image_code', NULL, NULL);
SELECT check_codes('m');
UPDATE coded SET image = NULL WHERE id = 31;
CALL xmhash_encode_table('m', 'coded', 'image', 'image_code', 'words', 'words_code', only_missing => false);
SELECT check_codes('m');
SELECT image_code IS NULL FROM coded WHERE id = 31;

-- Within a transaction block it is undone with it.
BEGIN;
UPDATE coded SET image_code = NULL, words_code = NULL;
CALL xmhash_encode_table('m', 'coded', NULL, NULL, 'words', 'words_code');
SELECT count(image_code), count(words_code) FROM coded;
ROLLBACK;
SELECT check_codes('m');

CREATE TABLE centred_codes AS SELECT id, image, words, NULL::bitcode AS "Image code", NULL::bitcode AS words_code FROM pairs;
CALL xmhash_encode_table('centred', 'centred_codes', 'image', 'Image code', 'words', 'words_code');
SELECT count(*), bool_and("Image code" = xmhash_encode_image('centred', image) AND words_code = xmhash_encode_text('centred', words))
FROM centred_codes;
CREATE TABLE empty (image real[], code bitcode);
CALL xmhash_encode_table('m', 'empty', 'image', 'code', NULL, NULL);

-- Its errors
CALL xmhash_encode_table('no_such', 'coded', 'image', 'image_code', NULL, NULL);
CALL xmhash_encode_table('m', 'coded', 'no such', 'image_code', NULL, NULL);
CALL xmhash_encode_table('m', 'coded', 'image', 'id', NULL, NULL);
CALL xmhash_encode_table('m', 'coded', 'id', 'image_code', NULL, NULL);
CALL xmhash_encode_table('m', 'coded', 'image', NULL, NULL, NULL);
CALL xmhash_encode_table('m', 'coded', NULL, NULL, NULL, NULL);
CALL xmhash_encode_table(NULL, 'coded', 'image', 'image_code', NULL, NULL);
CALL xmhash_encode_table('m', 'coded', 'image', 'image_code', NULL, NULL, true, 0);
CREATE VIEW seen AS SELECT * FROM coded;
CALL xmhash_encode_table('m', 'seen', 'image', 'image_code', NULL, NULL);
INSERT INTO empty VALUES ('{1,2}');
CALL xmhash_encode_table('m', 'empty', 'image', 'code', NULL, NULL);
UPDATE empty SET image = (SELECT image[1:19] || 'NaN'::real FROM pairs WHERE id = 1);
CALL xmhash_encode_table('m', 'empty', 'image', 'code', NULL, NULL);
CALL xmhash_encode_table('centred', 'coded', 'image', 'image_code', NULL, NULL, false);

-- However much lies behind a long part without anything to do, a batch stays
-- small: no transaction writes more than four of them.
CREATE TABLE far (image real[], code bitcode) WITH (autovacuum_enabled = off);
INSERT INTO far SELECT p.image, CASE WHEN half = 1 THEN xmhash_encode_image('m', p.image) END
FROM generate_series(1, 2) half, generate_series(1, 4), pairs p ORDER BY half;
SELECT max(ctid) < '(8000,0)' AS one_range, count(*) FILTER (WHERE code IS NULL) AS missing FROM far;
CALL xmhash_encode_table('m', 'far', 'image', 'code', NULL, NULL, batch_rows => 10);
SELECT count(*) FILTER (WHERE code = xmhash_encode_image('m', image)) AS coded FROM far;
-- A block is the least that a range has.
SELECT max(rows) <= 4 * 10 + max(in_a_block) AS small
FROM (SELECT count(*) AS rows FROM far WHERE xmin <> (SELECT xmin FROM far WHERE ctid = '(0,1)') GROUP BY xmin) t,
     (SELECT max(n) AS in_a_block
      FROM (SELECT count(*) AS n FROM far GROUP BY (ctid::text::point)[0]) b) blocks;
-- One block of many partitions, and rows that come to lie in it meanwhile.
CREATE TABLE wide (id integer, image real[], code bitcode) PARTITION BY HASH (id);
SELECT format('CREATE TABLE wide_%s PARTITION OF wide FOR VALUES WITH (MODULUS 9, REMAINDER %s)', n, n)
FROM generate_series(0, 8) n \gexec
INSERT INTO wide SELECT id, image FROM pairs WHERE id <= 300;
CALL xmhash_encode_table('m', 'wide', 'image', 'code', NULL, NULL, batch_rows => 2);
SELECT count(*), bool_and(code = xmhash_encode_image('m', image)) FROM wide;

-- By trigger
CREATE TABLE kept (id integer, image real[], words double precision[], image_code bitcode, words_code bitcode);
CREATE TRIGGER image_code BEFORE INSERT OR UPDATE ON kept
    FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'image', 'image_code');
CREATE TRIGGER words_code BEFORE INSERT OR UPDATE OF words ON kept
    FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'text', 'words', 'words_code');
INSERT INTO kept SELECT id, image, words FROM pairs;
INSERT INTO kept VALUES (0, NULL, NULL, B'1', B'0');
SELECT count(*), count(image_code), bool_and(image_code = xmhash_encode_image('m', image)
                                              AND words_code = xmhash_encode_text('m', words::real[])) FROM kept;
UPDATE kept SET image = (SELECT image FROM pairs WHERE id = 9), words = NULL WHERE id = 8;
SELECT image_code = (SELECT image_code FROM kept WHERE id = 9) AS moved, words_code FROM kept WHERE id = 8;
INSERT INTO kept VALUES (0, '{1,2}');
CREATE TABLE wrong (id integer, image real[], code bitcode);
CREATE TRIGGER code BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image');
INSERT INTO wrong VALUES (1);
CREATE OR REPLACE TRIGGER code BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'picture', 'image', 'code');
INSERT INTO wrong VALUES (1);
CREATE OR REPLACE TRIGGER code BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'imag', 'code');
INSERT INTO wrong VALUES (1);
CREATE OR REPLACE TRIGGER code BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'image', 'id');
INSERT INTO wrong VALUES (1);
CREATE OR REPLACE TRIGGER code AFTER INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'image', 'code');
INSERT INTO wrong VALUES (1);
CREATE OR REPLACE TRIGGER code BEFORE INSERT ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('no_such', 'image', 'image', 'code');
INSERT INTO wrong VALUES (1, NULL);
INSERT INTO wrong VALUES (1, '{1}');

-- A row that brings a code keeps it while the model is missing or empty: one
-- warning a statement.  A code that is older than its features does not stay.
INSERT INTO wrong SELECT g, '{1}', B'1010' FROM generate_series(2, 4) g;
CREATE OR REPLACE TRIGGER code BEFORE INSERT OR UPDATE ON wrong FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('no_such', 'image', 'image', 'code');
UPDATE wrong SET id = id + 10 WHERE id BETWEEN 2 AND 4;
UPDATE wrong SET code = B'1011' WHERE id = 12;
UPDATE wrong SET image = '{2}' WHERE id = 12;
CREATE TABLE no_such OF xmhash_model (PRIMARY KEY (part, number));
UPDATE wrong SET id = id + 10 WHERE id IN (13, 14);
INSERT INTO wrong VALUES (5, '{1}');
INSERT INTO no_such SELECT * FROM m;
INSERT INTO wrong SELECT id, image, B'1010' FROM pairs WHERE id = 50;
SELECT w.id, w.code, length(w.code), w.code = xmhash_encode_image('m', p.image) AS encoded
FROM wrong w LEFT JOIN pairs p USING (id) WHERE w.code IS NOT NULL AND w.id < 50 ORDER BY id;
SELECT w.code = xmhash_encode_image('m', p.image) AS encoded FROM wrong w JOIN pairs p USING (id) WHERE id = 50;

-- It gives no column a code that an assignment would not.
CREATE DOMAIN present AS bitcode(37) NOT NULL;
CREATE DOMAIN short AS bitcode CHECK (length(VALUE) = 7);
CREATE TABLE narrow (image real[], fixed bitcode(36));
CREATE TRIGGER fixed BEFORE INSERT ON narrow FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'image', 'fixed');
INSERT INTO narrow SELECT image FROM pairs;
ALTER TABLE narrow ALTER fixed TYPE bitcode(37);
INSERT INTO narrow SELECT image FROM pairs;
ALTER TABLE narrow ALTER fixed TYPE present;
CREATE OR REPLACE TRIGGER fixed BEFORE INSERT OR UPDATE ON narrow
    FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('m', 'image', 'image', 'fixed');
UPDATE narrow SET image = '{1,2}' || image[3:];
UPDATE narrow SET image = NULL;
SELECT count(*), bool_and(fixed = xmhash_encode_image('m', image)) FROM narrow;
TRUNCATE narrow;
ALTER TABLE narrow ALTER fixed TYPE short;
INSERT INTO narrow SELECT image FROM pairs;
INSERT INTO narrow VALUES (NULL);
SELECT count(*), count(fixed) FROM narrow;

-- An expression index and a generated column, which an immutable function allows.
CREATE INDEX ON pairs (xmhash_encode_image('m', image));
ALTER TABLE pairs ADD code bitcode GENERATED ALWAYS AS (xmhash_encode_text('m', words)) STORED;
SELECT count(code) FROM pairs;

-- Bags of words.  The hash is part of the contract: these counts never change.
SELECT xmhash_bag_of_words('fat:2,4 cat:3 rat', 8);
SELECT xmhash_bag_of_words('', 3), xmhash_bag_of_words(to_tsvector('simple', 'a a a b'), 1);
SELECT xmhash_bag_of_words('żółw':: tsvector, 16);
SELECT array_length(bag, 1), (SELECT sum(x) FROM unnest(bag) x) AS words
FROM xmhash_bag_of_words(to_tsvector('english', 'The quick brown fox jumps over the lazy dog'), 200) bag;
SELECT xmhash_bag_of_words('a', 0);
SELECT xmhash_bag_of_words('a', 1048577);
SELECT xmhash_bag_of_words(NULL, 3) IS NULL;

-- What names a model depends on it, and is told of before it goes.
CREATE VIEW coded_view AS SELECT id, xmhash_encode_image('m', image) FROM pairs;
CREATE FUNCTION coded(real[]) RETURNS bitcode LANGUAGE sql BEGIN ATOMIC SELECT xmhash_encode_image('m', $1); END;
DROP TABLE m;
ALTER TABLE m RENAME TO renamed;
SELECT pg_get_viewdef('coded_view') LIKE '%''renamed''::regclass%' AS follows;
DROP TABLE renamed CASCADE;
SET client_min_messages = warning;
DROP SCHEMA encode_test CASCADE;

-- xmhash_compare_models against the single functions
SET xmhash.progress = off;
CREATE SCHEMA compare;
SET search_path = compare, public;

CREATE TABLE pairs AS
SELECT id, (ARRAY['dog', 'boat', 'car'])[1 + id % 3] AS category,
       ARRAY(SELECT (CASE WHEN n = id % 3 THEN 2 ELSE 0 END + 2 * sin(id * n + n))::real FROM generate_series(0, 11) AS n) AS image,
       ARRAY(SELECT (CASE WHEN n = id % 3 THEN 2 ELSE 0 END + 2 * cos(id * n + n))::real FROM generate_series(0, 11) AS n) AS words
FROM generate_series(1, 240) AS id;
CREATE TABLE seen AS SELECT * FROM pairs WHERE id % 4 <> 0;
CREATE VIEW unseen AS SELECT id, category, image::double precision[], words::text FROM pairs WHERE id % 4 = 0;
CALL xmhash_train('jdsh16', 'seen', 'image', 'words', 16, options => '{"epochs": 3}');
CALL xmhash_train('ridge70', 'seen', 'image', 'words', 70, 'kernel_ridge', 'category');

-- One row a model, in the order given
SELECT model, method, bits, pairs FROM xmhash_compare_models('{ridge70, jdsh16}', 'unseen', 'image', 'words', 'category');

CREATE TABLE codes AS
SELECT model::regclass, id, category, xmhash_encode_image(model, image::real[]) AS image, xmhash_encode_text(model, words::real[]) AS words
FROM unseen, (VALUES ('jdsh16'::regclass), ('ridge70')) AS v (model);
CREATE VIEW jdsh16_codes AS SELECT * FROM codes WHERE model = 'jdsh16'::regclass;
CREATE VIEW ridge70_codes AS SELECT * FROM codes WHERE model = 'ridge70'::regclass;

-- The means are those of xmhash_evaluate, with labels and without
CREATE FUNCTION single(model regclass, label name, k integer, OUT map_i double precision, OUT map_t double precision,
                       OUT precision_i double precision, OUT precision_t double precision) AS $$
SELECT i.map, t.map, ik.precision_at_k, tk.precision_at_k
FROM CAST(model || '_codes' AS regclass) AS c,
     xmhash_evaluate(c, 'image', c, 'words', label) AS i, xmhash_evaluate(c, 'words', c, 'image', label) AS t,
     xmhash_evaluate(c, 'image', c, 'words', label, k) AS ik, xmhash_evaluate(c, 'words', c, 'image', label, k) AS tk
$$ LANGUAGE sql;
SELECT c.model, label, k, map_image_to_text = map_i AND map_text_to_image = map_t AS map,
       precision_image_to_text = precision_i AND precision_text_to_image = precision_t AS precision,
       map_image_to_text BETWEEN 0.01 AND 0.99 AND map_image_to_text <> map_text_to_image AS says_something
FROM (VALUES ('category'::name, 10), ('category', 7), ('category', NULL), ('category', 1000), (NULL, 3)) AS v (label, k),
     xmhash_compare_models('{jdsh16, ridge70}', 'unseen', 'image', 'words', label, k) AS c,
     single(c.model, coalesce(label, 'id'), k)
ORDER BY label, k, model;
-- k is 10 unless it is said
SELECT model, (SELECT count(*) FROM xmhash_compare_models(ARRAY[c.model], 'unseen', 'image', 'words', 'category', 10) AS d WHERE d = c) AS same
FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', 'category') AS c;

-- What the codes are like
SELECT c.model, abs(image_bit_balance - image_balance) < 1e-12 AND abs(text_bit_balance - text_balance) < 1e-12 AS balance,
       image_duplicates = image_rows - image_codes AND text_duplicates = text_rows - text_codes AS duplicates,
       image_bit_balance <> text_bit_balance AND image_duplicates <> text_duplicates AS sides_differ
FROM xmhash_compare_models('{jdsh16, ridge70}', 'unseen', 'image', 'words') AS c,
     LATERAL (SELECT avg(2 * least(image, 1 - image)) AS image_balance, avg(2 * least(words, 1 - words)) AS text_balance
              FROM (SELECT avg(get_bit(image, bit))::double precision AS image, avg(get_bit(words, bit))::double precision AS words
                    FROM codes, generate_series(0, c.bits - 1) AS bit WHERE model = c.model GROUP BY bit) AS s) AS b,
     LATERAL (SELECT count(image) AS image_rows, count(DISTINCT image) AS image_codes, count(words) AS text_rows, count(DISTINCT words) AS text_codes
              FROM codes WHERE model = c.model) AS d;

-- Pages: as many as those of an index, and about as many read as by its searches
CREATE TABLE many AS
SELECT id, ARRAY(SELECT ((7919 * (id % 40 * 100 + n) % 1009) / 1009.0 + 0.15 * sin(id * n + n))::real FROM generate_series(1, 16) AS n) AS image,
       ARRAY(SELECT ((6007 * (id % 40 * 100 + n) % 1013) / 1013.0 + 0.15 * cos(id * n + n))::real FROM generate_series(1, 16) AS n) AS words
FROM generate_series(1, 4000::bigint) AS id;
CALL xmhash_train('many256', 'many', 'image', 'words', 256, 'kernel_ridge', options => '{"anchors": 100}');
CREATE TABLE many_codes AS SELECT id, xmhash_encode_image('many256', image) AS image, xmhash_encode_text('many256', words) AS words FROM many;
CREATE INDEX many_image ON many_codes USING xmhash (image);
CREATE INDEX many_words ON many_codes USING xmhash (words);
ANALYZE many_codes;
CREATE FUNCTION pages_read(query text) RETURNS double precision LANGUAGE plpgsql AS $$
DECLARE
  code bitcode;
  sum bigint := 0;
  searches bigint := 0;
BEGIN
  SET LOCAL enable_seqscan = off;
  FOR code IN EXECUTE format('SELECT %I FROM many_codes WHERE id %% 10 = 0', query) LOOP
    EXECUTE format('SELECT count(*) FROM (SELECT FROM many_codes ORDER BY %I <~> %L LIMIT 10) AS s',
                   CASE query WHEN 'image' THEN 'words' ELSE 'image' END, code);
    SELECT sum + pages_read, searches + 1 INTO sum, searches FROM xmhash_last_scan();
  END LOOP;
  RETURN sum::double precision / searches;
END $$;
SELECT image_pages::double precision / i.data_pages BETWEEN 0.8 AND 1.25 AND text_pages::double precision / t.data_pages BETWEEN 0.8 AND 1.25 AS pages,
       pages_read_image_to_text / pages_read('image') BETWEEN 0.5 AND 2 AS image_to_text,
       pages_read_text_to_image / pages_read('words') BETWEEN 0.5 AND 2 AS text_to_image,
       pages_read_image_to_text < text_pages / 2.0 AS fewer
FROM xmhash_compare_models('{many256}', 'many', 'image', 'words'),
     xmhash_index_stats('many_image') AS i, xmhash_index_stats('many_words') AS t;
-- More than one chunk of rows, and all of them for the whole ranking
SELECT pairs, pages_read_image_to_text = text_pages AS all_pages, map_image_to_text = e.map AS map
FROM xmhash_compare_models('{many256}', 'many', 'image', 'words', k => NULL), xmhash_evaluate('many_codes', 'image', 'many_codes', 'words', 'id') AS e;

-- Pairs that lack a side are left out; so is what a label would say of them
CREATE TABLE partly AS
SELECT id, CASE WHEN id NOT IN (8, 12) THEN ARRAY[id % 3 = 0, id % 3 = 1, id % 3 = 2] END AS category,
       CASE WHEN id <> 8 THEN image END AS image, CASE WHEN id <> 12 THEN words END AS words FROM unseen;
CREATE VIEW jdsh16_left AS SELECT * FROM jdsh16_codes WHERE id NOT IN (8, 12);
SELECT c.model, c.pairs, map_image_to_text = e.map AS map
FROM xmhash_compare_models('{jdsh16}', 'partly', 'image', 'words', 'category') AS c,
     xmhash_evaluate('jdsh16_left', 'image', 'jdsh16_left', 'words', 'category') AS e;
-- No pair, no means; no model, no row
CREATE VIEW none AS SELECT * FROM unseen WHERE false;
SELECT c FROM xmhash_compare_models('{jdsh16}', 'none', 'image', 'words', 'category') AS c;
SELECT count(*) FROM xmhash_compare_models('{}', 'unseen', 'image', 'words');
-- All codes alike
CREATE TABLE alike AS SELECT s.id, u.category, u.image, u.words FROM unseen AS u, generate_series(1, 3) AS s (id) WHERE u.id = 4;
SELECT map_image_to_text, image_bit_balance, image_duplicates, text_duplicates FROM xmhash_compare_models('{ridge70}', 'alike', 'image', 'words', 'category', 1);
-- A column may be both sides' and the label too
CREATE TABLE numbers AS SELECT id, ARRAY[id % 2, 1 - id % 2]::integer[] AS both_sides FROM generate_series(1, 40) AS id;
CALL xmhash_train('two', 'numbers', 'both_sides', 'both_sides', 8, 'kernel_ridge', options => '{"anchors": 0, "dimensions": 2}');
SELECT pairs, map_image_to_text, precision_text_to_image FROM xmhash_compare_models('{two}', 'numbers', 'both_sides', 'both_sides', 'both_sides');
-- Partitions, a materialized view
CREATE TABLE parted (LIKE pairs) PARTITION BY RANGE (id);
CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (1000);
INSERT INTO parted SELECT * FROM pairs WHERE id % 4 = 0;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM unseen;
SELECT relation, (SELECT count(*) FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', 'category') AS d WHERE d = c) AS same
FROM unnest('{parted, kept}'::regclass[]) AS relation, xmhash_compare_models('{jdsh16}', relation, 'image', 'words', 'category') AS c;

-- Refused
CREATE SEQUENCE jdsh16_number;
SELECT * FROM xmhash_compare_models(NULL, 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16, NULL}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16, ridge70, jdsh16}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{pairs}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{1}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16}', NULL, 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16}', 1::oid::regclass, 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', NULL);
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'wörds');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'id');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', 'label');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'pairs', 'image', 'words', 'image');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', k => 0);
SELECT * FROM xmhash_compare_models('{jdsh16}', 'jdsh16_number', 'image', 'words');
CREATE TABLE shorter AS SELECT image[1:5] AS image, words::real[] AS words FROM unseen;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'shorter', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16, two}', 'unseen', 'image', 'words');
CREATE TABLE odd AS SELECT id, array_append(image[1:11], (CASE id WHEN 3 THEN real 'NaN' WHEN 5 THEN NULL ELSE 1 END)::real) AS image, words FROM pairs;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'odd', 'image', 'words');
DELETE FROM odd WHERE id = 3;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'odd', 'image', 'words');
DELETE FROM odd WHERE id <> 5;
UPDATE odd SET image = ARRAY[[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]] WHERE id = 5;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'odd', 'image', 'words');
-- A model that is not trained yet
CREATE TABLE untrained OF xmhash_model;
INSERT INTO untrained SELECT * FROM jdsh16;
UPDATE untrained SET info = jsonb_set(info, '{status}', '"training"') WHERE part = 'model';
SELECT * FROM xmhash_compare_models('{jdsh16, untrained}', 'unseen', 'image', 'words');
-- Memory
CREATE VIEW more AS SELECT many.* FROM many, generate_series(1, 4);
SET maintenance_work_mem = '1MB';
\set VERBOSITY sqlstate
SELECT * FROM xmhash_compare_models('{many256}', 'more', 'image', 'words');
-- Labels too, each row's at once: a later one is not read.
CREATE VIEW many_classes AS
SELECT id, set_bit(repeat('1', 10000)::bit varying, id, 0) AS classes, image,
       CASE WHEN id < 40 THEN words ELSE array_fill(real 'NaN', '{12}') END AS words FROM pairs;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'many_classes', 'image', 'words', 'classes');
\set VERBOSITY default
-- The message counts the pairs that do fit.
DO $$ BEGIN
  PERFORM xmhash_compare_models('{jdsh16}', 'many_classes', 'image', 'words', 'classes');
EXCEPTION WHEN configuration_limit_exceeded THEN
  RAISE NOTICE '%', regexp_replace(SQLERRM, '[1-9]\d?(?= pairs)', 'some');
END $$;
RESET maintenance_work_mem;

-- With the caller's rights
CREATE ROLE regress_xmhash_compare;
GRANT USAGE ON SCHEMA compare TO regress_xmhash_compare;
GRANT SELECT ON jdsh16 TO regress_xmhash_compare;
\set VERBOSITY sqlstate
SET ROLE regress_xmhash_compare;
SELECT count(*) FROM xmhash_compare_models('{jdsh16}', 'pairs', 'image', 'words');
RESET ROLE;
GRANT SELECT (image, words) ON pairs TO regress_xmhash_compare;
SET ROLE regress_xmhash_compare;
SELECT pairs FROM xmhash_compare_models('{jdsh16}', 'pairs', 'image', 'words');
SELECT pairs FROM xmhash_compare_models('{jdsh16}', 'pairs', 'image', 'words', 'category');
SELECT pairs FROM xmhash_compare_models('{jdsh16, ridge70}', 'pairs', 'image', 'words');
RESET ROLE;
CREATE POLICY even ON pairs USING (id % 2 = 0);
ALTER TABLE pairs ENABLE ROW LEVEL SECURITY;
SET ROLE regress_xmhash_compare;
SELECT pairs FROM xmhash_compare_models('{jdsh16}', 'pairs', 'image', 'words');
RESET ROLE;
\set VERBOSITY default
REVOKE ALL ON SCHEMA compare FROM regress_xmhash_compare;
REVOKE ALL ON jdsh16, pairs FROM regress_xmhash_compare;
REVOKE SELECT (image, words) ON pairs FROM regress_xmhash_compare;
DROP ROLE regress_xmhash_compare;

SET client_min_messages = warning;
DROP SCHEMA compare CASCADE;

-- The demonstration behind `make demo`: 4,888 drawings of the Open Clip Art
-- library (public domain) with titles and keywords.  Each drawing has 64
-- features that a vision network saw; its words become features right here.
\set QUIET on
\pset footer off
\pset border 2
\pset linestyle unicode
SELECT clock_timestamp() AS started \gset

\echo '── 1. Load the pairs'
CREATE DATABASE demo;
\c demo
CREATE EXTENSION xmhash;
SELECT clock_timestamp() AS step \gset
CREATE TABLE pair (
    id int PRIMARY KEY, split text, category text, title text, keywords text, path text,
    image_features real[], word_counts real[],
    text_features real[],
    image_code bitcode(64), text_code bitcode(64));
\copy pair (id, split, category, title, keywords, path, image_features, word_counts) FROM openclipart.csv WITH (FORMAT csv, HEADER)
-- "arrow_down" is two words to a reader.
UPDATE pair SET text_features =
    xmhash_bag_of_words(to_tsvector('english', translate(concat_ws(' ', title, keywords), '_-', '  ')), 1024);
CREATE VIEW train_pair AS SELECT * FROM pair WHERE split = 'train';
CREATE VIEW test_pair AS SELECT * FROM pair WHERE split = 'test';
SELECT count(*) FILTER (WHERE split = 'train') AS "pairs to train on",
       count(*) FILTER (WHERE split = 'test') AS "pairs to test on",
       round(extract(epoch FROM clock_timestamp() - :'step')::numeric, 2) AS seconds FROM pair;

\echo '── 2. Train a model: 64 bits, JDSH, no labels'
SELECT clock_timestamp() AS step \gset
CALL xmhash_train('clipart64', 'train_pair', 'image_features', 'text_features', 64);
SELECT name AS model, method, bits, image_dimensions, text_dimensions, epochs_done AS epochs, pairs,
       round(loss::numeric, 4) AS "final loss",
       round(extract(epoch FROM clock_timestamp() - :'step')::numeric, 2) AS seconds FROM xmhash_models;

\echo '── 3. Encode every drawing and every text'
SELECT clock_timestamp() AS step \gset
UPDATE pair SET image_code = xmhash_encode_image('clipart64', image_features),
                text_code = xmhash_encode_text('clipart64', text_features);
SELECT count(image_code) AS "image codes", count(text_code) AS "text codes",
       round(extract(epoch FROM clock_timestamp() - :'step')::numeric, 2) AS seconds FROM pair;

\echo '── 4. Index'
SELECT clock_timestamp() AS step \gset
CREATE INDEX pair_image_code ON pair USING xmhash (image_code);
VACUUM ANALYZE pair;
SELECT pg_size_pretty(pg_relation_size('pair_image_code')) AS "index size",
       round(extract(epoch FROM clock_timestamp() - :'step')::numeric, 2) AS seconds;

\echo '── 5. Search drawings by words: the five nearest to each, among those never trained on'
SELECT clock_timestamp() AS step \gset
SELECT query.words AS "words", string_agg(format('%s (%s)', trim(found.title), found.category), ', ' ORDER BY found.distance, found.id) AS "drawings found"
FROM (VALUES (1, 'flag of a country in europe'), (2, 'fruit'), (3, 'computer folder icon'), (4, 'road sign'), (5, 'an animal'), (6, 'people')) AS query (number, words),
     LATERAL (SELECT xmhash_encode_text('clipart64', xmhash_bag_of_words(to_tsvector('english', words), 1024)) AS code OFFSET 0) AS encoded,
     LATERAL (SELECT id, title, category, image_code <~> encoded.code AS distance FROM pair
              WHERE split = 'test' ORDER BY image_code <~> encoded.code LIMIT 5) AS found
GROUP BY query.number, query.words ORDER BY query.number;
SELECT round(extract(epoch FROM clock_timestamp() - :'step')::numeric * 1000, 1) AS "milliseconds for the six searches" ;

\echo '── 6. How good is it: mean average precision over the 1,000 test pairs (same category = relevant)'
SELECT clock_timestamp() AS step \gset
WITH chance AS (
    SELECT sum(share * share) AS map FROM (SELECT count(*)::float8 / sum(count(*)) OVER () AS share FROM test_pair GROUP BY category) AS categories)
SELECT direction, round(map::numeric, 3) AS "mAP", (SELECT round(map::numeric, 3) FROM chance) AS "by chance"
FROM (SELECT 1 AS number, 'images find texts' AS direction, map FROM xmhash_evaluate('test_pair', 'image_code', 'test_pair', 'text_code', 'category')
      UNION ALL
      SELECT 2, 'texts find images', map FROM xmhash_evaluate('test_pair', 'text_code', 'test_pair', 'image_code', 'category')) AS both_ways
ORDER BY number;
SELECT round(extract(epoch FROM clock_timestamp() - :'step')::numeric, 2) AS "seconds",
       round(extract(epoch FROM clock_timestamp() - :'started')::numeric, 1) AS "seconds in all";

-- The demonstration behind `make demo`: 4,888 drawings of the Open Clip Art
-- library (public domain) with titles and keywords.  Each drawing has 64
-- features that a vision network saw; its words become features right here.
-- page.sql then writes what was measured into a web page.
\set QUIET on
\pset footer off
\pset border 2
\pset linestyle unicode
SELECT clock_timestamp() AS started \gset

\echo '── 1. Load the pairs'
CREATE DATABASE demo;
\c demo
CREATE EXTENSION xmhash;
-- A step ends when its row is written; its seconds are those since the row before.
CREATE TABLE step (number int GENERATED ALWAYS AS IDENTITY (MINVALUE 0 START 0), name text, ended timestamptz DEFAULT clock_timestamp());
INSERT INTO step (name, ended) VALUES ('Start', :'started');
CREATE VIEW step_seconds AS
SELECT number, name, extract(epoch FROM ended - lag(ended) OVER (ORDER BY number))::numeric AS seconds FROM step;
CREATE TABLE pair (
    id int PRIMARY KEY, split text, category text, title text, keywords text, path text,
    image_features real[], word_counts real[],
    -- "arrow_down" is two words to a reader.
    words tsvector GENERATED ALWAYS AS (to_tsvector('english',
        translate(coalesce(title, '') || ' ' || coalesce(keywords, ''), '_-', '  '))) STORED,
    text_features real[],
    image_code bitcode(64), text_code bitcode(64),
    labelled_image_code bitcode(64), labelled_text_code bitcode(64),
    kernel_image_code bitcode(64), kernel_text_code bitcode(64),
    kernel_labelled_image_code bitcode(64), kernel_labelled_text_code bitcode(64));
\copy pair (id, split, category, title, keywords, path, image_features, word_counts) FROM openclipart.csv WITH (FORMAT csv, HEADER)
UPDATE pair SET text_features = xmhash_bag_of_words(words, 1024),
    -- A few titles come with the XML entities of the files they were taken from.
    title = coalesce(nullif(trim(replace(replace(title, '&amp;', '&'), '&#39;', '''')), ''), 'untitled');
CREATE VIEW train_pair AS SELECT * FROM pair WHERE split = 'train';
CREATE VIEW test_pair AS SELECT * FROM pair WHERE split = 'test';
INSERT INTO step (name) VALUES ('Load 4,888 pairs and turn their words into features');
SELECT count(*) FILTER (WHERE split = 'train') AS "pairs to train on",
       count(*) FILTER (WHERE split = 'test') AS "pairs to test on",
       (SELECT round(seconds, 2) FROM step_seconds WHERE number = 1) AS seconds FROM pair;

\echo '── 2. Train a model from the pairs alone: 64 bits, JDSH'
CALL xmhash_train('clipart64', 'train_pair', 'image_features', 'text_features', 64);
INSERT INTO step (name) VALUES ('Train by JDSH, without labels');

\echo '── 3. Train another that also sees the 14 categories: 64 bits, DMsH-LN'
CALL xmhash_train('labelled64', 'train_pair', 'image_features', 'text_features', 64,
                  method => 'dmsh_ln', label_column => 'category', options => '{"epochs": 60}');
INSERT INTO step (name) VALUES ('Train by DMsH-LN, with labels');

\echo '── 4. And in closed form, without categories and with them: 64 bits, kernel ridge hashing'
CALL xmhash_train('kernel64', 'train_pair', 'image_features', 'text_features', 64, method => 'kernel_ridge');
INSERT INTO step (name) VALUES ('Train by kernel ridge, without labels');
CALL xmhash_train('kernel_labelled64', 'train_pair', 'image_features', 'text_features', 64,
                  method => 'kernel_ridge', label_column => 'category');
INSERT INTO step (name) VALUES ('Train by kernel ridge, with labels');
SELECT model.model, model.method, model.bits, model.image_dimensions AS "image features", model.text_dimensions AS "text features",
       model.epochs_done AS "epochs or phases", model.pairs, round(model.loss::numeric, 4) AS "final loss", round(step.seconds, 2) AS seconds
FROM xmhash_models AS model JOIN step_seconds AS step ON step.number = array_position(ARRAY['clipart64', 'labelled64', 'kernel64', 'kernel_labelled64'], model.model::text) + 1
ORDER BY step.number;

\echo '── 5. Encode every drawing and every text by the four models'
CALL xmhash_encode_table('clipart64', 'pair', 'image_features', 'image_code', 'text_features', 'text_code');
CALL xmhash_encode_table('labelled64', 'pair', 'image_features', 'labelled_image_code', 'text_features', 'labelled_text_code');
CALL xmhash_encode_table('kernel64', 'pair', 'image_features', 'kernel_image_code', 'text_features', 'kernel_text_code');
CALL xmhash_encode_table('kernel_labelled64', 'pair', 'image_features', 'kernel_labelled_image_code', 'text_features', 'kernel_labelled_text_code');
INSERT INTO step (name) VALUES ('Encode all drawings and texts by the four models');
SELECT count(image_code) + count(labelled_image_code) + count(kernel_image_code) + count(kernel_labelled_image_code) AS "image codes",
       count(text_code) + count(labelled_text_code) + count(kernel_text_code) + count(kernel_labelled_text_code) AS "text codes",
       (SELECT round(seconds, 2) FROM step_seconds WHERE number = 6) AS seconds FROM pair;

\echo '── 6. Index'
CREATE INDEX pair_image_code ON pair USING xmhash (image_code);
VACUUM ANALYZE pair;
INSERT INTO step (name) VALUES ('Index the codes, VACUUM ANALYZE');
SELECT pg_size_pretty(pg_relation_size('pair_image_code')) AS "index size", round(seconds, 2) AS seconds
FROM step_seconds WHERE number = 7;

-- A dozen words, each borne by at least 39 of the pairs trained on: some that a
-- linear model of 64 bits has learned, some that it has not.  All are shown.
CREATE TABLE query (number int PRIMARY KEY, words text);
INSERT INTO query VALUES (1, 'flag'), (2, 'card'), (3, 'arrow'), (4, 'road sign'), (5, 'mammal'), (6, 'jigsaw'),
                         (7, 'food'), (8, 'map'), (9, 'smiley'), (10, 'people'), (11, 'music'), (12, 'fruit');

\echo '── 7. Search drawings by words: the three nearest to each of a dozen, among the 1,000 never trained on'
\echo '      (✓: its own title or keywords have the words, which the search never saw)'
CREATE TABLE found AS
SELECT query.number, query.words, row_number() OVER (PARTITION BY query.number ORDER BY found.distance, found.id) AS rank,
       found.id, found.distance, found.own_words @@ plainto_tsquery('english', query.words) AS has_words
FROM query,
     LATERAL (SELECT xmhash_encode_text('clipart64', xmhash_bag_of_words(to_tsvector('english', query.words), 1024)) AS code OFFSET 0) AS encoded,
     LATERAL (SELECT id, words AS own_words, image_code <~> encoded.code AS distance FROM pair
              WHERE split = 'test' ORDER BY image_code <~> encoded.code LIMIT 6) AS found;
INSERT INTO step (name) VALUES ('Search by a dozen words');
SELECT CASE found.rank WHEN 1 THEN found.words END AS words, found.distance AS bits, CASE WHEN found.has_words THEN '✓' END AS "✓",
       left(pair.title, 44) AS drawing, pair.category
FROM found JOIN pair USING (id) WHERE found.rank <= 3 ORDER BY found.number, found.rank;
-- How many of six drawn at random would have the words.
CREATE VIEW by_chance AS
SELECT query.number, 6 * avg((pair.words @@ plainto_tsquery('english', query.words))::int) AS has_words
FROM query, test_pair AS pair GROUP BY query.number;
SELECT sum(has_words::int) || ' of ' || count(*) AS "have the words, of six found for each",
       (SELECT round(sum(has_words), 1) FROM by_chance) AS "by chance",
       (SELECT round(seconds * 1000, 1) FROM step_seconds WHERE number = 8) AS "milliseconds for the dozen"
FROM found;

\echo '── 8. How good is it: mean average precision over the 1,000 test pairs (same category = relevant)'
CREATE TABLE quality AS
SELECT number, trained, direction, map
FROM (SELECT 1 AS number, 'JDSH, without labels' AS trained, 'drawings find texts' AS direction, map
      FROM xmhash_evaluate('test_pair', 'image_code', 'test_pair', 'text_code', 'category')
      UNION ALL
      SELECT 2, 'JDSH, without labels', 'texts find drawings', map
      FROM xmhash_evaluate('test_pair', 'text_code', 'test_pair', 'image_code', 'category')
      UNION ALL
      SELECT 3, 'DMsH-LN, with labels', 'drawings find texts', map
      FROM xmhash_evaluate('test_pair', 'labelled_image_code', 'test_pair', 'labelled_text_code', 'category')
      UNION ALL
      SELECT 4, 'DMsH-LN, with labels', 'texts find drawings', map
      FROM xmhash_evaluate('test_pair', 'labelled_text_code', 'test_pair', 'labelled_image_code', 'category')
      UNION ALL
      SELECT 5, 'kernel ridge, without labels', 'drawings find texts', map
      FROM xmhash_evaluate('test_pair', 'kernel_image_code', 'test_pair', 'kernel_text_code', 'category')
      UNION ALL
      SELECT 6, 'kernel ridge, without labels', 'texts find drawings', map
      FROM xmhash_evaluate('test_pair', 'kernel_text_code', 'test_pair', 'kernel_image_code', 'category')
      UNION ALL
      SELECT 7, 'kernel ridge, with labels', 'drawings find texts', map
      FROM xmhash_evaluate('test_pair', 'kernel_labelled_image_code', 'test_pair', 'kernel_labelled_text_code', 'category')
      UNION ALL
      SELECT 8, 'kernel ridge, with labels', 'texts find drawings', map
      FROM xmhash_evaluate('test_pair', 'kernel_labelled_text_code', 'test_pair', 'kernel_labelled_image_code', 'category')) AS measured;
INSERT INTO step (name) VALUES ('Evaluate the four models both ways');
-- What a ranking by chance would reach: the share of a query's own category.
CREATE VIEW chance AS
SELECT sum(share * share) AS map
FROM (SELECT count(*)::float8 / sum(count(*)) OVER () AS share FROM test_pair GROUP BY category) AS categories;
SELECT trained, direction, round(quality.map::numeric, 3) AS "mAP", round(chance.map::numeric, 3) AS "by chance"
FROM quality, chance ORDER BY number;
SELECT round(seconds, 2) AS "seconds", (SELECT round(sum(seconds), 1) FROM step_seconds) AS "seconds in all"
FROM step_seconds WHERE number = 9;

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
SELECT model, method, bits, pairs FROM xmhash_compare_models('{ridge70, jdsh16, ridge70}', 'unseen', 'image', 'words', 'category');

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
       map_image_to_text BETWEEN 0.01 AND 0.99 AS says_something
FROM (VALUES ('category'::name, 10), ('category', 7), ('category', NULL), (NULL, 3)) AS v (label, k),
     xmhash_compare_models('{jdsh16, ridge70}', 'unseen', 'image', 'words', label, k) AS c,
     single(c.model, coalesce(label, 'id'), k)
ORDER BY label, k, model;

-- k is 10 unless it is said
SELECT model, (SELECT count(*) FROM xmhash_compare_models(ARRAY[c.model], 'unseen', 'image', 'words', 'category', 10) AS d WHERE d = c) AS same
FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', 'category') AS c;

-- How many rows are no farther than the k-th
SELECT model, abs(nearest_image_to_text - expected_i) < 1e-12 AND abs(nearest_text_to_image - expected_t) < 1e-12 AS nearest
FROM xmhash_compare_models('{jdsh16, ridge70}', 'unseen', 'image', 'words', k => 5) AS c,
     LATERAL (SELECT avg((SELECT count(*) FROM codes AS d WHERE d.model = c.model AND q.image <~> d.words <=
                            (SELECT e.words <~> q.image FROM codes AS e WHERE e.model = c.model ORDER BY 1 OFFSET 4 LIMIT 1)))::double precision / 60 AS expected_i,
                     avg((SELECT count(*) FROM codes AS d WHERE d.model = c.model AND q.words <~> d.image <=
                            (SELECT e.image <~> q.words FROM codes AS e WHERE e.model = c.model ORDER BY 1 OFFSET 4 LIMIT 1)))::double precision / 60 AS expected_t
              FROM codes AS q WHERE q.model = c.model) AS expected;

-- What the codes are like
SELECT model, abs(bit_balance_image - balance) < 1e-12 AS balance, abs(duplicates_text - duplicates) < 1e-12 AS duplicates,
       bit_balance_image <> bit_balance_text AS sides_differ
FROM xmhash_compare_models('{jdsh16, ridge70}', 'unseen', 'image', 'words') AS c,
     LATERAL (SELECT avg(2 * least(share, 1 - share)) AS balance
              FROM (SELECT avg(get_bit(image, bit))::double precision AS share
                    FROM codes, generate_series(0, c.bits - 1) AS bit WHERE model = c.model GROUP BY bit) AS s) AS b,
     LATERAL (SELECT sum(rows) FILTER (WHERE rows > 1)::double precision / 60 AS duplicates
              FROM (SELECT count(*) AS rows FROM codes WHERE model = c.model GROUP BY words) AS s) AS d;

-- Pairs that lack a side are left out, said once; no pair, no means
CREATE TABLE partly AS SELECT id, category, CASE WHEN id <> 8 THEN image END AS image, CASE WHEN id <> 12 THEN words END AS words FROM unseen;
SELECT model, pairs FROM xmhash_compare_models('{jdsh16, ridge70}', 'partly', 'image', 'words', 'category');
CREATE VIEW none AS SELECT * FROM unseen WHERE false;
SELECT c FROM xmhash_compare_models('{jdsh16}', 'none', 'image', 'words', 'category') AS c;
SELECT count(*) FROM xmhash_compare_models('{}', 'unseen', 'image', 'words');

-- All codes alike
CREATE TABLE alike AS SELECT s.id, u.category, u.image, u.words FROM unseen AS u, generate_series(1, 3) AS s (id) WHERE u.id = 4;
SELECT map_image_to_text, nearest_image_to_text, bit_balance_image, duplicates_image FROM xmhash_compare_models('{ridge70}', 'alike', 'image', 'words', 'category', 1);

-- Refused
CREATE SEQUENCE jdsh16_number;
SELECT * FROM xmhash_compare_models(NULL, 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16, NULL}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{pairs}', 'unseen', 'image', 'words');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', NULL);
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'wörds');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', 'label');
SELECT * FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words', k => 0);
SELECT * FROM xmhash_compare_models('{jdsh16}', 'jdsh16_number', 'image', 'words');
CREATE TABLE shorter AS SELECT image[1:5] AS image, words::real[] AS words FROM unseen;
SELECT * FROM xmhash_compare_models('{jdsh16}', 'shorter', 'image', 'words');

-- With the caller's rights
CREATE ROLE regress_xmhash_compare;
GRANT USAGE ON SCHEMA compare TO regress_xmhash_compare;
GRANT SELECT ON jdsh16 TO regress_xmhash_compare;
\set VERBOSITY sqlstate
SET ROLE regress_xmhash_compare;
SELECT count(*) FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words');
RESET ROLE;
GRANT SELECT ON unseen TO regress_xmhash_compare;
SET ROLE regress_xmhash_compare;
SELECT count(*) FROM xmhash_compare_models('{jdsh16}', 'unseen', 'image', 'words');
SELECT count(*) FROM xmhash_compare_models('{ridge70}', 'unseen', 'image', 'words');
RESET ROLE;
\set VERBOSITY default
REVOKE ALL ON SCHEMA compare FROM regress_xmhash_compare;
REVOKE ALL ON jdsh16, unseen FROM regress_xmhash_compare;
DROP ROLE regress_xmhash_compare;

SET client_min_messages = warning;
DROP SCHEMA compare CASCADE;

-- The statements of sql/README.md that no example_*.sql has, with what they
-- print where that page shows it; 505_documents.pl looks for each here.
SET xmhash.progress = off;
CREATE SCHEMA reference;
SET search_path = reference, public;

-- The type
CREATE TABLE images (id bigint PRIMARY KEY, code bitcode(64));
INSERT INTO images VALUES (1, 'xCAFEBABE01234567'), (2, 42::bigint::bitcode);
SELECT id, code <~> 'xCAFEBABE01234568' AS distance FROM images ORDER BY distance LIMIT 10;
SELECT id FROM images WHERE hamming_within(code, 'xCAFEBABE01234568', 8);

-- The index
CREATE TABLE picture AS
SELECT id, (ARRAY['dog', 'boat', 'car'])[1 + id % 3] AS category,
       (CASE id % 3 WHEN 0 THEN bitcode 'xCAFEBABE01234567' WHEN 1 THEN 'xCAFEBABE0123FFFF' ELSE 'x00FF00FF00FF00FF' END
        # ((1::bigint << id % 60)::bitcode))::bitcode(64) AS code
FROM generate_series(1, 240) AS id;
CREATE INDEX ON picture USING xmhash (code);
ANALYZE picture;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM picture ORDER BY code <~> 'xCAFEBABE01234567' LIMIT 10) AS nearest;
PREPARE nearest AS SELECT id FROM picture ORDER BY code <~> 'xCAFEBABE01234567' LIMIT 10;
PREPARE within AS SELECT id FROM picture WHERE hamming_within(code, 'xCAFEBABE01234567', 5);
PREPARE equal AS SELECT id FROM picture WHERE code = 'xCAFEBABE01234567';
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) EXECUTE nearest;
SELECT count(*) FROM picture WHERE hamming_within(code, 'xCAFEBABE01234567', 5);
EXECUTE equal;
SELECT strategy FROM xmhash_last_scan();
RESET enable_seqscan;
CREATE INDEX ON picture USING xmhash (code) WITH (bands = 4);

-- Balls
CREATE TABLE watch (name text, ball hamming_ball);
INSERT INTO watch VALUES ('a dog', hamming_ball('xCAFEBABE01234567', 0)), ('a boat', hamming_ball('xCAFEBABE0123FFFE', 0));
UPDATE picture SET code = 'xCAFEBABE01234567' WHERE id = 3;
UPDATE picture SET code = 'xCAFEBABE0123FFFE' WHERE id = 4;
SELECT watch.name, picture.id FROM watch JOIN picture ON watch.ball @> picture.code ORDER BY watch.name, picture.id;

-- No two codes within a radius
CREATE TABLE upload (id int PRIMARY KEY, code bitcode(64),
                     CONSTRAINT upload_new EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>));
INSERT INTO upload VALUES (1, 'xCAFEBABE01234567'), (2, 'x0123456789ABCDEF');
INSERT INTO upload VALUES (3, 'xCAFEBABE01234560') ON CONFLICT DO NOTHING;  -- three bits from row 1: left out
SELECT id FROM upload ORDER BY id;

-- Models
CREATE TABLE pairs AS
SELECT id, 'pair ' || id AS title,
       ARRAY(SELECT (CASE WHEN n = id % 3 THEN 2 ELSE 0 END + sin(id * n + n))::real FROM generate_series(0, 11) AS n) AS image_features,
       ARRAY(SELECT (CASE WHEN n = id % 3 THEN 2 ELSE 0 END + cos(id * n + n))::real FROM generate_series(0, 11) AS n) AS text_features,
       (ARRAY['dog', 'boat', 'car'])[1 + id % 3] AS category
FROM generate_series(1, 240) AS id;
CALL xmhash_train('scenes64', 'pairs', 'image_features', 'text_features', bits => 64);
CALL xmhash_train('scenes32', 'pairs', 'image_features', 'text_features', 32, options => '{"epochs": 2}');
CALL xmhash_train('scenes16', 'pairs', 'image_features', 'text_features', 16, options => '{"epochs": 2}');
CALL xmhash_train('batches64', 'pairs', 'image_features', 'text_features', 64,
                  options => '{"batch_size": 128, "learning_rate_image": 0.04, "learning_rate_text": 0.04}');
SELECT count(bit_length) AS codes, max(bit_length) AS bits FROM (SELECT bit_length(code) FROM (
SELECT xmhash_encode_image('scenes64', image_features) FROM pairs
) AS encoded (code)) AS lengths;
SELECT xmhash_import_model('again', xmhash_export_model('scenes64'));
SELECT count(*) AS rows, count(DISTINCT bit_length(xmhash_encode_text('again', text_features) # xmhash_encode_text('scenes64', text_features))) AS lengths,
       max(bit_count(xmhash_encode_text('again', text_features) # xmhash_encode_text('scenes64', text_features))) AS differ FROM pairs;

-- Evaluation
CREATE VIEW unseen_pairs AS SELECT * FROM pairs WHERE id % 4 = 0;
SELECT model, bits, map BETWEEN 0.2 AND 1 AND precision BETWEEN 0.2 AND 1 AS means, duplicates BETWEEN 0 AND 59 AS duplicates, pages_read, pages FROM (
SELECT model, bits, map_text_to_image, precision_text_to_image, image_duplicates, pages_read_text_to_image, image_pages
FROM xmhash_compare_models('{scenes16, scenes32, scenes64}', 'unseen_pairs',
                           'image_features', 'text_features', 'category')
) AS compared (model, bits, map, precision, duplicates, pages_read, pages);
CREATE TABLE test_caption AS
SELECT id, category, xmhash_encode_text('scenes64', text_features) AS code FROM pairs WHERE id % 4 = 0;
UPDATE picture SET code = xmhash_encode_image('scenes64', image_features) FROM pairs WHERE pairs.id = picture.id;
SELECT queries, queries_without_relevant, map > 0.5 AS good, map_ties_by_position > 0.5 AS too, precision_at_k > 0.5 AS precise FROM (
SELECT * FROM xmhash_evaluate(
    queries       => 'test_caption', query_code    => 'code',
    database      => 'picture',      database_code => 'code',
    label_column  => 'category',     k             => 100)
) AS evaluation;
SELECT map > 0.5 AS good FROM (
SELECT avg(ap) AS map
FROM (SELECT q.id, average_precision(q.category = d.category ORDER BY d.code <~> q.code, d.id) AS ap
      FROM test_caption q, picture d GROUP BY q.id) s
) AS own;
SELECT count(*) AS radii, bool_and(recall BETWEEN 0 AND 1) AS shares FROM (
SELECT position AS radius, precision, recall, queries
FROM xmhash_precision_recall('test_caption', 'code', 'picture', 'code', 'category')
WHERE kind = 'radius' AND position % 8 = 0
) AS curve;
CREATE TABLE test_pair AS
SELECT category, xmhash_encode_image('scenes64', image_features) AS image_code, xmhash_encode_text('scenes64', text_features) AS text_code
FROM pairs WHERE id % 4 = 0;
CREATE TABLE train_pair AS
SELECT category, xmhash_encode_image('scenes64', image_features) AS image_code, xmhash_encode_text('scenes64', text_features) AS text_code
FROM pairs WHERE id % 4 <> 0;
SELECT xmhash_plot_training('scenes64') \gset one_
SELECT xmhash_plot_training('scenes16', 'scenes32', 'scenes64') \gset several_
SELECT xmhash_plot_precision_recall('test_pair', ARRAY['image_code', 'text_code'], 'train_pair', ARRAY['text_code', 'image_code'], 'category',
                                    names => ARRAY['image to text', 'text to image']) \gset curve_
SELECT :'one_xmhash_plot_training' LIKE '<svg %' AS one, :'several_xmhash_plot_training' LIKE '<svg %scenes16%' AS several,
       :'curve_xmhash_plot_precision_recall' LIKE '<svg %image to text%' AS curve;

SET client_min_messages = warning;
DROP SCHEMA reference CASCADE;

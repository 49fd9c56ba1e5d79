-- What the documents say about plans, options, settings and kinds of mAP, on a
-- table like that of README.md.  505_documents.pl runs README.md itself, and looks
-- for the statements of sql/README.md here, in reference.sql and in example_*.sql.
SET xmhash.progress = off;
CREATE SCHEMA documents;
SET search_path = documents, public;

CREATE TABLE picture (
    id int PRIMARY KEY,
    category text,            -- not needed, but good for measuring
    caption text,
    features real[],          -- what an image network says
    words real[],             -- what the caption says
    code bitcode(64));

-- 2,000 pictures of five things in five places; instead of this, load your own.
INSERT INTO picture (id, category, caption, features)
SELECT id, thing, 'a ' || thing || ' ' || place,
       ARRAY(SELECT (sin(id * 12.9898 + i * 78.233) + CASE WHEN i / 8 IN (id % 5, 5 + id / 5 % 5) THEN 3 ELSE 0 END)::real
             FROM generate_series(0, 79) AS i)
FROM generate_series(1, 2000) AS id,
     LATERAL (SELECT (ARRAY['dog', 'cat', 'boat', 'car', 'child'])[1 + id % 5] AS thing,
                     (ARRAY['on a beach', 'in a street', 'in the snow', 'under a tree', 'by a river'])[1 + id / 5 % 5] AS place) AS scene;

UPDATE picture SET words = xmhash_bag_of_words(to_tsvector('english', caption), 1024);

-- 1. Train: no labels needed.
CALL xmhash_train('pictures', 'picture', 'features', 'words', 64);

-- 2. Encode: 64 bits a picture.
UPDATE picture SET code = xmhash_encode_image('pictures', features);

-- 3. Index, and search by words.
CREATE INDEX ON picture USING xmhash (code);
ANALYZE picture;
SELECT caption, count(*) FROM (
    SELECT id, caption FROM picture
    ORDER BY code <~> xmhash_encode_text('pictures', xmhash_bag_of_words(to_tsvector('english', 'dog on a beach'), 1024))
    LIMIT 10) AS nearest
GROUP BY caption;
SELECT strategy, rows_returned FROM xmhash_last_scan();

-- With labels.
CALL xmhash_train('labelled', 'picture', 'features', 'words', 64, method => 'dmsh_ln', label_column => 'category',
                  options => '{"epochs": 2}');
SELECT model, method, bits, image_dimensions, text_dimensions, status, epochs_done, pairs FROM xmhash_models
WHERE model IN ('pictures', 'labelled') ORDER BY model::text;
SELECT model, count(*) AS epochs, bool_and(terms = CASE model::text WHEN 'pictures' THEN '{cross,image,pair,text}'::text[]
                                                              ELSE '{ii,it,iy,tt,ty,yy}' END) AS terms
FROM xmhash_training, LATERAL (SELECT array_agg(key ORDER BY key COLLATE "C") AS terms FROM jsonb_object_keys(loss_terms) AS key) AS named
WHERE model IN ('pictures', 'labelled') GROUP BY model ORDER BY model::text;

-- The options that there are, with the defaults that sql/README.md says.
SELECT key, max(value::text) FILTER (WHERE method = 'jdsh') AS jdsh, max(value::text) FILTER (WHERE method = 'dmsh_ln') AS dmsh_ln
FROM xmhash_models, LATERAL jsonb_each(options) WHERE model IN ('pictures', 'labelled') GROUP BY key ORDER BY key COLLATE "C";

-- The settings likewise, and the index's options.
SELECT name, boot_val, unit, context FROM pg_settings WHERE name LIKE 'xmhash.%' AND name <> 'xmhash.progress' ORDER BY name;
CREATE INDEX banded ON picture USING xmhash (code) WITH (bands = 4, pending_list_limit = 64);
SELECT rows, band_pages FROM xmhash_index_stats('banded');   -- so few rows need none
DROP INDEX banded;

-- What the planner recognises, and what it does not.
SET enable_bitmapscan = off;
SET xmhash.bitcode_output = hex;
EXPLAIN (COSTS OFF) SELECT id FROM picture ORDER BY code <~> 'xCAFEBABE01234567' LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM picture ORDER BY code <~> ~'xCAFEBABE01234567'::bitcode LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM picture WHERE hamming_within(code, 'xCAFEBABE01234567', 5);
EXPLAIN (COSTS OFF) SELECT id FROM picture WHERE code <@ hamming_ball('xCAFEBABE01234567', 5);
EXPLAIN (COSTS OFF) SELECT id FROM picture WHERE code <~> 'xCAFEBABE01234567' <= 5;
EXPLAIN (COSTS OFF) SELECT id FROM picture ORDER BY code <~> 'xCAFEBABE01234567' DESC LIMIT 10;
EXPLAIN (COSTS OFF) SELECT id FROM picture ORDER BY hamming_distance(code, 'xCAFEBABE01234567') LIMIT 10;
SELECT 'x0F'::bitcode <@ hamming_ball('x0E', 1) AS inside, 'x0F'::bitcode <@ hamming_ball('x0E', 0) AS outside,
       hamming_ball(B'0101', 3) AS ball, '(0101,3)'::hamming_ball AS same;

-- A total order by two steps: the same rows as by a sort of all.
SELECT array_agg(id ORDER BY distance, id) =
       (SELECT array_agg(id ORDER BY distance, id)
        FROM (SELECT id, code <~> 'xCAFEBABE01234567' AS distance FROM picture ORDER BY hamming_distance(code, 'xCAFEBABE01234567'), id LIMIT 10) AS sorted) AS same
FROM (SELECT id, code <~> 'xCAFEBABE01234567' AS distance FROM picture
      WHERE hamming_within(code, 'xCAFEBABE01234567', (SELECT max(distance) FROM (
                SELECT code <~> 'xCAFEBABE01234567' AS distance FROM picture ORDER BY code <~> 'xCAFEBABE01234567' LIMIT 10) AS nearest))
      ORDER BY code <~> 'xCAFEBABE01234567', id LIMIT 10) AS two_steps;

-- Codes in a column of another type, by an expression index.
CREATE TABLE item AS SELECT id, code::bit(64) AS bits FROM picture;
CREATE INDEX ON item USING xmhash ((bits::bitcode(64)));
ANALYZE item;
EXPLAIN (COSTS OFF) SELECT id FROM item ORDER BY bits::bitcode(64) <~> 'xCAFEBABE01234567' LIMIT 10;

-- One query, four rows at one distance: two kinds of mAP.
CREATE TABLE one_query (code bitcode(8), label text);
INSERT INTO one_query VALUES ('00000000', 'cat');
CREATE TABLE relevant_first (code bitcode(8), label text);
INSERT INTO relevant_first VALUES ('00000001', 'cat'), ('00000001', 'cat'), ('00000001', 'dog'), ('00000001', 'dog');
CREATE TABLE relevant_last (code bitcode(8), label text);
INSERT INTO relevant_last  VALUES ('00000001', 'dog'), ('00000001', 'dog'), ('00000001', 'cat'), ('00000001', 'cat');
SELECT 'first' AS relevant, map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'relevant_first', 'code', 'label')
UNION ALL
SELECT 'last', map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'relevant_last', 'code', 'label');

-- A model belongs to a role as every table does.
CREATE ROLE regress_documents_owner;
GRANT USAGE, CREATE ON SCHEMA documents TO regress_documents_owner;
GRANT SELECT ON picture TO regress_documents_owner;
SET ROLE regress_documents_owner;
CALL xmhash_train('of_another', 'picture', 'features', 'words', 16, options => '{"epochs": 1}');
RESET ROLE;
DROP ROLE regress_documents_owner;
REASSIGN OWNED BY regress_documents_owner TO CURRENT_USER;
DROP OWNED BY regress_documents_owner;
DROP ROLE regress_documents_owner;
SELECT model, owner = current_user::regrole AS mine FROM xmhash_models WHERE model = 'of_another'::regclass;

SET client_min_messages = warning;
DROP SCHEMA documents CASCADE;

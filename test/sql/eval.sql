-- average_precision, xmhash_evaluate and xmhash_precision_recall against the
-- definitions, by hand and by brute force in SQL.
SET extra_float_digits = 0;

-- ---------------------------------------------------- average_precision
-- Relevant at ranks 2, 3 and 5: (1/2 + 2/3 + 3/5) / 3.
CREATE TABLE ranking (distance int, id int, relevant boolean);
INSERT INTO ranking VALUES (0, 1, false), (1, 2, true), (2, 4, NULL), (1, 3, true), (2, 5, true), (9, 6, false);
SELECT average_precision(relevant ORDER BY distance, id), (1/2. + 2/3. + 3/5.) / 3 AS expected FROM ranking;
-- The first k ranks count, over the lesser of k and all relevant rows.
SELECT k, average_precision(relevant, k ORDER BY distance, id) FROM ranking, generate_series(1, 7) AS k GROUP BY k ORDER BY k;
SELECT average_precision(relevant, NULL ORDER BY distance, id) = average_precision(relevant ORDER BY distance, id) AS null_is_all FROM ranking;
-- No row at all; none relevant; all relevant; only unknown.
SELECT average_precision(relevant ORDER BY id) FROM ranking WHERE false;
SELECT average_precision(false ORDER BY id), average_precision(true ORDER BY id), average_precision(NULL ORDER BY id), average_precision(true, 2 ORDER BY id) FROM ranking;
-- A row of unknown relevance holds its rank, and is no hit.
SELECT average_precision(relevant ORDER BY n) FROM (VALUES (1, NULL), (2, true)) AS r (n, relevant);
-- By group, and as a window over a growing frame.
SELECT distance, average_precision(relevant ORDER BY id) FROM ranking GROUP BY distance ORDER BY distance;
SELECT id, average_precision(relevant) OVER (ORDER BY distance, id) FROM ranking ORDER BY distance, id;
SELECT average_precision(relevant, 0 ORDER BY id) FROM ranking;
SELECT average_precision(relevant, -3 ORDER BY id) FROM ranking;
SELECT average_precision(relevant, id ORDER BY id) FROM ranking;

-- ------------------------------------------- tie-aware and storage order
-- Four rows at one distance, two of them relevant.  Their order in the table
-- decides the storage-order figure alone.
CREATE TABLE one_query (code bitcode(8), label text);
INSERT INTO one_query VALUES ('00000000', 'cat');
CREATE TABLE relevant_first (code bitcode(8), label text);
INSERT INTO relevant_first VALUES ('00000001', 'cat'), ('00000001', 'cat'), ('00000001', 'dog'), ('00000001', 'dog');
CREATE TABLE relevant_last (code bitcode(8), label text);
INSERT INTO relevant_last VALUES ('00000001', 'dog'), ('00000001', 'dog'), ('00000001', 'cat'), ('00000001', 'cat');
SELECT 'first' AS relevant, * FROM xmhash_evaluate('one_query', 'code', 'relevant_first', 'code', 'label')
UNION ALL
SELECT 'last', * FROM xmhash_evaluate('one_query', 'code', 'relevant_last', 'code', 'label');
-- An update moves rows to the end of the table.
UPDATE relevant_first SET label = label WHERE label = 'cat';
SELECT map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'relevant_first', 'code', 'label');
-- A view has the order in which it gives its rows.
CREATE VIEW best_first AS SELECT * FROM relevant_last ORDER BY label;
SELECT map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'best_first', 'code', 'label');
-- A materialized view has its own storage order.
CREATE MATERIALIZED VIEW best_first_stored AS SELECT * FROM best_first;
SELECT map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'best_first_stored', 'code', 'label');
-- Partitions follow each other.
CREATE TABLE parts (code bitcode(8), label text) PARTITION BY LIST (label);
CREATE TABLE parts_dog PARTITION OF parts FOR VALUES IN ('dog');
CREATE TABLE parts_cat PARTITION OF parts FOR VALUES IN ('cat');
INSERT INTO parts SELECT * FROM relevant_first;
SELECT map, map_ties_by_position FROM xmhash_evaluate('one_query', 'code', 'parts', 'code', 'label');

-- ------------------------------------------------------- small cases
CREATE TABLE small (id serial, code bitcode(8), label text);
INSERT INTO small (code, label) VALUES ('00000000', 'dog'), ('00000001', 'cat'), ('00000011', 'dog'), (NULL, 'cat'), ('11111111', NULL);
-- The second of four; k beyond the ranking is the whole ranking; k = 1 finds nothing.
SELECT k, e.* FROM (VALUES (NULL), (1), (2), (4), (100)) AS v (k), xmhash_evaluate('one_query', 'code', 'small', 'code', 'label', k) AS e;
-- No relevant row, no class, no code among the queries.
CREATE TABLE strange_query (code bitcode(8), label text);
INSERT INTO strange_query VALUES ('00000000', 'horse'), ('00000000', NULL), (NULL, 'cat'), (NULL, NULL), ('00000001', 'cat');
SELECT * FROM xmhash_evaluate('strange_query', 'code', 'small', 'code', 'label');
-- No row on either side.
CREATE TABLE empty (code bitcode(8), label text);
SELECT * FROM xmhash_evaluate('one_query', 'code', 'empty', 'code', 'label');
SELECT * FROM xmhash_evaluate('empty', 'code', 'small', 'code', 'label');
SELECT * FROM xmhash_precision_recall('one_query', 'code', 'empty', 'code', 'label') WHERE position < 2;
SELECT * FROM xmhash_precision_recall('empty', 'code', 'small', 'code', 'label');
SELECT * FROM xmhash_precision_recall('one_query', 'code', 'small', 'code', 'label');
SELECT * FROM xmhash_precision_recall('strange_query', 'code', 'small', 'code', 'label', 2);

-- ------------------------------------------------ brute force in SQL
CREATE TABLE picture AS
  SELECT id, ('x' || substr(md5('p' || id), 1, 3))::bit(12)::bitcode(12) AS code,
         ARRAY(SELECT class FROM unnest('{sea,sky,tree,house,face,car}'::text[]) AS class
               WHERE ('x' || substr(md5(class || id), 1, 2))::bit(8)::int < 70) AS classes
  FROM generate_series(1, 300) AS id;
CREATE TABLE caption AS
  SELECT id, ('x' || substr(md5('c' || id), 1, 3))::bit(12)::bitcode(12) AS code, classes FROM picture WHERE id <= 40;
-- One row a query and rank: ties in storage order (shared and relevant), and
-- expected over ties (expected_*): group starts, sizes and counts by window.
CREATE TABLE ranked AS
  WITH pair AS (
    SELECT c.id AS query, p.ctid AS place, c.code <~> p.code AS distance,
           (SELECT count(*) FROM unnest(c.classes) AS class WHERE class = ANY (p.classes)) AS shared
    FROM caption AS c, picture AS p),
  placed AS (
    SELECT *, row_number() OVER (PARTITION BY query ORDER BY distance, place) AS rank,
           row_number() OVER (PARTITION BY query ORDER BY shared DESC) AS best_rank,
           row_number() OVER (PARTITION BY query, distance) AS any_order,
           rank() OVER (PARTITION BY query ORDER BY distance) - 1 AS before,
           count(*) OVER (PARTITION BY query, distance) AS n,
           count(*) FILTER (WHERE shared > 0) OVER (PARTITION BY query, distance) AS r,
           count(*) FILTER (WHERE shared > 0) OVER (PARTITION BY query ORDER BY distance) AS r_until,
           sum(2.0::float8 ^ shared - 1) OVER (PARTITION BY query, distance) AS gain_sum
    FROM pair)
  SELECT query, distance, rank, best_rank, shared, 2.0::float8 ^ shared - 1 AS gain,
         before + any_order AS expected_rank, r::float8 / n AS expected_relevant, gain_sum / n AS expected_gain,
         r_until - r + 1 + (any_order - 1) * (r - 1)::float8 / greatest(n - 1, 1) AS expected_until
  FROM placed;
CREATE FUNCTION brute_force(k bigint, OUT queries bigint, OUT without bigint, OUT map float8, OUT map_storage float8,
                            OUT precision_k float8, OUT recall_k float8, OUT ndcg float8)
LANGUAGE sql AS $$
  WITH query AS (
    SELECT query, count(*) FILTER (WHERE shared > 0) AS relevant,
           coalesce(sum(expected_relevant * expected_until / expected_rank) FILTER (WHERE expected_rank <= k), 0)
             / greatest(least(count(*) FILTER (WHERE shared > 0), k), 1) AS ap,
           average_precision(shared > 0, k::int ORDER BY rank) AS ap_storage,
           sum(expected_relevant) FILTER (WHERE expected_rank <= k) AS found,
           sum(expected_gain / (ln(1 + expected_rank) / ln(2::float8))) FILTER (WHERE expected_rank <= k) AS dcg,
           sum(gain / (ln(1 + best_rank) / ln(2::float8))) FILTER (WHERE best_rank <= k) AS ideal,
           least(count(*), k) AS k
    FROM ranked GROUP BY query)
  SELECT count(*), count(*) FILTER (WHERE relevant = 0), avg(ap), avg(ap_storage),
         avg(found / k), avg(found / greatest(relevant, 1)), avg(coalesce(dcg / nullif(ideal, 0), 0))
  FROM query $$;
SELECT k, e.queries = b.queries AS queries, queries_without_relevant = without AS without,
       abs(e.map - b.map) < 1e-12 AS map, abs(map_ties_by_position - map_storage) < 1e-12 AS storage_order,
       abs(precision_at_k - precision_k) < 1e-12 AS precision, abs(recall_at_k - recall_k) < 1e-12 AS recall,
       abs(ndcg_at_k - ndcg) < 1e-12 AS ndcg, e.map <> map_ties_by_position AS ties_matter
FROM (VALUES (1), (2), (10), (299), (300), (1000)) AS v (k), brute_force(k) AS b,
     xmhash_evaluate('caption', 'code', 'picture', 'code', 'classes', k) AS e;
SELECT (xmhash_evaluate('caption', 'code', 'picture', 'code', 'classes')
        = xmhash_evaluate('caption', 'code', 'picture', 'code', 'classes', 300)) AS null_is_whole;
SELECT queries, queries_without_relevant, round(map::numeric, 6) AS map, round(map_ties_by_position::numeric, 6) AS storage,
       round(precision_at_k::numeric, 6) AS precision, round(ndcg_at_k::numeric, 6) AS ndcg
FROM xmhash_evaluate('caption', 'code', 'picture', 'code', 'classes', 10);
-- Precision and recall, by radius and by rank.
WITH total AS (SELECT query, count(*) FILTER (WHERE shared > 0) AS relevant FROM ranked GROUP BY query),
radius AS (
  SELECT radius, avg(hits::float8 / found) AS p, avg(coalesce(hits, 0) / greatest(relevant, 1)::float8) AS r, count(found) AS queries
  FROM total CROSS JOIN generate_series(0, 12) AS radius
  LEFT JOIN LATERAL (SELECT nullif(count(*), 0) AS found, count(*) FILTER (WHERE shared > 0) AS hits
                     FROM ranked WHERE ranked.query = total.query AND distance <= radius) AS within ON true
  GROUP BY radius)
SELECT count(*) AS radii, bool_and(abs(coalesce(p - precision, 0)) < 1e-12 AND (p IS NULL) = (precision IS NULL)) AS precision,
       bool_and(abs(r - recall) < 1e-12) AS recall, bool_and(radius.queries = e.queries) AS queries
FROM radius JOIN xmhash_precision_recall('caption', 'code', 'picture', 'code', 'classes') AS e
  ON kind = 'radius' AND position = radius;
WITH total AS (SELECT query, count(*) FILTER (WHERE shared > 0) AS relevant FROM ranked GROUP BY query),
found AS (
  SELECT query, expected_rank, sum(expected_relevant) OVER (PARTITION BY query ORDER BY expected_rank) AS found FROM ranked),
rank AS (
  SELECT expected_rank AS rank, avg(found / expected_rank) AS p, avg(found / greatest(relevant, 1)) AS r
  FROM found JOIN total USING (query) GROUP BY expected_rank)
SELECT count(*) AS ranks, bool_and(abs(p - precision) < 1e-12) AS precision, bool_and(abs(r - recall) < 1e-12) AS recall,
       min(e.queries) AS queries
FROM rank JOIN xmhash_precision_recall('caption', 'code', 'picture', 'code', 'classes') AS e
  ON kind = 'rank' AND position = rank;
SELECT kind, count(*), min(position), max(position) FROM xmhash_precision_recall('caption', 'code', 'picture', 'code', 'classes', 7) GROUP BY kind;
-- A relation may be both sides: each query then finds itself first.
SELECT precision_at_k FROM xmhash_evaluate('relevant_last', 'code', 'relevant_last', 'code', 'label', 2);
SELECT precision FROM xmhash_precision_recall('picture', 'code', 'picture', 'code', 'classes', 1) WHERE kind = 'radius' AND position = 12;

-- ------------------------------------------------------- code columns
-- Core's bit strings have the bytes of a bitcode; domains count as their type.
CREATE DOMAIN short_code AS bitcode(12);
CREATE VIEW bit_picture AS SELECT code::bit varying AS varying, code::bit varying::bit(12) AS fixed, code::short_code AS domain, classes FROM picture;
SELECT count(DISTINCT e) AS results FROM (VALUES ('varying'), ('fixed'), ('domain')) AS v (code),
  xmhash_evaluate('caption', 'code', 'bit_picture', code, 'classes') AS e;
SELECT xmhash_evaluate('caption', 'code', 'picture', 'code', 'classes') = xmhash_evaluate('caption', 'code', 'bit_picture', 'varying', 'classes') AS equal;
-- Quoted names, and no search path.
CREATE SCHEMA "My Data";
CREATE TABLE "My Data"."Query ""1""" ("The Code" bitcode(8), "The Label" text);
INSERT INTO "My Data"."Query ""1""" VALUES ('00000000', 'cat');
CREATE TABLE "My Data".rows AS SELECT code AS "The Code", label AS "The Label" FROM small WHERE code IS NOT NULL;
SELECT extnamespace::regnamespace AS extension_schema FROM pg_extension WHERE extname = 'xmhash' \gset
SET search_path = '';
SELECT map FROM :extension_schema.xmhash_evaluate('"My Data"."Query ""1"""', 'The Code', '"My Data".rows', 'The Code', 'The Label');
SELECT count(*) FROM :extension_schema.xmhash_precision_recall('"My Data"."Query ""1"""', 'The Code', '"My Data".rows', 'The Code', 'The Label');
RESET search_path;

-- ------------------------------------------------------------- errors
SELECT xmhash_evaluate('one_query', 'cod', 'small', 'code', 'label');
SELECT xmhash_evaluate('one_query', 'code', 'small', 'code', 'lable');
SELECT xmhash_evaluate('one_query', 'label', 'small', 'code', 'label');
SELECT xmhash_evaluate('one_query', 'code', 'small', 'id', 'label');
SELECT xmhash_evaluate('one_query', 'code', 'small', 'code', 'label', 0);
SELECT xmhash_evaluate(NULL, 'code', 'small', 'code', 'label');
SELECT xmhash_precision_recall('one_query', 'code', 'small', 'code', NULL);
SELECT xmhash_evaluate('small_id_seq', 'code', 'small', 'code', 'label');
SELECT xmhash_evaluate(0, 'code', 'small', 'code', 'label');
SELECT xmhash_evaluate('caption', 'code', 'small', 'code', 'classes');
CREATE VIEW long_picture AS SELECT code || '0' AS code, classes FROM picture;
SELECT xmhash_evaluate('caption', 'code', 'long_picture', 'code', 'classes');
CREATE TABLE mixed_length (code bit varying, label text);
INSERT INTO mixed_length VALUES ('00000000', 'cat'), ('0000', 'cat');
SELECT xmhash_evaluate('one_query', 'code', 'mixed_length', 'code', 'label');
UPDATE mixed_length SET code = '';
SELECT xmhash_evaluate('one_query', 'code', 'mixed_length', 'code', 'label');

-- ---------------------------------------------------------- privileges
CREATE ROLE regress_xmhash_reader;
GRANT SELECT ON one_query TO regress_xmhash_reader;
GRANT SELECT (code) ON small TO regress_xmhash_reader;
CREATE TABLE guarded AS SELECT * FROM relevant_first;
GRANT SELECT ON guarded TO regress_xmhash_reader;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY cats ON guarded FOR SELECT USING (label = 'cat');
SET ROLE regress_xmhash_reader;
SELECT map FROM xmhash_evaluate('one_query', 'code', 'relevant_first', 'code', 'label');
SELECT map FROM xmhash_evaluate('one_query', 'code', 'small', 'code', 'label');
SELECT map FROM xmhash_evaluate('one_query', 'code', 'guarded', 'code', 'label');
RESET ROLE;

-- ------------------------------------------------------------- cancel
-- 10 billion distances would take a minute; the timeout ends them at once.
CREATE TABLE many AS SELECT int8send(id * 2654435761)::bitcode AS code, ARRAY[id % 2 = 0, id % 3 = 0] AS label
  FROM generate_series(1, 100000) AS id;
SELECT clock_timestamp() AS started \gset
SET statement_timeout = '1s';
SELECT map FROM xmhash_evaluate('many', 'code', 'many', 'code', 'label');
RESET statement_timeout;
SELECT clock_timestamp() - :'started' < interval '3 s' AS in_time;

-- What a query has written itself it sees like any function that is STABLE.
BEGIN;
CREATE TEMP TABLE scratch ON COMMIT DROP AS SELECT * FROM relevant_last;
SELECT map FROM xmhash_evaluate('one_query', 'code', 'scratch', 'code', 'label');
COMMIT;

SET client_min_messages = warning;
DROP TABLE ranking, ranked, one_query, relevant_first, relevant_last, parts, small, strange_query, empty, picture, caption,
  mixed_length, guarded, many CASCADE;
DROP SCHEMA "My Data" CASCADE;
DROP FUNCTION brute_force;
DROP DOMAIN short_code;
DROP ROLE regress_xmhash_reader;

-- Retrieval by example: joins of whole tables, near-duplicates, duplicates.
CREATE SCHEMA example_join;
SET search_path = example_join, public;
SET xmhash.bitcode_output = 'hex';

-- 600 pictures: 40 bits of a number's digest, so that no two are near by chance;
-- every hundredth has a copy with two bits changed and one with none.
CREATE TABLE picture (id int PRIMARY KEY, name text, code bitcode(40));
INSERT INTO picture
SELECT id, 'picture ' || id, substr(sha256(convert_to(id::text, 'UTF8')), 1, 5)::bitcode FROM generate_series(1, 600) AS id;
INSERT INTO picture
SELECT 1000 + id, 'cropped ' || id, code # 'x0800000010' FROM picture WHERE id % 100 = 0
UNION ALL
SELECT 2000 + id, 'copy of ' || id, code FROM picture WHERE id % 100 = 0;
CREATE TABLE caption (id int PRIMARY KEY, words text, code bitcode(40));
INSERT INTO caption SELECT id / 100, 'what picture ' || id || ' shows', code # 'x0000000001' FROM picture WHERE id IN (100, 200, 300);
CREATE INDEX picture_code ON picture USING xmhash (code);
ANALYZE picture;
ANALYZE caption;

-- For each caption its five nearest pictures; by the id equal distances come in
-- an order that is always the same.
SELECT caption.words, near.name, near.distance
FROM caption
     CROSS JOIN LATERAL (
         SELECT id, name, code <~> caption.code AS distance FROM picture
         ORDER BY code <~> caption.code, id LIMIT 5) AS near
ORDER BY caption.id, near.distance, near.id;

-- Pairs of near-duplicates, each pair once.
SELECT a.name, b.name, a.code <~> b.code AS distance
FROM picture AS a JOIN picture AS b ON hamming_within(b.code, a.code, 3) AND a.id < b.id
ORDER BY a.id, b.id;

-- Exact duplicates by their code.
SELECT code, count(*) AS copies, min(id) AS kept, array_agg(id ORDER BY id) AS ids
FROM picture GROUP BY code HAVING count(*) > 1 ORDER BY kept;

-- Groups of near-duplicates are joined by chains; the smallest id stands for each.
WITH RECURSIVE near AS (
    SELECT a.id, b.id AS other FROM picture AS a JOIN picture AS b ON hamming_within(b.code, a.code, 3)
), reach (id, other) AS (
    SELECT id, other FROM near
    UNION
    SELECT reach.id, near.other FROM reach JOIN near ON near.id = reach.other
)
SELECT kept, array_agg(id ORDER BY id) AS members
FROM (SELECT id, min(other) AS kept FROM reach GROUP BY id) AS groups
GROUP BY kept HAVING count(*) > 1 ORDER BY kept;

-- The joins by the index, and by comparing every pair: the same.
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF)
SELECT a.id, b.id FROM picture AS a JOIN picture AS b ON hamming_within(b.code, a.code, 3) WHERE a.id = 100;
CREATE TABLE by_index AS
SELECT a.id AS a, b.id AS b FROM picture AS a JOIN picture AS b ON hamming_within(b.code, a.code, 12);
CREATE TABLE nearest_by_index AS
SELECT a.id AS a, array_agg(near.distance ORDER BY near.distance) AS distances
FROM picture AS a CROSS JOIN LATERAL (SELECT code <~> a.code AS distance FROM picture ORDER BY code <~> a.code LIMIT 5) AS near GROUP BY a.id;
RESET enable_seqscan;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
CREATE TABLE by_sequence AS
SELECT a.id AS a, b.id AS b FROM picture AS a JOIN picture AS b ON hamming_within(b.code, a.code, 12);
CREATE TABLE nearest_by_sequence AS
SELECT a.id AS a, array_agg(near.distance ORDER BY near.distance) AS distances
FROM picture AS a CROSS JOIN LATERAL (SELECT code <~> a.code AS distance FROM picture ORDER BY code <~> a.code LIMIT 5) AS near GROUP BY a.id;
SELECT (SELECT count(*) FROM by_index) AS pairs, count(*) AS differences
FROM ((TABLE by_index EXCEPT TABLE by_sequence) UNION ALL (TABLE by_sequence EXCEPT TABLE by_index)) AS difference;
SELECT (SELECT count(*) FROM nearest_by_index) AS rows, count(*) AS differences
FROM ((TABLE nearest_by_index EXCEPT TABLE nearest_by_sequence) UNION ALL (TABLE nearest_by_sequence EXCEPT TABLE nearest_by_index)) AS difference;
RESET enable_indexscan;
RESET enable_bitmapscan;

-- One row of each group stays; or all that are not within the radius of one that stays.  The
-- faded one is three bits or less from the cropped one, but not from the picture.
BEGIN;
SET LOCAL xmhash.progress = off;
INSERT INTO picture SELECT 3100, 'faded 100', code # 'x0000000300' FROM picture WHERE id = 1100;
CREATE TABLE kept (LIKE picture, EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>));
INSERT INTO kept SELECT * FROM picture ORDER BY id ON CONFLICT DO NOTHING;
DELETE FROM picture USING (
    SELECT id, min(id) OVER (PARTITION BY group_id) AS kept
    FROM xmhash_duplicate_groups('picture', 'id', 'code', 3, NULL::int)) AS member
WHERE picture.id = member.id AND member.id > member.kept;
SELECT count(*) AS pictures, max(id) AS last FROM picture;
SELECT count(*) AS kept, max(id) AS last FROM kept;
SELECT * FROM xmhash_duplicate_groups('picture', 'id', 'code', 3, NULL::int);
ROLLBACK;

-- Keep one of each.
DELETE FROM picture USING (SELECT code, min(id) AS kept FROM picture GROUP BY code HAVING count(*) > 1) AS duplicate
WHERE picture.code = duplicate.code AND picture.id <> duplicate.kept;
SELECT count(*) AS pictures, count(DISTINCT code) AS codes FROM picture;

SET client_min_messages = warning;
DROP SCHEMA example_join CASCADE;

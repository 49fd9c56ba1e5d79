-- Retrieval by example: filters, radius search and paging.
CREATE SCHEMA example_search;
SET search_path = example_search, public;
SET xmhash.bitcode_output = 'hex';

CREATE TABLE picture (id int PRIMARY KEY, title text, year int, code bitcode(16));
INSERT INTO picture VALUES
    (1, 'ferry', 2019, 'x0000'), (2, 'harbour', 2021, 'x0001'), (3, 'lighthouse', 2021, 'x0003'),
    (4, 'beach', 2018, 'x0007'), (5, 'dunes', 2022, 'x000F'), (6, 'forest', 2020, 'x001F'),
    (7, 'hills', 2023, 'x003F'), (8, 'mountain', 2021, 'x00FF'), (9, 'glacier', 2022, 'x0FFF'),
    (10, 'night sky', 2017, 'xFFFF'), (11, 'not yet encoded', 2023, NULL);
CREATE INDEX picture_code ON picture USING xmhash (code);
ANALYZE picture;

-- The three nearest.
SELECT id, title, code <~> 'x0000' AS distance FROM picture ORDER BY code <~> 'x0000' LIMIT 3;

-- With a filter: the index goes on until enough rows pass it.
SELECT id, title, year, code <~> 'x0000' AS distance FROM picture
WHERE year >= 2021 ORDER BY code <~> 'x0000' LIMIT 3;

-- Radius search: everything within four bits, nearest first.
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE hamming_within(code, 'x0000', 4) ORDER BY code <~> 'x0000';

-- A total order, by distance and id: the tenth's distance bounds a radius search.
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE hamming_within(code, 'x0000', (SELECT max(distance) FROM (
          SELECT code <~> 'x0000' AS distance FROM picture ORDER BY code <~> 'x0000' LIMIT 10) AS nearest))
ORDER BY code <~> 'x0000', id LIMIT 10;

-- How many within each radius.
SELECT radius, (SELECT count(*) FROM picture WHERE hamming_within(code, 'x0000', radius))
FROM generate_series(0, 16, 4) AS radius;

-- Paging in one transaction: a cursor goes on where it stopped.
BEGIN;
DECLARE result CURSOR FOR
    SELECT id, title, code <~> 'x0000' AS distance FROM picture WHERE code IS NOT NULL ORDER BY code <~> 'x0000';
FETCH 4 FROM result;
FETCH 4 FROM result;
FETCH 4 FROM result;
COMMIT;

-- Paging over requests that share nothing: the last row shown is where the next
-- page starts.  The id makes the order total, so no row is lost or seen twice.
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE code IS NOT NULL ORDER BY code <~> 'x0000', id LIMIT 4;
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE (code <~> 'x0000', id) > (3, 4) ORDER BY code <~> 'x0000', id LIMIT 4;

-- What is most different comes from the complement: distance = bits - distance to it.
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE code IS NOT NULL ORDER BY code <~> ~ 'x0000'::bitcode LIMIT 2;

-- All of it as the index answers it, with the plans.
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM picture WHERE year >= 2021 ORDER BY code <~> 'x0000' LIMIT 3;
SELECT id, title, year, code <~> 'x0000' AS distance FROM picture
WHERE year >= 2021 ORDER BY code <~> 'x0000' LIMIT 3;
EXPLAIN (COSTS OFF) SELECT id FROM picture WHERE hamming_within(code, 'x0000', 4) ORDER BY code <~> 'x0000';
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE hamming_within(code, 'x0000', 4) ORDER BY code <~> 'x0000';
BEGIN;
DECLARE result CURSOR FOR
    SELECT id, title, code <~> 'x0000' AS distance FROM picture WHERE code IS NOT NULL ORDER BY code <~> 'x0000';
FETCH 4 FROM result;
FETCH 4 FROM result;
FETCH 4 FROM result;
COMMIT;
SELECT id, title, code <~> 'x0000' AS distance FROM picture
WHERE (code <~> 'x0000', id) > (3, 4) ORDER BY code <~> 'x0000', id LIMIT 4;

SET client_min_messages = warning;
DROP SCHEMA example_search CASCADE;

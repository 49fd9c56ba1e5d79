-- Band runs find what a radius holds, where centres exclude little.
SET client_min_messages = warning;
CREATE TABLE bands (id integer, code bitcode(64)) WITH (autovacuum_enabled = off);
INSERT INTO bands SELECT i, ('x' || md5(i::text))::bit(64)::bitcode FROM generate_series(1, 40000) i;
-- near duplicates, 0 to 7 bits away
INSERT INTO bands SELECT 100000 + i, b.code # (('x' || md5(i || 'a'))::bit(64) & ('x' || md5(i || 'b'))::bit(64) & ('x' || md5(i || 'c'))::bit(64)
                                              & ('x' || md5(i || 'd'))::bit(64))::bitcode
  FROM generate_series(1, 2000) i JOIN bands b ON b.id = i;
CREATE INDEX bands_code ON bands USING xmhash (code) WITH (bands = 33);
CREATE INDEX bands_code ON bands USING xmhash (code) WITH (bands = 4);
ANALYZE bands;
SELECT rows, band_pages = 4 * ceil(rows / 581.0) AS four_runs FROM xmhash_index_stats('bands_code');
SELECT xmhash_index_check('bands_code', true);

-- The same pairs as without an index, for every radius up to where bands do not pay.
CREATE FUNCTION pg_temp.pairs(radius integer, indexed boolean, OUT rows bigint, OUT sum bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_seqscan', CASE WHEN indexed THEN 'off' ELSE 'on' END, true),
          set_config('enable_indexscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true),
          set_config('enable_bitmapscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true);
  SELECT count(*), sum(q.id + b.id) INTO rows, sum
    FROM (SELECT id, code FROM bands WHERE id BETWEEN 1 AND 8 OR id BETWEEN 100001 AND 100008) q
    JOIN bands b ON hamming_within(b.code, q.code, radius);
  PERFORM set_config('enable_seqscan', 'on', true);
END $$;
CREATE FUNCTION pg_temp.same(radius integer, OUT same boolean, OUT how text) LANGUAGE plpgsql AS $$
BEGIN
  same := pg_temp.pairs(radius, false) = pg_temp.pairs(radius, true);
  SELECT l.strategy INTO how FROM xmhash_last_scan() l;
END $$;
SELECT radius, same, how FROM generate_series(0, 5) radius, LATERAL pg_temp.same(radius);
SELECT radius, pg_temp.pairs(radius, true) = pg_temp.pairs(radius, false) AS same FROM unnest(ARRAY[12, 16, 20, 24, 64]) radius;

SET enable_seqscan = off;
SET enable_sort = off;
SELECT id, code <~> (SELECT code FROM bands WHERE id = 100005) AS d FROM bands
  WHERE hamming_within(code, (SELECT code FROM bands WHERE id = 100005), 4)
  ORDER BY code <~> (SELECT code FROM bands WHERE id = 100005);
SELECT strategy, pages_read < 30 AS few FROM xmhash_last_scan();
SELECT count(*) FROM bands WHERE hamming_within(code, (SELECT code FROM bands WHERE id = 7), 3)
                             AND hamming_within(code, (SELECT code FROM bands WHERE id = 100007), 10);
-- an order alone, and equality, have better ways
SELECT count(*) FROM (SELECT id FROM bands ORDER BY code <~> (SELECT code FROM bands WHERE id = 7) LIMIT 10) x;
SELECT strategy FROM xmhash_last_scan();
SELECT id FROM bands WHERE code = (SELECT code FROM bands WHERE id = 7) AND id < 100000;
SELECT strategy FROM xmhash_last_scan();
RESET enable_seqscan;
RESET enable_sort;

-- insertions, deletions, VACUUM and merges keep the runs in step
INSERT INTO bands SELECT 200000 + i, ('x' || md5(i || 'z'))::bit(64)::bitcode FROM generate_series(1, 40000) i;
DELETE FROM bands WHERE id % 5 = 0;
VACUUM bands;
SELECT xmhash_index_check('bands_code', true);
SELECT rows, segments FROM xmhash_index_stats('bands_code');
SELECT radius, pg_temp.pairs(radius, true) = pg_temp.pairs(radius, false) AS same FROM generate_series(0, 8) radius;

-- the number of runs changes when the index is built again
ALTER INDEX bands_code SET (bands = 2);
SELECT xmhash_index_merge('bands_code');
SELECT band_pages > 3 * data_pages AS still_four FROM xmhash_index_stats('bands_code');
REINDEX INDEX bands_code;
SELECT band_pages < 2 * data_pages + 1 AS two FROM xmhash_index_stats('bands_code');
SELECT xmhash_index_check('bands_code', true);
SELECT radius, pg_temp.pairs(radius, true) = pg_temp.pairs(radius, false) AS same FROM generate_series(0, 4) radius;
ALTER INDEX bands_code RESET (bands);
REINDEX INDEX bands_code;
SELECT band_pages FROM xmhash_index_stats('bands_code');
DROP TABLE bands;

--
-- Building: in memory, by runs in files, by several processes, concurrently
--
SET client_min_messages = warning;
CREATE TABLE built (id int, code bitcode(64));
INSERT INTO built SELECT i, CASE WHEN i % 100 > 0 THEN (hashint8extended(i % 20000, 1))::bitcode # (1::bigint << (i % 63))::bitcode END
  FROM generate_series(1, 60000) i;
CREATE FUNCTION answers(bits int DEFAULT 64) RETURNS text LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  line text;
  used boolean := false;
  result text := '';
BEGIN
  FOR line IN EXPLAIN SELECT id FROM built ORDER BY code <~> (1234567::bigint)::bitcode LOOP
    used := used OR line LIKE '%Index Scan%';
  END LOOP;
  IF NOT used THEN RETURN 'not by the index'; END IF;
  SELECT md5(string_agg(coalesce(d::text, '-'), ' ')) INTO result
    FROM (SELECT code <~> (1234567::bigint)::bitcode AS d FROM built ORDER BY code <~> (1234567::bigint)::bitcode) t;
  RETURN result;
END $$;
-- what a sort gives
SELECT md5(string_agg(coalesce(d::text, '-'), ' ')) AS expected
  FROM (SELECT code <~> (1234567::bigint)::bitcode AS d FROM built ORDER BY d) t \gset

SET max_parallel_maintenance_workers = 0;
CREATE INDEX built_code ON built USING xmhash (code);
SELECT answers() = :'expected' AS in_memory, xmhash_index_check('built_code', true);
SELECT rows, null_rows, centres > 10 AS centres FROM xmhash_index_stats('built_code');
DROP INDEX built_code;

SET maintenance_work_mem = '1MB';
CREATE INDEX built_code ON built USING xmhash (code);
SELECT answers() = :'expected' AS by_runs, xmhash_index_check('built_code', true);
DROP INDEX built_code;

SET max_parallel_maintenance_workers = 2;
ALTER TABLE built SET (parallel_workers = 2);
CREATE INDEX built_code ON built USING xmhash (code);
SELECT answers() = :'expected' AS by_processes, xmhash_index_check('built_code', true);
SELECT rows, null_rows, segments FROM xmhash_index_stats('built_code');
REINDEX INDEX CONCURRENTLY built_code;
SELECT answers() = :'expected' AS again_concurrently, xmhash_index_check('built_code', true);
DROP INDEX built_code;
CREATE INDEX CONCURRENTLY built_code ON built USING xmhash (code);
SELECT answers() = :'expected' AS concurrently, xmhash_index_check('built_code', true);
-- an error in a helper is an error of the command
CREATE FUNCTION broken(code bitcode, id int) RETURNS bitcode LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF id = 31234 THEN RAISE EXCEPTION 'row % is broken', id; END IF;
  RETURN code;
END $$;
\set VERBOSITY terse
CREATE INDEX built_broken ON built USING xmhash (broken(code, id));
\set VERBOSITY default
RESET maintenance_work_mem;
RESET max_parallel_maintenance_workers;
DROP TABLE built;

-- Lengths: the first code decides, others are refused, whatever was sampled
CREATE TABLE mixed (id int, code bitcode);
INSERT INTO mixed SELECT i, CASE WHEN i = 1 THEN NULL WHEN i = 900 THEN B'0101'::bitcode ELSE i::bigint::bitcode END FROM generate_series(1, 1000) i;
\set VERBOSITY sqlstate
CREATE INDEX ON mixed USING xmhash (code);
\set VERBOSITY default
DELETE FROM mixed WHERE id = 900;
CREATE INDEX mixed_code ON mixed USING xmhash (code);
SELECT bits, rows, null_rows FROM xmhash_index_stats('mixed_code');
\set VERBOSITY sqlstate
INSERT INTO mixed VALUES (0, B'0101');
\set VERBOSITY default
-- NULLs alone fix no length
TRUNCATE mixed;
INSERT INTO mixed SELECT i FROM generate_series(1, 3000) i;
REINDEX INDEX mixed_code;
SELECT bits, rows, null_rows FROM xmhash_index_stats('mixed_code');
INSERT INTO mixed VALUES (0, B'0101');
SELECT xmhash_index_check('mixed_code', true);
SELECT bits, pending_rows FROM xmhash_index_stats('mixed_code');
-- the longest codes: few fit a page
TRUNCATE mixed;
INSERT INTO mixed SELECT i, repeat(substr(lpad(i::bit(16)::text, 16, '0'), 1, 16), 1024)::bitcode FROM generate_series(1, 300) i;
REINDEX INDEX mixed_code;
SELECT xmhash_index_check('mixed_code', true);
SET enable_seqscan = off;
SELECT id, code <~> repeat('0000000000000111', 1024)::bitcode AS distance
  FROM mixed ORDER BY code <~> repeat('0000000000000111', 1024)::bitcode LIMIT 1;
DROP TABLE mixed;
DROP FUNCTION answers, broken;

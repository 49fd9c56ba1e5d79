--
-- Large outputs: no LIMIT, or a filter that rejects nearly all.  What a search
-- cannot keep in work_mem goes through a sort that may spill, so that no more
-- than three times the index's pages are read, whatever work_mem is, and the
-- rows come in the same order.
--
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;

-- Near one of 100 codes, by four bits of 64 on the average.
CREATE FUNCTION pg_temp.near(i int) RETURNS bitcode LANGUAGE sql AS $$
  SELECT (('x' || md5('centre' || i % 100))::bit(64) # (('x' || md5('a' || i))::bit(64) & ('x' || md5('b' || i))::bit(64)
          & ('x' || md5('c' || i))::bit(64) & ('x' || md5('d' || i))::bit(64)))::bitcode
$$;
CREATE TABLE large (id int, code bitcode(64));
INSERT INTO large SELECT i, pg_temp.near(i) FROM generate_series(1, 60000) i;
INSERT INTO large SELECT i, NULL FROM generate_series(60001, 60010) i;
CREATE INDEX large_code ON large USING xmhash (code);
-- Two segments and a pending list.
INSERT INTO large SELECT i, pg_temp.near(i) FROM generate_series(60011, 66000) i;
SELECT FROM xmhash_index_merge('large_code');
INSERT INTO large SELECT i, pg_temp.near(i) FROM generate_series(66001, 66300) i;
ANALYZE large;
SELECT segments, pending_pages > 0 AS pending FROM xmhash_index_stats('large_code');

-- How often the pages were read.
CREATE FUNCTION pg_temp.visits() RETURNS numeric LANGUAGE sql AS $$
  SELECT (pages_read + pending_pages_read)::numeric / (data_pages + (SELECT pending_pages FROM xmhash_index_stats('large_code')))
  FROM xmhash_last_scan()
$$;
CREATE FUNCTION pg_temp.run(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  EXECUTE statement INTO answer;
  RETURN answer;
END $$;

-- The whole order, the same with any memory, and right.
CREATE TEMP TABLE outputs (memory text, rows text, visits numeric);
DO $$
BEGIN
  FOR i IN 0 .. 5 LOOP
    PERFORM set_config('work_mem', (64 * 4 ^ i)::int || 'kB', false);
    INSERT INTO outputs VALUES (current_setting('work_mem'),
      pg_temp.run('SELECT md5(array_agg(id)::text) FROM (SELECT id FROM large ORDER BY code <~> pg_temp.near(7)) x'));
    UPDATE outputs SET visits = pg_temp.visits() WHERE memory = current_setting('work_mem');
  END LOOP;
END $$;
SELECT count(DISTINCT rows) AS orders, max(visits) <= 3 AS bounded, count(*) FROM outputs;
SET work_mem = '64kB';
SELECT count(*), count(*) FILTER (WHERE distance < before) AS "out of order", count(DISTINCT id) AS ids FROM
  (SELECT id, distance, lag(distance) OVER () AS before FROM
    (SELECT id, code <~> pg_temp.near(7) AS distance FROM large ORDER BY code <~> pg_temp.near(7)) x) y;

-- A filter outside the index that the rows that come late pass alone; none passes.
SELECT code <~> pg_temp.near(7) AS distance FROM large WHERE code <~> pg_temp.near(7) > 42 ORDER BY code <~> pg_temp.near(7) LIMIT 3;
SELECT pg_temp.visits() <= 3 AS bounded;
SELECT id FROM large WHERE id < 0 ORDER BY code <~> pg_temp.near(7) LIMIT 3;
SELECT pg_temp.visits() <= 3 AS bounded, rows_returned FROM xmhash_last_scan();
-- Within a radius that most rows are in, and filtered by another.
SELECT count(*), max(distance) FROM (SELECT code <~> pg_temp.near(7) AS distance FROM large
  WHERE hamming_within(code, pg_temp.near(7), 36) ORDER BY code <~> pg_temp.near(7)) x;
SELECT pg_temp.visits() <= 3 AS bounded;
SELECT count(*), max(distance) FROM (SELECT code <~> pg_temp.near(7) AS distance FROM large
  WHERE hamming_within(code, pg_temp.near(8), 34) ORDER BY code <~> pg_temp.near(7)) x;
SELECT pg_temp.visits() <= 3 AS bounded;
SET enable_indexscan = off;
SET enable_seqscan = on;
SELECT count(*) FILTER (WHERE hamming_within(code, pg_temp.near(7), 36)), count(*) FILTER (WHERE hamming_within(code, pg_temp.near(8), 34)) FROM large;
RESET enable_indexscan;
SET enable_seqscan = off;

-- Scanned again from inside: each time all of it, and after part of it.
SELECT q, count(*), count(*) FILTER (WHERE distance < before) AS "out of order" FROM (VALUES (7), (8), (9)) v (q),
  LATERAL (SELECT distance, lag(distance) OVER () AS before FROM
    (SELECT code <~> pg_temp.near(q) AS distance FROM large ORDER BY code <~> pg_temp.near(q) LIMIT 30000 + 6000 * (q - 7)) x) y
GROUP BY q ORDER BY q;

-- Cursors: several at once, closed early, left to a savepoint that is undone.
-- Their files, if there are any, go with them.
CREATE FUNCTION pg_temp.files() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM pg_ls_tmpdir() WHERE name LIKE 'pgsql_tmp' || pg_backend_pid() || '.%' $$;
BEGIN;
DECLARE one NO SCROLL CURSOR FOR SELECT id FROM large ORDER BY code <~> pg_temp.near(7);
DECLARE two NO SCROLL CURSOR FOR SELECT id FROM large ORDER BY code <~> pg_temp.near(8);
MOVE 50000 FROM one;
MOVE 50000 FROM two;
SELECT pg_temp.files() <= 2 AS only_theirs;
MOVE 1 FROM one;
CLOSE one;
SELECT pg_temp.files() <= 1 AS only_theirs;
SAVEPOINT s;
DECLARE three NO SCROLL CURSOR FOR SELECT id FROM large ORDER BY code <~> pg_temp.near(9);
MOVE 50000 FROM three;
SELECT pg_temp.files() <= 2 AS only_theirs;
ROLLBACK TO s;
SELECT pg_temp.files() <= 1 AS only_theirs;
MOVE ALL FROM two;
COMMIT;
SELECT pg_temp.files() <= 0 AS only_theirs;
-- A statement that fails in the middle.
SELECT 1 / (id - id) FROM (SELECT id, row_number() OVER () AS n FROM (SELECT id FROM large ORDER BY code <~> pg_temp.near(7)) x) y WHERE n > 40000;
SELECT pg_temp.files() AS files;
SELECT count(*) FROM (SELECT id FROM large ORDER BY code <~> pg_temp.near(7)) x;

-- Many equal codes, and codes of a length that spreads a page over many distances.
CREATE TABLE equal (id int, code bitcode(8));
INSERT INTO equal SELECT i, (i % 3)::bit(8)::bitcode FROM generate_series(1, 30000) i;
CREATE INDEX equal_code ON equal USING xmhash (code);
SELECT array_agg(distance ORDER BY n) AS distances, array_agg(count ORDER BY n) AS counts FROM
  (SELECT distance, count(*), min(n) AS n FROM (SELECT code <~> B'00000001'::bitcode AS distance, row_number() OVER () AS n FROM
    (SELECT code FROM equal ORDER BY code <~> B'00000001'::bitcode) x) y GROUP BY distance) z;
SELECT pages_read <= 3 * data_pages AS bounded FROM xmhash_last_scan();
CREATE TABLE long (id int, code bitcode(2048));
INSERT INTO long SELECT i, (SELECT string_agg(('x' || md5(i || '/' || j))::bit(128)::text, '') FROM generate_series(1, 16) j)::bitcode FROM generate_series(1, 3000) i;
CREATE INDEX long_code ON long USING xmhash (code);
SELECT count(*), count(*) FILTER (WHERE distance < before) AS "out of order" FROM
  (SELECT distance, lag(distance) OVER () AS before FROM
    (SELECT code <~> (SELECT code FROM long WHERE id = 5) AS distance FROM long ORDER BY code <~> (SELECT code FROM long WHERE id = 5)) x) y;
SELECT pages_read <= 3 * data_pages AS bounded FROM xmhash_last_scan();

DROP TABLE large, equal, long;

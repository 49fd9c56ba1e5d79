-- The index gives what the sequential scan and a sort give.
SET client_min_messages = warning;
CREATE FUNCTION pg_temp.code(i integer, bits integer DEFAULT 64) RETURNS bitcode LANGUAGE sql IMMUTABLE AS
  $$ SELECT substring(string_agg(('x' || md5(i % 500 || ' ' || n))::bit(128)::text, '' ORDER BY n) FROM 1 FOR bits)::bit varying::bitcode
     FROM generate_series(1, (bits + 127) / 128) n $$;
CREATE TABLE answers (id integer, code bitcode(64));
INSERT INTO answers SELECT i, CASE WHEN i % 40 <> 0 THEN pg_temp.code(i) END FROM generate_series(1, 6000) i;
CREATE INDEX answers_code ON answers USING xmhash (code);
INSERT INTO answers SELECT i, CASE WHEN i % 40 <> 0 THEN pg_temp.code(i) END FROM generate_series(6001, 6500) i;
ANALYZE answers;
SELECT rows, null_rows, pending_rows, segments FROM xmhash_index_stats('answers_code');

-- One statement both ways; the rows must be the same, in any order among equal distances.
CREATE FUNCTION pg_temp.same(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  answer text[];
  one text;
  plan text;
  line text;
BEGIN
  FOR indexed IN 0 .. 1 LOOP
    PERFORM set_config(name, CASE WHEN (name = 'enable_indexscan' OR name = 'enable_bitmapscan') = (indexed = 1) THEN 'on' ELSE 'off' END, true)
      FROM unnest(ARRAY['enable_seqscan', 'enable_sort', 'enable_indexscan', 'enable_bitmapscan']) name;
    plan := '';
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP plan := plan || line; END LOOP;
    IF (plan ~ 'answers_code') <> (indexed = 1) THEN
      RAISE EXCEPTION 'not the plan wanted: %', plan;
    END IF;
    EXECUTE 'SELECT array_agg(x)::text FROM (' || statement || ') x' INTO one;
    answer := answer || one;
  END LOOP;
  RETURN answer[1] IS NOT DISTINCT FROM answer[2];
END $$;

-- The plan of a statement, without what newer servers say of nodes that are switched off.
CREATE FUNCTION pg_temp.plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
    IF line !~ '^ *Disabled: true$' THEN RETURN NEXT line; END IF;
  END LOOP;
END $$;

\set q '''xcafe0123456789ab''::bitcode'
-- k nearest neighbours; NULLs come last where the limit reaches them
SELECT k, pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers ORDER BY d LIMIT %s', :q, k))
  FROM unnest(ARRAY[1, 10, 1000, 6300, 6400, 6500, 7000]) k;
SELECT pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers ORDER BY d', :q));
SELECT pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers WHERE id %% 997 = 5 ORDER BY d LIMIT 3', :q));
SELECT pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers WHERE id < 0 ORDER BY d LIMIT 3', :q));

-- a radius, with the query on either side; equality; both with an order
SELECT r, pg_temp.same(format('SELECT count(*), sum(id) FROM answers WHERE hamming_within(code, %L, %s)', :q, r)),
       pg_temp.same(format('SELECT count(*), sum(id) FROM answers WHERE hamming_within(%L, code, %s)', :q, r)),
       pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers WHERE hamming_within(code, %1$L, %s) ORDER BY d LIMIT 50', :q, r))
  FROM unnest(ARRAY[-1, 0, 5, 20, 24, 30, 64, 2000000000]) r;
SELECT pg_temp.same(format('SELECT count(*), sum(id) FROM answers WHERE code = %L', pg_temp.code(7)));
SELECT pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers WHERE code = %L AND hamming_within(code, %1$L, 64) ORDER BY d', :q, pg_temp.code(7)));
SELECT pg_temp.same(format('SELECT code <~> %L::bitcode AS d FROM answers WHERE hamming_within(code, %L, 25) ORDER BY d LIMIT 20', :q, pg_temp.code(7)));

SET enable_seqscan = off;
SET enable_sort = off;
-- no row within a NULL radius, of a NULL query; a NULL order orders nothing
SELECT count(*) FROM answers WHERE hamming_within(code, NULL, 5);
SELECT count(*) FROM answers WHERE hamming_within(code, :q, NULL);
SELECT count(*) FROM answers WHERE code = NULL;
SELECT count(*) FROM (SELECT id FROM answers ORDER BY code <~> (SELECT NULL::bitcode)) x;
-- another length: equal to nothing, but not to be compared by distance
SELECT count(*) FROM answers WHERE code = 'xff'::bitcode;
SELECT id FROM answers ORDER BY code <~> 'xff'::bitcode LIMIT 1;
SELECT count(*) FROM answers WHERE hamming_within(code, 'xff'::bitcode, 3);

-- the same by a bitmap
SET enable_indexscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM answers WHERE hamming_within(code, :q, 24) AND id % 2 = 0;
CREATE TEMP TABLE bitmap AS SELECT id FROM answers WHERE hamming_within(code, :q, 24) AND id % 2 = 0;
SELECT count(*) > 0 AS found FROM bitmap;
SET enable_bitmapscan = off;
SELECT count(*) FROM (SELECT id FROM answers WHERE hamming_within(code, :q, 24) AND id % 2 = 0 EXCEPT ALL TABLE bitmap) x;
SELECT count(*) FROM (TABLE bitmap EXCEPT ALL SELECT id FROM answers WHERE hamming_within(code, :q, 24) AND id % 2 = 0) x;
RESET enable_indexscan;
RESET enable_bitmapscan;

-- cursors: forward in pieces, held, and scrolled
BEGIN;
DECLARE piecewise CURSOR FOR SELECT code <~> :q AS d FROM answers ORDER BY code <~> :q;
FETCH 5 FROM piecewise;
INSERT INTO answers SELECT 1, :q FROM generate_series(1, 50);
FETCH 3 FROM piecewise;
MOVE 6300 IN piecewise;
FETCH 1 FROM piecewise;
MOVE ALL IN piecewise;
ROLLBACK;
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT code <~> :q AS d FROM answers ORDER BY code <~> :q;
FETCH 2 FROM held;
COMMIT;
FETCH LAST FROM held;
FETCH ABSOLUTE 2 FROM held;
FETCH BACKWARD 1 FROM held;
CLOSE held;

-- rescans with changing keys, and joins by radius
CREATE TABLE queries (n integer, code bitcode(64));
INSERT INTO queries SELECT n, CASE WHEN n <> 5 THEN pg_temp.code(n + 1000) # pg_temp.code(1) END FROM generate_series(1, 20) n;
SELECT pg_temp.plan('SELECT n, d FROM queries q, LATERAL (SELECT a.code <~> q.code AS d FROM answers a ORDER BY a.code <~> q.code LIMIT 3) x');
CREATE TEMP TABLE lateral_index AS
SELECT n, d FROM queries q, LATERAL (SELECT a.code <~> q.code AS d FROM answers a ORDER BY a.code <~> q.code LIMIT 3) x;
CREATE TEMP TABLE join_index AS
SELECT n, id FROM queries q JOIN answers a ON hamming_within(a.code, q.code, 18);
SELECT pg_temp.plan('SELECT n, id FROM queries q JOIN answers a ON hamming_within(a.code, q.code, 18)');
RESET enable_seqscan;
RESET enable_sort;
SET enable_indexscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM (
  (SELECT n, d FROM queries q, LATERAL (SELECT a.code <~> q.code AS d FROM answers a ORDER BY a.code <~> q.code LIMIT 3) x
   EXCEPT ALL TABLE lateral_index)
  UNION ALL
  (SELECT n, id FROM queries q JOIN answers a ON hamming_within(a.code, q.code, 18) EXCEPT ALL TABLE join_index)
  UNION ALL
  (TABLE join_index EXCEPT ALL SELECT n, id FROM queries q JOIN answers a ON hamming_within(a.code, q.code, 18))) x;
SELECT count(*) > 0 AS joined FROM join_index;
RESET enable_indexscan;
RESET enable_bitmapscan;

-- prepared statements, planned once for any code, radius and limit
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
PREPARE nearest(bitcode, integer) AS SELECT code <~> $1 AS d FROM answers ORDER BY code <~> $1 LIMIT $2;
PREPARE within(bitcode, integer) AS SELECT count(*) FROM answers WHERE hamming_within(code, $1, $2);
EXPLAIN (COSTS OFF) EXECUTE nearest(:q, 3);
EXECUTE nearest(:q, 3);
EXECUTE nearest(pg_temp.code(3), 3);
EXECUTE within(pg_temp.code(3), 0);
EXECUTE within(:q, 64);
EXECUTE within(NULL, 64);
-- a volatile query is no index condition
SELECT pg_temp.plan(format('SELECT count(*) FROM answers WHERE hamming_within(code, %L, (random() * 10)::integer)', :q));
RESET ALL;

-- one code in masses: a limit reads a page or two, not all
SET client_min_messages = warning;
CREATE TABLE masses (code bitcode(128));
INSERT INTO masses SELECT pg_temp.code(1, 128) FROM generate_series(1, 60000);
CREATE INDEX masses_code ON masses USING xmhash (code);
SET enable_seqscan = off;
SELECT code <~> pg_temp.code(2, 128) AS d, count(*) FROM (SELECT code FROM masses ORDER BY code <~> pg_temp.code(2, 128) LIMIT 10) x GROUP BY 1;
SELECT pages_read <= 2 AS few FROM xmhash_last_scan();
SELECT count(*) FROM (SELECT code FROM masses ORDER BY code <~> pg_temp.code(2, 128)) x;
RESET enable_seqscan;
DROP TABLE answers, queries, masses;

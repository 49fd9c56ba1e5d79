-- Where an index might go wrong though it is right on ordinary tables: masses of
-- equal codes, statements that change what they scan, unusual plans, types and
-- relations.  The comparison with the sequential scan is test/fuzz/index_oracle.sql's.
SET client_min_messages = warning;
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir '/fuzz/index_oracle.sql'
\set ECHO none
\i :oracle
\set ECHO all
SELECT setseed(.25);

-- One code a great many times: exact, and the nearest ten cost a page or two.
CREATE TABLE t (id serial, n integer, code bitcode(64));
INSERT INTO t (n, code) SELECT i % 1000, oracle.draw('one', 64) FROM generate_series(1, 60000) AS i;
INSERT INTO t (n, code) SELECT i, oracle.draw('uniform', 64) FROM generate_series(1, 2000) AS i;
CREATE INDEX xm_t ON t USING xmhash (code);
ANALYZE t;
SELECT oracle.check_indexes('t');
SELECT oracle.nearest('t', 'code', oracle.centre(64, 1), 10);
SELECT pages_read <= 2 AS cheap FROM xmhash_last_scan();
SELECT oracle.nearest('t', 'code', oracle.centre(64, 1), 60100);
SELECT oracle.nearest('t', 'code', oracle.centre(64, 2), 3000);
SELECT oracle.nearest('t', 'code', oracle.centre(64, 1), 20, 'n = 999 AND id > 50000');
SELECT oracle.matching('t', 'code = $1 AND $2 = $2', oracle.centre(64, 1), 0, 'bitmap');
SELECT oracle.matching('t', 'hamming_within(code, $1, $2)', oracle.centre(64, 1), 2147483647, 'index');
SELECT oracle.matching('t', 'hamming_within(code, $1, $2)', oracle.centre(64, 1), -2147483648, 'index');
-- The same inserted one by one into the pending list, and mostly deleted again.
INSERT INTO t (n, code) SELECT i, oracle.draw('one', 64) FROM generate_series(1, 20000) AS i;
SELECT oracle.nearest('t', 'code', oracle.centre(64, 1), 10);
DELETE FROM t WHERE id % 100 <> 7;
VACUUM t;
SELECT oracle.check_indexes('t');
SELECT oracle.nearest('t', 'code', oracle.centre(64, 1), NULL);
SELECT oracle.compare('t', 'code', 64, 20) > 0 AS compared;
DROP TABLE t;

-- All codes at the same distance from the one asked for, and work_mem for few of them.
CREATE TABLE t (id serial, n integer, code bitcode(1000));
INSERT INTO t (n, code) SELECT i, oracle.draw('shell', 1000) FROM generate_series(1, 20000) AS i;
CREATE INDEX xm_t ON t USING xmhash (code);
SET work_mem = '64kB';
SELECT oracle.nearest('t', 'code', repeat('0', 1000)::bitcode, k) FROM unnest(ARRAY[1, 10, 5000, 20001]) AS k;
SELECT oracle.nearest('t', 'code', repeat('1', 1000)::bitcode, NULL);
RESET work_mem;
DROP TABLE t;

-- Band runs: found by them what is found by reading all.
CREATE TABLE t (id serial, n integer, code bitcode(64));
INSERT INTO t (n, code) SELECT i, oracle.draw('uniform', 64) FROM generate_series(1, 30000) AS i;
INSERT INTO t (n, code) SELECT id, oracle.flip(code, id % 7) FROM t WHERE id <= 2000;
CREATE INDEX xm_t ON t USING xmhash (code) WITH (bands = 4);
SELECT bool_and(oracle.matching('t', 'hamming_within(code, $1, $2)', code, radius, 'index') > 0) AS found
FROM t, generate_series(0, 12) AS radius WHERE id % 2000 BETWEEN 7 AND 20;
SELECT oracle.matching('t', 'hamming_within(code, $1, $2)', code, 3, 'index') > 0 AS found FROM t WHERE id = 7;
SELECT strategy FROM xmhash_last_scan();
SELECT oracle.nearest('t', 'code', code, NULL, 'hamming_within(code, $1, $3)', NULL, 6) > 0 AS found FROM t WHERE id = 8;
DELETE FROM t WHERE n % 3 = 1;
VACUUM t;
SELECT bool_and(oracle.matching('t', 'hamming_within(code, $1, $2)', code, radius, 'bitmap') > 0) AS found
FROM t, generate_series(0, 9, 3) AS radius WHERE id % 2000 = 8;
SELECT oracle.compare('t', 'code', 64, 20) > 0 AS compared;
SELECT oracle.check_indexes('t');
DROP TABLE t;

-- Statements that change the rows they scan see each row once.
CREATE TABLE t (id serial PRIMARY KEY, n integer DEFAULT 0, code bitcode(64));
INSERT INTO t (code) SELECT oracle.draw('clustered', 64) FROM generate_series(1, 5000) AS i;
CREATE INDEX xm_t ON t USING xmhash (code) WITH (pending_list_limit = 8);
ANALYZE t;
SELECT count(*) AS near FROM t WHERE hamming_within(code, oracle.centre(64, 0), 10) \gset
SELECT :near > 100 AS many;
SET enable_seqscan = off;
SELECT oracle.demand_index('UPDATE t SET n = n + 1, code = ~ (~ code) WHERE hamming_within(code, $1, 10)', oracle.centre(64, 0), NULL, NULL);
WITH changed AS (UPDATE t SET n = n + 1, code = ~ (~ code) WHERE hamming_within(code, oracle.centre(64, 0), 10) RETURNING n)
SELECT count(*) = :near AS each_once, max(n) FROM changed;
WITH changed AS (INSERT INTO t (code) SELECT code FROM t WHERE hamming_within(code, oracle.centre(64, 0), 10) RETURNING id)
SELECT count(*) = :near AS each_once FROM changed;
WITH changed AS (INSERT INTO t (code) SELECT code FROM t ORDER BY code <~> oracle.centre(64, 0)::bitcode RETURNING id)
SELECT count(*) = 5000 + :near AS each_once FROM changed;
SELECT oracle.check_indexes('t');
DELETE FROM t USING (SELECT code FROM t WHERE id <= 20) AS few WHERE hamming_within(t.code, few.code, 3) AND t.id > 20;
BEGIN;
DECLARE nearest CURSOR FOR SELECT id FROM t ORDER BY code <~> oracle.centre(64, 7)::bitcode FOR UPDATE;
MOVE 3 IN nearest;
FETCH 1 FROM nearest \gset moved_
UPDATE t SET code = oracle.centre(64, 7) WHERE CURRENT OF nearest;
DELETE FROM t WHERE id = (SELECT id FROM t ORDER BY code <~> (~ oracle.centre(64, 7))::bitcode LIMIT 1);
MOVE ALL IN nearest;
COMMIT;
SELECT code <~> oracle.centre(64, 7)::bitcode AS d FROM t WHERE id = :moved_id;
RESET enable_seqscan;
VACUUM t;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 20) > 0 AS compared;

-- Orders of more than the index gives, semi-joins and anti-joins, each both ways.
CREATE FUNCTION both_ways(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
  truth text;
BEGIN
  PERFORM oracle.way('index'), set_config('enable_sort', 'on', true), set_config('enable_hashjoin', 'off', true),
          set_config('enable_mergejoin', 'off', true);
  EXECUTE format('SELECT md5(array_agg(x)::text) || '' '' || count(*) FROM (%s) AS x', query) INTO found;
  PERFORM oracle.way('seq');
  EXECUTE format('SELECT md5(array_agg(x)::text) || '' '' || count(*) FROM (%s) AS x', query) INTO truth;
  PERFORM oracle.way_back(), set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true);
  RETURN CASE WHEN found = truth THEN 'same' ELSE format('%s instead of %s', found, truth) END;
END $$;
SELECT both_ways(query) FROM unnest(ARRAY[
  'SELECT id FROM t ORDER BY code <~> oracle.centre(64, 3)::bitcode, id LIMIT 500',
  'SELECT code <~> oracle.centre(64, 3)::bitcode AS d, code <~> oracle.centre(64, 5)::bitcode AS e FROM t
     ORDER BY code <~> oracle.centre(64, 3)::bitcode, code <~> oracle.centre(64, 5)::bitcode LIMIT 700',
  'SELECT code <~> oracle.centre(64, 3)::bitcode AS d FROM t ORDER BY code <~> oracle.centre(64, 3)::bitcode OFFSET 1000 LIMIT 50',
  'SELECT id FROM t AS a WHERE id < 200 AND EXISTS (SELECT 1 FROM t AS b WHERE hamming_within(b.code, a.code, 3) AND b.id <> a.id) ORDER BY id',
  'SELECT id FROM t AS a WHERE id < 200 AND NOT EXISTS (SELECT 1 FROM t AS b WHERE hamming_within(a.code, b.code, 3) AND b.id <> a.id) ORDER BY id',
  'SELECT a.id, b.id FROM t AS a LEFT JOIN t AS b ON hamming_within(b.code, a.code, a.n) AND b.id > a.id WHERE a.id < 200 ORDER BY 1, 2',
  'SELECT id FROM t WHERE hamming_within(code, oracle.centre(64, 3), 8) OR hamming_within(code, oracle.centre(64, 5), 8) OR code = oracle.centre(64, 7) ORDER BY id',
  'SELECT id FROM t WHERE hamming_within(code, oracle.centre(64, 3), 20) AND NOT hamming_within(code, oracle.centre(64, 3), 19) ORDER BY id',
  'SELECT id FROM t WHERE code = ANY (ARRAY[oracle.centre(64, 7), NULL, oracle.centre(64, 9), oracle.centre(64, 7)]::bitcode[]) ORDER BY id',
  'SELECT id FROM t WHERE hamming_within(code, (SELECT code FROM t WHERE id = 3), (SELECT 7)) ORDER BY id',
  'SELECT d FROM (SELECT code <~> oracle.centre(64, 3)::bitcode AS d FROM t ORDER BY 1 LIMIT 300) AS x ORDER BY d DESC',
  'SELECT count(*) FROM t AS a, LATERAL (SELECT 1 FROM t AS b WHERE b.id < 3000 AND hamming_within(b.code, a.code, 4) ORDER BY b.code <~> ~ a.code LIMIT 2) AS x WHERE a.id < 100']) AS query;

-- The same with parallel workers wherever they are allowed.
-- (the setting has changed its name in PostgreSQL 16)
SELECT count(set_config(name, 'on', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT both_ways('SELECT a.id, b.id FROM t AS a JOIN t AS b ON hamming_within(b.code, a.code, 4) WHERE a.id < 40 ORDER BY 1, 2');
SELECT oracle.compare('t', 'code', 64, 10) > 0 AS compared;
SELECT count(set_config(name, 'off', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Rows hidden by a policy stay hidden, and do not take the place of others.
CREATE ROLE regress_xmhash_reader;
GRANT USAGE ON SCHEMA oracle TO regress_xmhash_reader;
GRANT SELECT ON t TO regress_xmhash_reader;
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY odd ON t USING (id % 2 = 1);
SELECT count(*) AS odd FROM t WHERE id % 2 = 1 \gset
SET ROLE regress_xmhash_reader;
SET enable_seqscan = off;
SELECT count(*) = :odd AS all_odd, bool_and(id % 2 = 1) AS only_odd
FROM (SELECT id FROM t ORDER BY code <~> oracle.centre(64, 3)::bitcode) AS x;
SELECT bool_and(id % 2 = 1) AS only_odd FROM t WHERE hamming_within(code, oracle.centre(64, 0), 10);
RESET enable_seqscan;
-- Others than the owner look, but do not touch.
SELECT xmhash_index_merge('xm_t');
SELECT xmhash_index_check('xm_t');
RESET ROLE;
DROP TABLE t;
DROP OWNED BY regress_xmhash_reader;
DROP ROLE regress_xmhash_reader;

-- A domain, a generated column, a materialized view, inherited tables, two
-- indexes on one column.
CREATE DOMAIN code64 AS bitcode(64) CHECK (bit_count(VALUE) < 64);
CREATE TABLE t (id integer UNIQUE, n integer, code code64, inverse bitcode(64) GENERATED ALWAYS AS (~ code) STORED);
CREATE INDEX xm_domain ON t USING xmhash (code);
CREATE INDEX xm_inverse ON t USING xmhash (inverse) WHERE n % 2 = 0;
INSERT INTO t SELECT i, i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
CREATE INDEX xm_again ON t USING xmhash (code);
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 20) > 0 AS compared;
SELECT oracle.compare('t', 'inverse', 64, 20, 'n % 2 = 0') > 0 AS compared;
UPDATE t SET code = oracle.draw('near', 64) WHERE n % 3 = 0;
VACUUM t;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'inverse', 64, 20, 'n % 2 = 0') > 0 AS compared;
CREATE MATERIALIZED VIEW t_view AS SELECT id, n, (code # inverse # inverse)::bitcode AS code FROM t;
CREATE UNIQUE INDEX t_view_id ON t_view (id);
CREATE INDEX xm_view ON t_view USING xmhash (code);
SELECT oracle.compare('t_view', 'code', 64, 10) > 0 AS compared;
UPDATE t SET code = oracle.draw('clustered', 64) WHERE n % 5 = 0;
REFRESH MATERIALIZED VIEW CONCURRENTLY t_view;
SELECT oracle.check_indexes('t_view');
SELECT oracle.compare('t_view', 'code', 64, 10) > 0 AS compared;
REFRESH MATERIALIZED VIEW t_view;
SELECT oracle.check_indexes('t_view');
SELECT oracle.compare('t_view', 'code', 64, 10) > 0 AS compared;
DROP MATERIALIZED VIEW t_view;
DROP TABLE t;
DROP DOMAIN code64;
CREATE TABLE t (id integer, n integer, code bitcode(64));
CREATE INDEX xm_t ON t USING xmhash (code);
CREATE TABLE part_child (LIKE t INCLUDING ALL) INHERITS (t);
INSERT INTO t SELECT i, i, oracle.draw('clustered', 64) FROM generate_series(1, 2000) AS i;
INSERT INTO part_child SELECT i, i, oracle.draw('clustered', 64) FROM generate_series(10001, 12000) AS i;
SELECT oracle.compare('t', 'code', 64, 10) > 0 AS compared;
DROP TABLE t CASCADE;

-- Moved to another tablespace and back; then written to as before.
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE regress_xmhash LOCATION '';
CREATE TABLE t (id serial, n integer, code bitcode(64));
CREATE INDEX xm_t ON t USING xmhash (code) WITH (pending_list_limit = 8) TABLESPACE regress_xmhash;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 5000) AS i;
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
ALTER INDEX xm_t SET TABLESPACE pg_default;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
BEGIN;
ALTER INDEX xm_t SET TABLESPACE regress_xmhash;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
ROLLBACK;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
-- TRUNCATE that is rolled back, in a transaction and in a savepoint.
BEGIN;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 100) AS i;
SAVEPOINT s;
TRUNCATE t;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SELECT xmhash_index_merge('xm_t') > 0 AS merged;
SELECT oracle.check_indexes('t');
ROLLBACK TO s;
INSERT INTO t (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 100) AS i;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
COMMIT;
SELECT oracle.check_indexes('t');
SELECT oracle.compare('t', 'code', 64, 5) > 0 AS compared;
DROP TABLE t;
DROP TABLESPACE regress_xmhash;

-- Every length at once, compressed and toasted codes among them, as keys too.
CREATE TABLE lengths (bits integer);
INSERT INTO lengths VALUES (1), (2), (5), (8), (31), (63), (64), (65), (100), (127), (128), (129), (255), (256), (257), (1000), (4097), (16383), (16384);
CREATE FUNCTION every_length(kind text) RETURNS TABLE (bits integer, compared boolean) LANGUAGE plpgsql AS $$
BEGIN
  FOR every_length.bits IN SELECT l.bits FROM lengths AS l ORDER BY 1 LOOP
    EXECUTE format('CREATE TABLE t (id serial, n integer, code bitcode(%s))', bits);
    EXECUTE format('INSERT INTO t (n, code) SELECT i, CASE WHEN i %% 20 > 0 THEN oracle.draw(%L, %s) END FROM generate_series(1, %s) AS i',
                   kind, bits, CASE WHEN bits > 1000 THEN 60 ELSE 600 END);
    CREATE INDEX xm_t ON t USING xmhash (code) WITH (pending_list_limit = 8);
    EXECUTE format('INSERT INTO t (n, code) SELECT i, CASE WHEN i %% 20 > 0 THEN oracle.draw(%L, %s) END FROM generate_series(1, 60) AS i',
                   kind, bits);
    PERFORM oracle.check_indexes('t');
    compared := oracle.compare('t', 'code', bits, 12) >= 0;
    RETURN NEXT;
    DROP TABLE t;
  END LOOP;
END $$;
SELECT * FROM every_length('uniform');
SELECT count(*) FROM every_length('shell');
SELECT count(*) FROM every_length('tail');
DROP TABLE lengths;
DROP FUNCTION every_length, both_ways;
DROP SCHEMA oracle CASCADE;

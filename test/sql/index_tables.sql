-- Every kind of table and of index on it, and what is done to them.
SET client_min_messages = warning;
CREATE FUNCTION code(i integer, bits integer DEFAULT 64) RETURNS bitcode LANGUAGE sql IMMUTABLE AS
  $$ SELECT substring(repeat(('x' || md5((i % 300)::text))::bit(128)::text, (bits + 127) / 128) FROM 1 FOR bits)::bit varying::bitcode $$;
-- Full check, and as many rows by the index as by the table.
CREATE FUNCTION verify(target regclass, index regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  rows bigint;
  found bigint;
BEGIN
  PERFORM xmhash_index_check(index, true);
  PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
          set_config('enable_seqscan', 'on', true);
  EXECUTE format('SELECT count(*) FROM %s WHERE hamming_within(code, code(1, length(code)), 1000000)', target) INTO rows;
  PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true),
          set_config('enable_seqscan', 'off', true);
  EXECUTE format('SELECT count(*) FROM %s WHERE hamming_within(code, %L, 1000000)', target,
                 (SELECT code(1, coalesce(bits, 64)) FROM xmhash_index_stats(index))) INTO found;
  PERFORM set_config('enable_seqscan', 'on', true);
  IF rows <> found THEN
    RAISE EXCEPTION '% rows by the index, % by the table', found, rows;
  END IF;
  RETURN format('%s rows', rows);
END $$;

-- empty, one row, and the length learned from the first code
CREATE TABLE t (id integer, code bitcode);
CREATE INDEX t_code ON t USING xmhash (code);
SELECT bits, rows, null_rows, segments FROM xmhash_index_stats('t_code');
SELECT verify('t', 't_code');
INSERT INTO t VALUES (1, NULL), (2, NULL);
SELECT verify('t', 't_code');
SELECT bits, rows, null_rows, segments FROM xmhash_index_stats('t_code');
INSERT INTO t VALUES (3, code(3));
INSERT INTO t VALUES (4, NULL);
SELECT bits, rows, null_rows, segments FROM xmhash_index_stats('t_code');
INSERT INTO t VALUES (5, code(5, 65));
SELECT verify('t', 't_code');
SELECT xmhash_index_merge('t_code');
SELECT bits, rows, null_rows, pending_rows, segments FROM xmhash_index_stats('t_code');
SELECT verify('t', 't_code');
REINDEX INDEX t_code;
SELECT verify('t', 't_code');
TRUNCATE t;
INSERT INTO t VALUES (5, code(5, 65));
SELECT bits, rows, null_rows, segments FROM xmhash_index_stats('t_code');
INSERT INTO t VALUES (6, code(5, 64));
DROP INDEX t_code;
INSERT INTO t VALUES (6, code(5, 64));
CREATE INDEX t_code ON t USING xmhash (code);
DROP TABLE t;

-- lengths
CREATE TABLE lengths (bits integer, code bitcode);
DO $$
DECLARE
  n integer;
BEGIN
  FOREACH n IN ARRAY ARRAY[1, 2, 63, 64, 65, 127, 128, 1000, 16384] LOOP
    TRUNCATE lengths;
    INSERT INTO lengths SELECT n, code(i, n) FROM generate_series(1, 200) i;
    CREATE INDEX lengths_code ON lengths USING xmhash (code) WITH (pending_list_limit = 64);
    INSERT INTO lengths SELECT n, code(i, n) FROM generate_series(1, 200) i;
    PERFORM verify('lengths', 'lengths_code');
    DELETE FROM lengths WHERE code < code(5, n);
    PERFORM xmhash_index_merge('lengths_code');
    PERFORM verify('lengths', 'lengths_code');
    DROP INDEX lengths_code;
  END LOOP;
END $$;
DROP TABLE lengths;

-- partial and expression indexes, with NULLs under a predicate
CREATE TABLE t (id integer, image bit(64), code bitcode(64));
INSERT INTO t SELECT i, ('x' || md5(i::text))::bit(64), CASE WHEN i % 3 <> 0 THEN code(i) END FROM generate_series(1, 3000) i;
CREATE INDEX t_partial ON t USING xmhash (code) WHERE id % 2 = 0;
CREATE INDEX t_expression ON t USING xmhash (CAST(image AS bitcode));
SELECT rows, null_rows FROM xmhash_index_stats('t_partial');
SELECT rows, null_rows, bits FROM xmhash_index_stats('t_expression');
SELECT xmhash_index_check('t_partial', true), xmhash_index_check('t_expression', true);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM t WHERE id % 2 = 0;
SELECT count(*), count(code) FROM t WHERE id % 2 = 0;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY image::bitcode <~> code(7) LIMIT 1;
RESET enable_seqscan;

-- a column of the table altered, and made another one
ALTER TABLE t ADD COLUMN note text DEFAULT 'x';
ALTER TABLE t ALTER COLUMN image TYPE bit varying;
CREATE INDEX t_code ON t USING xmhash (code);
ALTER TABLE t ALTER COLUMN code TYPE bitcode;
SELECT verify('t', 't_code');
ALTER TABLE t ALTER COLUMN code TYPE bitcode USING (code || code);
SELECT verify('t', 't_code');
SELECT bits FROM xmhash_index_stats('t_code');
ALTER TABLE t ALTER COLUMN code TYPE bitcode(64) USING substring(code, 1, 64);
SELECT verify('t', 't_code');
SELECT xmhash_index_check('t_partial', true), xmhash_index_check('t_expression', true);
DROP TABLE t;

-- TRUNCATE in the creating transaction rebuilds in place
BEGIN;
CREATE TABLE t (id integer, code bitcode);
CREATE INDEX t_code ON t USING xmhash (code);
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 2000) i;
SELECT verify('t', 't_code');
SELECT xmhash_index_merge('t_code');
SELECT verify('t', 't_code');
TRUNCATE t;
SELECT verify('t', 't_code');
INSERT INTO t SELECT i, code(i, 32) FROM generate_series(1, 700) i;
SELECT verify('t', 't_code');
TRUNCATE t;
INSERT INTO t SELECT i, code(i + 100) FROM generate_series(1, 2000) i;
SELECT verify('t', 't_code');
COMMIT;
SELECT verify('t', 't_code');

-- savepoints and rollbacks leave rows that nobody sees, until VACUUM
BEGIN;
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 1000) i;
SAVEPOINT s;
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 1000) i;
ROLLBACK TO s;
SELECT verify('t', 't_code');
ROLLBACK;
SELECT verify('t', 't_code');
VACUUM t;
SELECT rows, pending_rows FROM xmhash_index_stats('t_code');
SELECT verify('t', 't_code');

-- logged and unlogged, clustered, rewritten, rebuilt concurrently
ALTER TABLE t SET UNLOGGED;
SELECT verify('t', 't_code');
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 1000) i;
ALTER TABLE t SET LOGGED;
SELECT verify('t', 't_code');
VACUUM FULL t;
SELECT verify('t', 't_code');
REINDEX INDEX CONCURRENTLY t_code;
SELECT verify('t', 't_code');
DROP INDEX t_code;
CREATE INDEX CONCURRENTLY t_code ON t USING xmhash (code);
SELECT verify('t', 't_code');
UPDATE t SET code = code(id + 1) WHERE id % 2 = 0;
UPDATE t SET id = id + 1;
SELECT verify('t', 't_code');
VACUUM t;
SELECT verify('t', 't_code');
DROP TABLE t;

-- temporary tables, emptied at every commit
CREATE TEMP TABLE t (id integer, code bitcode) ON COMMIT DELETE ROWS;
CREATE INDEX t_code ON t USING xmhash (code);
BEGIN;
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 1000) i;
SELECT verify('t', 't_code');
SELECT xmhash_index_merge('t_code');
SELECT verify('t', 't_code');
COMMIT;
SELECT verify('t', 't_code');
BEGIN;
INSERT INTO t SELECT i, code(i, 32) FROM generate_series(1, 100) i;
SELECT verify('t', 't_code');
COMMIT;
SELECT verify('t', 't_code');
DROP TABLE t;

-- partitions
CREATE TABLE t (id integer, code bitcode(64)) PARTITION BY RANGE (id);
CREATE INDEX t_code ON t USING xmhash (code);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (3000);
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 2500) i;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM t ORDER BY code <~> code(7) LIMIT 3;
SELECT id % 300 AS id, code <~> code(7) AS d FROM t ORDER BY code <~> code(7) LIMIT 3;
RESET enable_seqscan;
SELECT verify('t1', 't1_code_idx'), verify('t2', 't2_code_idx');
DROP TABLE t;

-- an exclusion constraint on equality
CREATE TABLE t (code bitcode(64), EXCLUDE USING xmhash (code WITH =));
INSERT INTO t SELECT code(i) FROM generate_series(1, 299) i;
INSERT INTO t VALUES (code(7));
INSERT INTO t VALUES (code(300)), (NULL), (NULL);
INSERT INTO t VALUES (code(8)) ON CONFLICT DO NOTHING;
DELETE FROM t WHERE code = code(7);
INSERT INTO t VALUES (code(7));
SELECT verify('t', 't_code_excl');
DROP TABLE t;

-- what an index may not be
CREATE TABLE t (id integer, code bitcode(64));
CREATE UNIQUE INDEX ON t USING xmhash (code);
CREATE INDEX ON t USING xmhash (code, code);
CREATE INDEX ON t USING xmhash (id);
\set VERBOSITY sqlstate
CREATE INDEX ON t USING xmhash (code DESC);
\set VERBOSITY default
CREATE INDEX ON t USING xmhash (code) INCLUDE (id);
DROP TABLE t;
DROP FUNCTION verify, code;

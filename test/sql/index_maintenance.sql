-- Options, statistics, merging, checking, and who may do it.
SET client_min_messages = warning;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bitcode_hamming_ops';
CREATE FUNCTION code(i integer) RETURNS bitcode LANGUAGE sql IMMUTABLE AS
  $$ SELECT ('x' || md5(i::text))::bit(64)::bitcode $$;
CREATE TABLE t (id integer, code bitcode(64)) WITH (autovacuum_enabled = off);
CREATE INDEX t_code ON t USING xmhash (code) WITH (pending_list_limit = 16);
SELECT reloptions FROM pg_class WHERE relname = 't_code';
ALTER INDEX t_code SET (pending_list_limit = -1);
ALTER INDEX t_code SET (fillfactor = 70);
ALTER INDEX t_code SET (pending_list_limit = 8);
SHOW xmhash.pending_list_limit;
\set VERBOSITY sqlstate
SET xmhash.pending_list_limit = '4kB';
\set VERBOSITY default

-- a row at a time: flushed at the limit, merged four by four
SELECT format_version, bits, rows, segments, pending_rows, bytes FROM xmhash_index_stats('t_code');
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 509) i;
SELECT rows, segments, pending_rows FROM xmhash_index_stats('t_code');
INSERT INTO t VALUES (510, code(510));
SELECT rows, segments, pending_rows FROM xmhash_index_stats('t_code');
INSERT INTO t SELECT i, code(i) FROM generate_series(511, 10000) i;
SELECT rows, segments BETWEEN 2 AND 30 AS few, pending_rows < 510 AS short FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);
SELECT xmhash_index_merge('t_code') < 510 AS folded;
SELECT xmhash_index_merge('t_code');
SELECT rows, segments, pending_rows, data_pages < 30 AS compact, centres > 0 AS centres FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);

-- VACUUM removes rows, and rewrites a segment of which it has removed more than half
DELETE FROM t WHERE id % 10 = 0;
VACUUM t;
SELECT rows, segments, data_pages > 17 AS same FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);
DELETE FROM t WHERE id % 10 < 7;
VACUUM t;
SELECT rows, segments, data_pages < 10 AS smaller FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);
INSERT INTO t SELECT i, NULL FROM generate_series(1, 2000) i;
DELETE FROM t WHERE code IS NOT NULL;
VACUUM t;
SELECT rows, null_rows, segments, null_pages FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);
DELETE FROM t;
VACUUM t;
SELECT rows, null_rows, segments, data_pages, null_pages FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);

-- freed pages are used again once nobody can need them
INSERT INTO t SELECT i, code(i) FROM generate_series(1, 10000) i;
SELECT bytes AS before FROM xmhash_index_stats('t_code') \gset
DO $$
BEGIN
  FOR i IN 1 .. 10 LOOP
    UPDATE t SET code = code(id + i) WHERE id % 10 = i - 1;
    COMMIT;
    PERFORM xmhash_index_merge('t_code');
    COMMIT;
  END LOOP;
END $$;
VACUUM t;
SELECT bytes < 4 * :before AS bounded FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code', true);

-- not every index, and not everybody
CREATE INDEX t_id ON t (id);
SELECT xmhash_index_stats('t_id');
SELECT xmhash_index_check('t_id');
SELECT xmhash_index_merge('t');
SELECT xmhash_index_merge(1::regclass);
SELECT xmhash_index_check(NULL) IS NULL AS nothing;
CREATE ROLE xmhash_stranger;
GRANT ALL ON t TO xmhash_stranger;
SET ROLE xmhash_stranger;
SELECT rows FROM xmhash_index_stats('t_code');
SELECT xmhash_index_check('t_code');
SELECT xmhash_index_merge('t_code');
RESET ROLE;
REVOKE ALL ON t FROM xmhash_stranger;
DROP ROLE xmhash_stranger;

-- with an empty search_path, as pg_restore and autovacuum run
SET search_path = '';
REINDEX INDEX public.t_code;
VACUUM (ANALYZE) public.t;
RESET search_path;
SELECT xmhash_index_check('t_code', true);
DROP TABLE t;
DROP FUNCTION code;

-- The first code decides on the length, even one that was rolled back, until VACUUM finds nothing left.
CREATE TABLE index_length (code bitcode);
CREATE INDEX index_length_code ON index_length USING xmhash (code);
BEGIN;
INSERT INTO index_length VALUES ('0101');
ROLLBACK;
INSERT INTO index_length VALUES ('01010101');
VACUUM index_length;
INSERT INTO index_length VALUES ('01010101'), ('11110000');
INSERT INTO index_length VALUES ('0101');
VACUUM index_length;
INSERT INTO index_length VALUES ('0101');
SET enable_seqscan = off;
SELECT code FROM index_length ORDER BY code <~> '11110001' LIMIT 1;
RESET enable_seqscan;
SELECT xmhash_index_check('index_length_code', true);
DROP TABLE index_length;

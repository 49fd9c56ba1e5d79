-- Numbers for monitoring: what PostgreSQL counts of each index, and what it consists of.
CREATE SCHEMA monitoring;
SET search_path = monitoring, public;

CREATE VIEW xmhash_indexes AS
SELECT s.schemaname, s.relname, s.indexrelname, s.idx_scan AS scans, s.idx_tup_read AS rows_returned,
       io.idx_blks_hit + io.idx_blks_read AS pages_accessed, io.idx_blks_read AS pages_read,
       i.rows, i.pending_rows, i.segments, i.data_pages, i.pending_pages, i.free_pages, i.bytes
FROM pg_stat_all_indexes AS s
     JOIN pg_statio_all_indexes AS io USING (indexrelid)
     JOIN pg_index ON pg_index.indexrelid = s.indexrelid AND indisready
     JOIN pg_class AS c ON c.oid = s.indexrelid AND c.relpersistence <> 't'
     JOIN pg_am ON pg_am.oid = c.relam AND amname = 'xmhash'
     CROSS JOIN LATERAL xmhash_index_stats(c.oid::regclass) AS i;

CREATE TABLE item (id int PRIMARY KEY, code bitcode(64));
INSERT INTO item SELECT id, id::bigint::bitcode FROM generate_series(1, 5000) AS id;
CREATE INDEX item_code ON item USING xmhash (code);
CREATE TEMPORARY TABLE other AS SELECT * FROM item LIMIT 10;
CREATE INDEX ON other USING xmhash (code);
INSERT INTO item SELECT id, id::bigint::bitcode FROM generate_series(5001, 5003) AS id;
SELECT pg_stat_force_next_flush();

-- Pages of the build and of the insertions; then those of the scans.
SELECT scans, rows_returned, pages_accessed AS pages_before FROM xmhash_indexes WHERE schemaname = 'monitoring' \gset
\echo :scans :rows_returned
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM item ORDER BY code <~> 7::bigint::bitcode LIMIT 10) AS near;
SELECT count(*) FROM item WHERE hamming_within(code, 7::bigint::bitcode, 1);
SELECT id FROM item WHERE code = 7::bigint::bitcode;
RESET enable_seqscan;
SELECT pg_stat_force_next_flush();
SELECT relname, indexrelname, scans, rows_returned >= 20 AS rows_returned, pages_accessed - :pages_before >= 3 AS pages_accessed,
       pages_read <= pages_accessed AS pages_read, rows, pending_rows, segments, data_pages > 0 AS data_pages, bytes > 8192 AS bytes
FROM xmhash_indexes WHERE schemaname = 'monitoring';

SET client_min_messages = warning;
DROP SCHEMA monitoring CASCADE;

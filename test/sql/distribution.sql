-- Tables whose rows are in shards on other servers.  What is known of them is
-- Citus's list, by its name; a table of its form stands in for it here, and
-- test/t/602_citus.pl has the real one where it is installed.
SET xmhash.progress = off;
CREATE SCHEMA "shared %s";
SET search_path = "shared %s", public;
CREATE TABLE pairs AS
SELECT g AS id, g % 2 AS label, ARRAY[sin(g), cos(g), 1]::real[] AS image,
       ARRAY[g % 2, g % 5, 1]::real[] AS words, NULL::bitcode AS code, g::bigint::bitcode AS other
FROM generate_series(1, 40) AS g;
ALTER TABLE pairs ADD PRIMARY KEY (id);
CREATE INDEX pairs_other ON pairs USING xmhash (other);
CREATE TABLE bad AS SELECT id, image, CASE WHEN id = 7 THEN ARRAY[1, 'NaN', 1]::real[] ELSE words END AS words FROM pairs;
ALTER TABLE bad ADD PRIMARY KEY (id);
CALL xmhash_train('"it''s %"', 'pairs', 'image', 'words', 16, options => '{"epochs": 1, "batch_size": 16}');

-- Ranked rows at equal distance: in the order of (tableoid, ctid), the later range first.
CREATE TABLE query AS SELECT 0::bigint::bitcode AS code, 1 AS label;
CREATE TABLE ranked (id integer, code bitcode, label integer) PARTITION BY RANGE (id);
CREATE TABLE ranked_high PARTITION OF ranked FOR VALUES FROM (2) TO (3);
CREATE TABLE ranked_low PARTITION OF ranked FOR VALUES FROM (1) TO (2);
INSERT INTO ranked VALUES (1, 0::bigint::bitcode, 0), (2, 0::bigint::bitcode, 1);
SELECT map_ties_by_position FROM xmhash_evaluate('query', 'code', 'ranked', 'code', 'label');

-- Nothing is listed yet, or it is no list.
CREATE FUNCTION pg_temp.all_calls() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  call text;
  hint text;
BEGIN
  FOREACH call IN ARRAY ARRAY[
    $c$CALL xmhash_encode_table('"it''s %"', 'pairs', 'image', 'code', NULL, NULL)$c$,
    $c$CALL xmhash_encode_table('"it''s %"', 'pairs', NULL, NULL, 'words', 'code', only_missing => false)$c$,
    $c$SELECT xmhash_index_check('pairs_other')$c$,
    $c$SELECT xmhash_index_check('pairs_other', true)$c$,
    $c$SELECT xmhash_index_stats('pairs_other')$c$,
    $c$SELECT xmhash_index_merge('pairs_other')$c$]
  LOOP
    BEGIN
      EXECUTE call;
      RETURN NEXT 'done';
    EXCEPTION WHEN wrong_object_type THEN
      GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
      RETURN NEXT SQLERRM || E'\n' || hint;
    END;
  END LOOP;
  UPDATE pairs SET code = NULL;
END $$;
SELECT * FROM pg_temp.all_calls();
SET allow_system_table_mods = on;
CREATE TABLE pg_catalog.pg_dist_partition (logicalrelid text);
INSERT INTO pg_catalog.pg_dist_partition VALUES ('pairs');
SELECT * FROM pg_temp.all_calls();
DROP TABLE pg_catalog.pg_dist_partition;
CREATE TABLE pg_catalog.pg_dist_partition (
  logicalrelid regclass NOT NULL, partmethod "char" NOT NULL, partkey text,
  colocationid integer DEFAULT 0 NOT NULL, repmodel "char" DEFAULT 'c' NOT NULL, autoconverted boolean DEFAULT false NOT NULL);
RESET allow_system_table_mods;
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, repmodel) VALUES ('query', 'h', 's');
SELECT * FROM pg_temp.all_calls();

-- A distributed table: the rows left behind here are none of its rows.
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, repmodel) VALUES ('pairs', 'h', 's');
SELECT * FROM pg_temp.all_calls();
SELECT count(code) AS written FROM pairs;

-- A table that every server has a replica of; one shard alone.
UPDATE pg_catalog.pg_dist_partition SET partmethod = 'n', repmodel = 't' WHERE logicalrelid = 'pairs'::regclass;
CALL xmhash_encode_table('"it''s %"', 'pairs', 'image', 'code', NULL, NULL);
SELECT xmhash_index_check('pairs_other');
UPDATE pg_catalog.pg_dist_partition SET repmodel = 's' WHERE logicalrelid = 'pairs'::regclass;
\set VERBOSITY terse
CALL xmhash_encode_table('"it''s %"', 'pairs', 'image', 'code', NULL, NULL);
SELECT xmhash_index_check('pairs_other');
\set VERBOSITY default

-- A partition that is distributed; with names that have dollars.
CREATE TABLE "a$$b" (LIKE pairs) PARTITION BY RANGE (id);
CREATE TABLE "c$$d" PARTITION OF "a$$b" FOR VALUES FROM (1) TO (10);
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, repmodel) VALUES ('"c$$d"', 'h', 's');
CALL xmhash_encode_table('"it''s %"', '"a$$b"', 'image', 'code', NULL, NULL);
ALTER TABLE "a$$b" RENAME image TO "im$$age";
CALL xmhash_encode_table('"it''s %"', '"c$$d"', 'im$$age', 'code', NULL, NULL);

-- A bad row's place is not looked at: it would be that of another server's row.
CALL xmhash_train('m', 'bad', 'image', 'words', 16, options => '{"batch_size": 16}');
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, repmodel) VALUES ('bad', 'h', 's');
CALL xmhash_train('m', 'bad', 'image', 'words', 16, options => '{"batch_size": 16}');

-- Nor are rows ranked by it: the order of reading stands.
INSERT INTO pg_catalog.pg_dist_partition (logicalrelid, partmethod, repmodel) VALUES ('ranked_low', 'h', 's');
SELECT map_ties_by_position FROM xmhash_evaluate('query', 'code', 'ranked', 'code', 'label');

SET allow_system_table_mods = on;
DROP TABLE pg_catalog.pg_dist_partition;
RESET allow_system_table_mods;
SET search_path = "shared %s", public;
SELECT * FROM pg_temp.all_calls();
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA "shared %s" CASCADE;

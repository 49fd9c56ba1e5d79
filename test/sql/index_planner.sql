--
-- What the planner knows of an index: how many pages searches read, learned
-- when segments are written, beside what searches then do read; and the plans
-- that follow where one is better by far.
--
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION pg_temp.code(bits int, i int, cluster int) RETURNS bitcode LANGUAGE sql IMMUTABLE AS $$
  SELECT substring(string_agg((CASE WHEN cluster < 0 THEN ('x' || md5(i || 'u' || j))::bit(128)
    ELSE ('x' || md5('c' || cluster || j))::bit(128) # (('x' || md5(i || 'a' || j))::bit(128) & ('x' || md5(i || 'b' || j))::bit(128)
         & ('x' || md5(i || 'c' || j))::bit(128) & ('x' || md5(i || 'd' || j))::bit(128)) END)::text, '') FROM 1 FOR bits)::bitcode
  FROM generate_series(1, (bits + 127) / 128) AS j
$$;
CREATE TABLE clustered (id int, part int, code bitcode(64));
INSERT INTO clustered SELECT i, i % 2000, pg_temp.code(64, i, i % 50) FROM generate_series(1, 30000) i;
CREATE TABLE uniform (id int, part int, code bitcode(128));
INSERT INTO uniform SELECT i, i % 2000, pg_temp.code(128, i, -1) FROM generate_series(1, 20000) i;
CREATE INDEX clustered_code ON clustered USING xmhash (code);
CREATE INDEX uniform_code ON uniform USING xmhash (code);
CREATE INDEX clustered_part ON clustered (part);
CREATE INDEX uniform_part ON uniform (part);
VACUUM ANALYZE clustered, uniform;

-- A plan's cost, of pages alone if wanted.
CREATE FUNCTION pg_temp.cost(statement text, pages_alone boolean DEFAULT false) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  IF pages_alone THEN
    PERFORM set_config(name || '_cost', (name = 'seq_page')::int::text, true)
    FROM unnest('{seq_page,random_page,cpu_tuple,cpu_index_tuple,cpu_operator}'::text[]) AS name;
  END IF;
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
  IF pages_alone THEN
    PERFORM set_config(name, reset_val, true) FROM pg_settings WHERE name ~ '^(seq_page|random_page|cpu_tuple|cpu_index_tuple|cpu_operator)_cost$';
  END IF;
  RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;

-- Pages expected, and read on the average of 20 queries: are they alike?
CREATE FUNCTION pg_temp.alike(name text, what text) RETURNS TABLE (statement text, alike boolean, expected numeric, read numeric) LANGUAGE plpgsql AS $$
DECLARE
  query bitcode;
  total bigint := 0;
BEGIN
  PERFORM set_config('enable_' || w, 'off', true) FROM unnest('{seqscan,sort,bitmapscan}'::text[]) AS w;
  alike.statement := what;
  FOR q IN 1 .. 20 LOOP
    query := pg_temp.code(CASE name WHEN 'uniform' THEN 128 ELSE 64 END, 100000 + q, CASE name WHEN 'uniform' THEN -1 ELSE q * 7 % 50 END);
    EXECUTE 'SELECT count(*) FROM (SELECT id FROM ' || name || ' ' || replace(what, '$1', quote_literal(query::text)) || ') x';
    total := total + (SELECT pages_read FROM xmhash_last_scan());
    expected := pg_temp.cost('SELECT id FROM ' || name || ' ' || replace(what, '$1', quote_literal(query::text)), true);
  END LOOP;
  read := total / 20.0;
  alike.alike := expected <= 2 * read + 3 AND read <= 2 * expected + 3;
  PERFORM set_config('enable_' || w, 'on', true) FROM unnest('{seqscan,sort,bitmapscan}'::text[]) AS w;
  RETURN NEXT;
END $$;

CREATE FUNCTION pg_temp.all_alike(name text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT CASE WHEN a.alike THEN a.statement ELSE a::text END FROM unnest(ARRAY[
    'ORDER BY code <~> $1 LIMIT 1', 'ORDER BY code <~> $1 LIMIT 10', 'ORDER BY code <~> $1 LIMIT 100',
    'WHERE hamming_within(code, $1, 2)', 'WHERE hamming_within(code, $1, 8)', 'WHERE hamming_within(code, $1, 16)']) AS what,
    LATERAL pg_temp.alike(name, what) AS a
$$;
-- After the build.
SELECT pg_temp.all_alike('clustered');
SELECT pg_temp.all_alike('uniform');
-- Clusters are told apart, and uniform codes are not.
SELECT expected < .5 * (SELECT data_pages FROM xmhash_index_stats('clustered_code')) AS few
FROM pg_temp.alike('clustered', 'ORDER BY code <~> $1 LIMIT 10');
SELECT expected > .8 * (SELECT data_pages FROM xmhash_index_stats('uniform_code')) AS nearly_all
FROM pg_temp.alike('uniform', 'ORDER BY code <~> $1 LIMIT 10');
-- After a merge of two segments.
INSERT INTO clustered SELECT i, i % 2000, pg_temp.code(64, i, i % 50) FROM generate_series(30001, 45000) i;
SELECT FROM xmhash_index_merge('clustered_code');
SELECT segments FROM xmhash_index_stats('clustered_code');
SELECT pg_temp.all_alike('clustered');
-- After a VACUUM that leaves a third, on pages less full, and one that writes the segment anew.
DELETE FROM clustered WHERE id % 3 = 0;
VACUUM ANALYZE clustered;
SELECT pg_temp.all_alike('clustered');
DELETE FROM clustered WHERE id % 3 = 1;
VACUUM ANALYZE clustered;
SELECT pg_temp.all_alike('clustered');
SELECT xmhash_index_check('clustered_code', true), xmhash_index_check('uniform_code', true);

-- Band runs: small radii among uniform codes take a few of their pages.
DROP INDEX uniform_code;
CREATE INDEX uniform_code ON uniform USING xmhash (code) WITH (bands = 8);
SELECT pg_temp.all_alike('uniform');
SELECT expected < .3 * (SELECT data_pages FROM xmhash_index_stats('uniform_code')) AS few
FROM pg_temp.alike('uniform', 'WHERE hamming_within(code, $1, 8)');

-- Large outputs: visits are planned too, three of them at most, and the sort's files.
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;
SET effective_cache_size = '8kB';
SET work_mem = '64kB';
SELECT pg_temp.cost('SELECT id FROM uniform ORDER BY code <~> pg_temp.code(128, 1, -1)', true) / data_pages BETWEEN 2 AND 4 AS visits
FROM xmhash_index_stats('uniform_code');
SET work_mem = '64MB';
SELECT pg_temp.cost('SELECT id FROM uniform ORDER BY code <~> pg_temp.code(128, 1, -1)', true) / data_pages BETWEEN 2 AND 3 AS visits
FROM xmhash_index_stats('uniform_code');
RESET effective_cache_size;
RESET work_mem;
RESET enable_seqscan;
RESET enable_sort;
RESET enable_bitmapscan;

-- Plans where the costs are apart by a factor of five.
CREATE FUNCTION pg_temp.takes(statement text, off text[]) RETURNS TABLE (index text, others_by_far boolean) LANGUAGE plpgsql AS $$
DECLARE
  line text;
  best numeric := pg_temp.cost(statement);
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
    index := coalesce(index, substring(line FROM '\w+_(?:code|part)'));
  END LOOP;
  PERFORM set_config('enable_' || w, 'off', true) FROM unnest(off) AS w;
  others_by_far := pg_temp.cost(statement) > 5 * best;
  PERFORM set_config('enable_' || w, 'on', true) FROM unnest(off) AS w;
  RETURN NEXT;
END $$;
SELECT * FROM pg_temp.takes('SELECT id FROM clustered ORDER BY code <~> ' || quote_literal(pg_temp.code(64, 7, 3)::text) || ' LIMIT 5', '{indexscan}');
SELECT * FROM pg_temp.takes('SELECT id FROM clustered WHERE part = 4 ORDER BY code <~> ' || quote_literal(pg_temp.code(64, 7, 3)::text) || ' LIMIT 10', '{sort}');
SELECT * FROM pg_temp.takes('SELECT id FROM uniform WHERE part = 4 ORDER BY code <~> ' || quote_literal(pg_temp.code(128, 7, -1)::text) || ' LIMIT 10', '{sort}');

-- A radius search gives its rows in the order of the table: an index scan costs no more than a
-- bitmap's, but where work_mem makes it go through the table many times over.
CREATE FUNCTION pg_temp.scan(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT JSON) ' || statement INTO plan;
  RETURN plan->0->'Plan'->>'Node Type';
END $$;
SELECT work_mem, radius, pg_temp.scan(format('SELECT id FROM uniform WHERE hamming_within(code, %L, %s)', pg_temp.code(128, 7, -1), radius))
FROM (VALUES ('4MB', 8), ('4MB', 58), ('64kB', 8), ('64kB', 58)) AS c (work_mem, radius), set_config('work_mem', work_mem, true) AS w;

-- Wanted by a cursor, an EXISTS or a prepared statement: planned without error.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM clustered ORDER BY code <~> pg_temp.code(64, 7, 3);
ROLLBACK;
SELECT EXISTS (SELECT FROM clustered WHERE hamming_within(code, pg_temp.code(64, 7, 3), 8));
SET plan_cache_mode = force_generic_plan;
PREPARE nearest(bitcode, bigint) AS SELECT count(*) FROM (SELECT id FROM clustered ORDER BY code <~> $1 LIMIT $2) x;
EXECUTE nearest(pg_temp.code(64, 7, 3), 5);
PREPARE within(bitcode, int) AS SELECT count(*) >= 0 AS ok FROM clustered WHERE hamming_within(code, $1, $2);
EXECUTE within(pg_temp.code(64, 7, 3), 5);
RESET plan_cache_mode;
-- Partitions: the LIMIT is the whole table's.
CREATE TABLE parts (id int, code bitcode(64)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (20000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (20000) TO (100000);
INSERT INTO parts SELECT id, code FROM clustered;
CREATE INDEX ON parts USING xmhash (code);
ANALYZE parts;
SELECT count(*) FROM (SELECT id FROM parts ORDER BY code <~> pg_temp.code(64, 7, 3) LIMIT 10) x;
DROP TABLE clustered, uniform, parts;

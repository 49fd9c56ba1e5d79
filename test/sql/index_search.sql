--
-- Scans of the index: every answer is compared with the sequential scan's.
--
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;

-- The plan of a statement, without what newer servers say of nodes that are switched off.
CREATE FUNCTION pg_temp.plan(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || statement LOOP
    IF line !~ '^ *Disabled: true$' THEN RETURN NEXT line; END IF;
  END LOOP;
END $$;

-- Run a query by the index and without; plain distances in order, then rows in any order.
CREATE FUNCTION compare(query text, plan text DEFAULT 'Index Scan') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
  used boolean := false;
  by_index text[];
  by_table text[];
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
    set_config('enable_bitmapscan', CASE WHEN plan LIKE 'Bitmap%' THEN 'on' ELSE 'off' END, true),
    set_config('enable_indexscan', CASE WHEN plan LIKE 'Bitmap%' THEN 'off' ELSE 'on' END, true);
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    used := used OR line LIKE '%' || plan || '%';
  END LOOP;
  EXECUTE 'SELECT array_agg(r::text) FROM (' || query || ') r' INTO by_index;
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true),
    set_config('enable_bitmapscan', 'off', true), set_config('enable_indexscan', 'off', true);
  EXECUTE 'SELECT array_agg(r::text) FROM (' || query || ') r' INTO by_table;
  RETURN CASE WHEN NOT used THEN 'not by the index'
    WHEN by_index IS NOT DISTINCT FROM by_table THEN 'same'
    WHEN (SELECT array_agg(x ORDER BY x) FROM unnest(by_index) x) IS NOT DISTINCT FROM
         (SELECT array_agg(x ORDER BY x) FROM unnest(by_table) x) THEN 'same in another order'
    ELSE format('different: %s and %s rows', cardinality(by_index), cardinality(by_table)) END;
END $$;

-- A pseudo-random code, near one of 20 centres.
CREATE FUNCTION random_code(bits int, seed int) RETURNS bitcode LANGUAGE sql IMMUTABLE AS $$
  SELECT ((SELECT string_agg(
      CASE WHEN abs(hashint8(seed::bigint * 20011 + i) % 12) = 0
        THEN abs(hashint8(seed::bigint * 20021 + i) % 2)
        ELSE abs(hashint8(-(seed % 20) * 20023 - i) % 2) END::text, '' ORDER BY i)
    FROM generate_series(1, bits) i))::bitcode
$$;

-- Lengths, with NULLs in the index and in the pending list.
CREATE TABLE lengths (bits int, rows int);
INSERT INTO lengths VALUES (1, 500), (2, 500), (7, 500), (63, 800), (64, 8000), (65, 800), (128, 2000), (1000, 500);
CREATE FUNCTION compare_lengths() RETURNS TABLE (bits int, what text, result text) LANGUAGE plpgsql AS $$
DECLARE
  q text;
  r int;
BEGIN
  FOR compare_lengths.bits, r IN SELECT l.bits, rows FROM lengths l ORDER BY l.bits LOOP
    DROP TABLE IF EXISTS many;
    EXECUTE format('CREATE TABLE many (id int, code bitcode(%s))', bits);
    INSERT INTO many SELECT i, CASE WHEN i % 50 > 0 THEN random_code(compare_lengths.bits, i) END
      FROM generate_series(1, r) i;
    CREATE INDEX many_code ON many USING xmhash (code);
    INSERT INTO many SELECT i, CASE WHEN i % 50 > 0 THEN random_code(compare_lengths.bits, i) END
      FROM generate_series(r + 1, r + 100) i;
    ANALYZE many;
    FOR seed IN 1..3 LOOP
      q := quote_literal(random_code(bits, seed * 1000003)) || '::bitcode';
      what := 'LIMIT 10';
      result := compare(format('SELECT code <~> %s FROM many ORDER BY code <~> %1$s LIMIT 10', q));
      RETURN NEXT;
      what := 'no LIMIT, NULLs last';
      result := compare(format('SELECT code <~> %s FROM many ORDER BY code <~> %1$s', q));
      RETURN NEXT;
      what := 'ordered within a radius';
      result := compare(format('SELECT code <~> %s FROM many WHERE hamming_within(code, %1$s, %s) ORDER BY code <~> %1$s',
                               q, bits / 5));
      RETURN NEXT;
      what := 'radius';
      result := replace(compare(format('SELECT id FROM many WHERE hamming_within(%s, code, %s)', q, bits / 4)), ' in another order', '');
      RETURN NEXT;
      what := 'radius, bitmap';
      result := replace(compare(format('SELECT id FROM many WHERE hamming_within(code, %s, %s)', q, bits / 4),
                                'Bitmap Index Scan'), ' in another order', '');
      RETURN NEXT;
      what := 'equal';
      result := replace(compare(format('SELECT id FROM many WHERE code = %L::bitcode', (SELECT code FROM many WHERE id = seed * 7))), ' in another order', '');
      RETURN NEXT;
      what := 'two radii, ordered by a third';
      result := compare(format('SELECT code <~> %s FROM many WHERE hamming_within(code, %L, %s) AND hamming_within(%L, code, %3$s) ORDER BY code <~> %1$s',
                               q, (SELECT code FROM many WHERE id = seed), bits / 3, (SELECT code FROM many WHERE id = seed + 20)));
      RETURN NEXT;
    END LOOP;
    PERFORM xmhash_index_check('many_code', true);
  END LOOP;
END $$;
SELECT what, result, count(*) FROM compare_lengths() GROUP BY what, result ORDER BY what, result;

-- From here on: 64 bits, and one code in masses.
CREATE TABLE items (id int, kind int, code bitcode(64));
INSERT INTO items SELECT i, i % 10, CASE WHEN i % 100 > 0 THEN random_code(64, CASE WHEN i % 3 = 0 THEN 3 ELSE i END) END
  FROM generate_series(1, 6000) i;
CREATE INDEX items_code ON items USING xmhash (code);
ANALYZE items;
CREATE TABLE queries (id int, code bitcode(64), radius int);
INSERT INTO queries SELECT i, CASE WHEN i <> 5 THEN random_code(64, i * 31) END, CASE WHEN i <> 6 THEN i END FROM generate_series(1, 12) i;
ANALYZE queries;

-- Many equal codes: a few answers cost a page or two, the rest is there too.
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM items ORDER BY code <~> random_code(64, 3) LIMIT 5) t;
SELECT pages_read <= 2 AS few, strategy FROM xmhash_last_scan();
RESET enable_seqscan;
SELECT compare('SELECT code <~> random_code(64, 3) FROM items ORDER BY code <~> random_code(64, 3)');
SELECT compare('SELECT code <~> random_code(64, 3) FROM items ORDER BY code <~> random_code(64, 3) LIMIT 2500');
-- little memory, many batches
SET work_mem = '64kB';
SELECT compare('SELECT code <~> random_code(64, 77) FROM items ORDER BY code <~> random_code(64, 77)');
RESET work_mem;

-- Filters, joins
SELECT compare('SELECT code <~> random_code(64, 9) FROM items WHERE kind = 3 AND id % 97 = 0 ORDER BY code <~> random_code(64, 9) LIMIT 3');
SELECT compare('SELECT q.id, n.d FROM queries q, LATERAL (SELECT code <~> q.code AS d FROM items i ORDER BY i.code <~> q.code LIMIT 4) n');
SELECT compare('SELECT q.id, i.id AS item FROM queries q JOIN items i ON hamming_within(i.code, q.code, 6) ORDER BY 1, 2');
SELECT compare('SELECT q.id, i.id AS item FROM queries q JOIN items i ON hamming_within(q.code, i.code, q.radius) ORDER BY 1, 2');
SELECT compare('SELECT q.id, i.id AS item FROM queries q JOIN items i ON i.code = q.code ORDER BY 1, 2');
SELECT compare('SELECT count(*) FROM items a JOIN items b ON hamming_within(a.code, b.code, 2) WHERE b.id < 50');

-- NULL queries and keys; more than one order; equality with other lengths
SELECT compare('SELECT count(*) FROM items', 'Index Scan');
SELECT strategy FROM xmhash_last_scan();
SELECT compare('SELECT count(*) FROM (SELECT id, code <~> (SELECT code FROM queries WHERE id = 5) AS d FROM items ORDER BY code <~> (SELECT code FROM queries WHERE id = 5)) t WHERE d IS NULL');
SELECT compare('SELECT id FROM items WHERE hamming_within(code, (SELECT code FROM queries WHERE id = 5), 3)');
SELECT compare('SELECT id FROM items WHERE hamming_within(code, (SELECT code FROM queries WHERE id = 6), (SELECT radius FROM queries WHERE id = 6))');
SELECT compare('SELECT id FROM items WHERE hamming_within(code, random_code(64, 1), -1)');
SELECT strategy FROM xmhash_last_scan();
SELECT compare('SELECT count(*) FROM items WHERE hamming_within(code, random_code(64, 1), 2147483647)');
SELECT compare('SELECT code <~> random_code(64, 8) AS a, code <~> random_code(64, 9) AS b FROM items ORDER BY code <~> random_code(64, 8), code <~> random_code(64, 9) LIMIT 200');
SELECT compare('SELECT code <~> random_code(64, 8) AS a, code <~> NULL::bitcode AS b FROM items ORDER BY code <~> random_code(64, 8), code <~> (SELECT code FROM queries WHERE id = 5) LIMIT 20');
SELECT compare('SELECT id FROM items WHERE code = B''0101''::bitcode');
\set VERBOSITY sqlstate
SET enable_seqscan = off;
SELECT id FROM items ORDER BY code <~> B'0101' LIMIT 1;
SELECT id FROM items WHERE hamming_within(code, B'0101', 1);
\set VERBOSITY default

-- Volatile arguments and the column itself are no index condition.
SELECT pg_temp.plan('SELECT id FROM items WHERE hamming_within(code, random_code(64, 1), (random() * 0)::int)');
SELECT pg_temp.plan('SELECT id FROM items WHERE hamming_within(code, code, 1)');
RESET enable_seqscan;

-- Prepared statements: custom and generic plans
PREPARE near(bitcode, int) AS SELECT code <~> $1 AS d FROM items WHERE hamming_within(code, $1, $2) ORDER BY code <~> $1;
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS off) EXECUTE near(random_code(64, 1), 4);
CREATE TEMP TABLE generic AS EXECUTE near(random_code(64, 1), 14);
SET plan_cache_mode = force_custom_plan;
CREATE TEMP TABLE custom AS EXECUTE near(random_code(64, 1), 14);
RESET plan_cache_mode;
RESET enable_seqscan;
SELECT (SELECT count(*) FROM generic) > 0 AS some,
  (SELECT array_agg(d) FROM generic) = (SELECT array_agg(d) FROM custom) AS same,
  (SELECT count(*) FROM generic) = (SELECT count(*) FROM items WHERE (code <~> random_code(64, 1)) <= 14) AS complete;

-- Cursors: forwards, back, to the end, held over a commit
SET enable_seqscan = off;
BEGIN;
DECLARE near SCROLL CURSOR WITH HOLD FOR
  SELECT code <~> random_code(64, 5) AS d FROM items ORDER BY code <~> random_code(64, 5);
FETCH 3 FROM near;
FETCH BACKWARD 1 FROM near;
MOVE ABSOLUTE 5900 IN near;
FETCH 1 FROM near;
INSERT INTO items SELECT 10000 + i, 0, random_code(64, 5) FROM generate_series(1, 700) i;
MOVE ABSOLUTE 0 IN near;
COMMIT;
FETCH 3 FROM near;
MOVE ALL IN near;
CLOSE near;
-- what the cursor's own transaction adds is not in it, while merges go on
BEGIN;
DECLARE near CURSOR FOR SELECT id FROM items WHERE id > 10000 ORDER BY code <~> random_code(64, 5);
MOVE 1 IN near;
INSERT INTO items SELECT 20000 + i, 0, random_code(64, 5) FROM generate_series(1, 5000) i;
MOVE ALL IN near;
COMMIT;
SELECT compare('SELECT code <~> random_code(64, 5) FROM items ORDER BY code <~> random_code(64, 5)');
SELECT xmhash_index_check('items_code', true);
RESET enable_seqscan;

-- Partial and expression indexes; a scan without any key
CREATE INDEX items_partial ON items USING xmhash (code) WHERE kind = 7;
CREATE INDEX items_expression ON items USING xmhash ((~ code));
DROP INDEX items_code;
ANALYZE items;
SELECT compare('SELECT code <~> random_code(64, 5) FROM items WHERE kind = 7 ORDER BY code <~> random_code(64, 5)', 'items_partial');
SELECT replace(compare('SELECT id FROM items WHERE kind = 7', 'items_partial'), ' in another order', '');
SELECT compare('SELECT (~ code) <~> random_code(64, 5) FROM items ORDER BY (~ code) <~> random_code(64, 5) LIMIT 50', 'items_expression');

-- Rebuilt in place: ids of segments start over, caches must notice
BEGIN;
CREATE TABLE fresh (id int, code bitcode);
CREATE INDEX fresh_code ON fresh USING xmhash (code);
INSERT INTO fresh SELECT i, random_code(64, i) FROM generate_series(1, 3000) i;
SELECT xmhash_index_merge('fresh_code') > 0 AS merged;
SELECT compare('SELECT code <~> random_code(64, 1) FROM fresh ORDER BY code <~> random_code(64, 1)');
TRUNCATE fresh;
SELECT compare('SELECT code <~> random_code(64, 1) FROM fresh ORDER BY code <~> random_code(64, 1)');
-- another length now
INSERT INTO fresh SELECT i, random_code(96, i) FROM generate_series(1, 2000) i;
SELECT xmhash_index_merge('fresh_code') > 0 AS merged;
SELECT compare('SELECT code <~> random_code(96, 1) FROM fresh ORDER BY code <~> random_code(96, 1)');
COMMIT;
CREATE TEMP TABLE shortlived (id int, code bitcode(64)) ON COMMIT DELETE ROWS;
CREATE INDEX shortlived_code ON shortlived USING xmhash (code);
BEGIN;
INSERT INTO shortlived SELECT i, random_code(64, i) FROM generate_series(1, 2000) i;
SELECT xmhash_index_merge('shortlived_code') > 0 AS merged;
SELECT compare('SELECT code <~> random_code(64, 1) FROM shortlived ORDER BY code <~> random_code(64, 1)');
COMMIT;
BEGIN;
INSERT INTO shortlived SELECT i, random_code(64, -i) FROM generate_series(1, 2500) i;
SELECT xmhash_index_merge('shortlived_code') > 0 AS merged;
SELECT compare('SELECT code <~> random_code(64, 1) FROM shortlived ORDER BY code <~> random_code(64, 1)');
COMMIT;

-- Exclusion constraint on equality
CREATE TABLE unique_codes (id int, code bitcode(64), EXCLUDE USING xmhash (code WITH =));
INSERT INTO unique_codes SELECT i, random_code(64, i * 20) FROM generate_series(1, 300) i ON CONFLICT DO NOTHING;
SELECT count(*) = count(DISTINCT code) AND count(*) > 100 AS excluded FROM unique_codes;
\set VERBOSITY sqlstate
INSERT INTO unique_codes SELECT 0, code FROM unique_codes LIMIT 1;
\set VERBOSITY default
DELETE FROM unique_codes WHERE id = 1;
INSERT INTO unique_codes VALUES (1, random_code(64, 20));

-- Empty tables, one row, NULLs alone
CREATE TABLE small (id int, code bitcode(8));
CREATE INDEX small_code ON small USING xmhash (code);
SELECT compare('SELECT id FROM small ORDER BY code <~> B''00000000''');
INSERT INTO small VALUES (1, NULL);
SELECT compare('SELECT id FROM small ORDER BY code <~> B''00000000''');
SELECT compare('SELECT id FROM small WHERE hamming_within(code, B''00000000'', 8)');
INSERT INTO small VALUES (2, B'00000001');
SELECT compare('SELECT id FROM small ORDER BY code <~> B''00000000''');
REINDEX INDEX small_code;
SELECT compare('SELECT id FROM small ORDER BY code <~> B''00000000''');
SELECT compare('SELECT id FROM small WHERE code = B''00000001''');

-- Partitions
CREATE TABLE parts (id int, code bitcode(64)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (3000);
CREATE INDEX parts_code ON parts USING xmhash (code);
INSERT INTO parts SELECT i, random_code(64, i) FROM generate_series(1, 2999) i;
SELECT compare('SELECT code <~> random_code(64, 4) FROM parts ORDER BY code <~> random_code(64, 4) LIMIT 100');

-- The planner, by its own choice
CREATE TABLE chosen (id int, code bitcode(64));
INSERT INTO chosen SELECT i, random_code(64, i) FROM generate_series(1, 5000) i;
CREATE INDEX chosen_code ON chosen USING xmhash (code);
ANALYZE chosen;
EXPLAIN (COSTS off) SELECT id FROM chosen ORDER BY code <~> 'x0123456789abcdef' LIMIT 10;
EXPLAIN (COSTS off) SELECT count(*) FROM chosen WHERE hamming_within(code, 'x0123456789abcdef', 3);
EXPLAIN (COSTS off) SELECT count(*) FROM chosen WHERE hamming_within(code, 'x0123456789abcdef', 40);
EXPLAIN (COSTS off) SELECT id FROM chosen ORDER BY id;
DELETE FROM chosen WHERE id > 100;
VACUUM FULL chosen;
ANALYZE chosen;
EXPLAIN (COSTS off) SELECT id FROM chosen ORDER BY code <~> 'x0123456789abcdef' LIMIT 10;

-- The ball
SELECT '(0101,3)'::hamming_ball, hamming_ball(B'01', -2), B'0111'::bitcode <@ hamming_ball(B'0000', 3), B'0111'::bitcode <@ '(0000,2)';
SELECT '0101'::hamming_ball;
SELECT B'01'::bitcode <@ hamming_ball(B'011', 1);
DROP TABLE many, items, queries, fresh, unique_codes, small, parts, chosen, lengths;
DROP FUNCTION compare, random_code, compare_lengths;

-- A radius search of which only a few rows are wanted does not look for all of them.
CREATE TABLE index_few AS SELECT i AS id, ('x' || left(md5(i::text), 16))::bitcode(64) AS code FROM generate_series(1, 20000) i;
CREATE INDEX index_few_code ON index_few USING xmhash (code);
ANALYZE index_few;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) FROM (SELECT 1 FROM index_few WHERE hamming_within(code, 'x0123456789ABCDEF', 20) LIMIT 3) few;
SELECT pages_read < data_pages / 3 AS few_pages FROM xmhash_last_scan();
SELECT count(*) > 10 AS more FROM index_few WHERE hamming_within(code, 'x0123456789ABCDEF', 20);
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP TABLE index_few;

-- hamming_within and <@ on codes of different lengths, in every plan, under row security, and where planning knows better.
SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text; detail text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''));
END $$;
-- The answer of a query in each plan that it can be made to take, and the plans.
CREATE FUNCTION answers(query text, nodes text[] DEFAULT '{Seq Scan,Index Scan,Bitmap Heap Scan}')
RETURNS TABLE (node text, used boolean, answer text) LANGUAGE plpgsql AS $$
DECLARE
  line text;
  by_code boolean;
BEGIN
  FOREACH node IN ARRAY nodes LOOP
    PERFORM set_config('enable_seqscan', (node = 'Seq Scan')::text, true), set_config('enable_indexscan', (node = 'Index Scan')::text, true),
      set_config('enable_bitmapscan', (node = 'Bitmap Heap Scan')::text, true), set_config('enable_material', 'off', true),
      set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);
    used := false;
    by_code := node = 'Seq Scan';
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
      used := used OR line ~ node;
      by_code := by_code OR line ~ 'Index Cond: .*<@';
    END LOOP;
    used := used AND by_code;
    EXECUTE query INTO answer;
    RETURN NEXT;
  END LOOP;
END $$;

-- Lengths mixed in one column, each kind with an index of its own.
CREATE TABLE fingerprint (id int, algorithm text, hash bitcode);
INSERT INTO fingerprint SELECT i, CASE WHEN i % 2 = 0 THEN 'phash' ELSE 'dhash' END,
  CASE WHEN i % 100 = 0 THEN NULL WHEN i % 2 = 0 THEN ('x' || left(md5((i / 4)::text), 16))::bitcode ELSE ('x' || md5((i / 4)::text))::bitcode END
  FROM generate_series(1, 3000) i;
CREATE INDEX ON fingerprint USING xmhash (hash) WHERE algorithm = 'phash';
CREATE INDEX ON fingerprint USING xmhash (hash) WHERE algorithm = 'dhash';
CREATE INDEX fingerprint_algorithm ON fingerprint (algorithm);
ANALYZE fingerprint;
SELECT q, (answers(format($$SELECT count(*) || ' ' || coalesce(sum(id), 0) FROM fingerprint WHERE %s$$, q))).* FROM (VALUES
  (1, $$algorithm = 'phash' AND hamming_within(hash, 'xc4ca4238a0b92382', 20)$$),
  (2, $$hamming_within('xc4ca4238a0b92382', hash, 20) AND algorithm = 'phash'$$),
  (3, $$algorithm = 'dhash' AND hamming_within(hash, 'xc4ca4238a0b923820dcc509a6f75849b', 50)$$),
  -- another length: no rows, and no error
  (4, $$algorithm = 'dhash' AND hamming_within(hash, 'xc4ca4238a0b92382', 2147483647)$$),
  (5, $$algorithm = 'phash' AND hash <@ hamming_ball('x0', 2147483647)$$),
  (6, $$algorithm = 'phash' AND hash <@ hamming_ball('xc4ca4238a0b92382', 20)$$),
  (7, $$algorithm = 'phash' AND hamming_within(hash, 'xc4ca4238a0b92382', -1)$$),
  (8, $$algorithm = 'phash' AND hamming_within(hash, 'xc4ca4238a0b92382', -2147483648)$$),
  (9, $$algorithm = 'phash' AND hamming_within(hash, NULL, 3)$$)) v(n, q) ORDER BY n, node;
SELECT hamming_within('0101', '01', 0), hamming_within('0101', '01', 2147483647), hamming_within('0101000', '01010000', 64), hamming_within('01', '0101', -1),
  B'01'::bitcode <@ hamming_ball('011', 3), B'01'::bitcode <@ hamming_ball('01', -1), hamming_within('01', NULL, 1) AS null;

-- Joins: queries of either length, and of none of them.
CREATE TABLE wanted (id int, code bitcode, radius int);
INSERT INTO wanted SELECT i, hash, i % 30 FROM (SELECT row_number() OVER (ORDER BY id) AS i, hash FROM fingerprint WHERE id % 60 < 2) f;
INSERT INTO wanted VALUES (1000, '0101', 2147483647), (1001, NULL, 3), (1002, repeat('01', 8192)::bitcode, 20000);
ANALYZE wanted;
SELECT (answers($$SELECT count(*) || ' ' || sum(f.id * w.id) FROM wanted w JOIN fingerprint f ON hamming_within(f.hash, w.code, w.radius) WHERE f.algorithm = 'phash'$$)).*;
SELECT (answers($$SELECT count(*) || ' ' || sum(f.id * w.id) FROM wanted w JOIN fingerprint f ON hamming_within(w.code, f.hash, 10) WHERE f.algorithm = 'dhash'$$)).*;
SELECT count(*) > 50 AS pairs FROM wanted w JOIN fingerprint f ON hamming_within(f.hash, w.code, w.radius);

-- An operator that may fail stays behind what is cheaper, and so does hamming_within.
CREATE TABLE cheap (id int, kind int, code bitcode);
INSERT INTO cheap SELECT i, i % 3, CASE WHEN i % 3 = 0 THEN '0101' ELSE '010101' END::bitcode FROM generate_series(1, 30) i;
SELECT count(*) FROM cheap WHERE code <~> '0101' < 1 AND kind = 0;
CREATE FUNCTION pg_temp.filter(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line ~ 'Filter:' THEN RETURN regexp_replace(line, '^ *', ''); END IF;
  END LOOP;
END $$;
SELECT pg_temp.filter($$SELECT FROM cheap WHERE hamming_within(code, '0101', 1) AND kind = 0$$);
SELECT pg_temp.filter($$SELECT FROM cheap WHERE code <~> '0101' < 1 AND kind = 0$$);
SELECT proname, procost, proleakproof FROM pg_proc WHERE oid IN ('hamming_within(bitcode,bitcode,integer)'::regprocedure, 'bitcode_in_ball'::regproc, 'hamming_distance(bitcode,bitcode)'::regprocedure) ORDER BY 1;

-- Where the column's length is declared, a constant of another length is a mistake.
CREATE TABLE declared (id int, code bitcode(16), bits bit(16), other bitcode);
CREATE TABLE declared_32 (id int, code bitcode(32));
INSERT INTO declared VALUES (1, 'xCAFE', x'CAFE', 'x0');
CREATE INDEX ON declared USING xmhash (code);
CREATE VIEW both_lengths AS SELECT 'a' AS kind, id, code FROM declared UNION ALL SELECT 'b', id, code FROM declared_32;
CREATE VIEW both_distinct AS SELECT 'a' AS kind, id, code FROM declared UNION SELECT 'b', id, code FROM declared_32;
CREATE VIEW both_limited AS SELECT 'a' AS kind, id, code FROM declared UNION ALL (SELECT 'b', d.id, d.code FROM declared_32 d, cheap c WHERE c.id = d.id);
SELECT pg_temp.failure('SELECT id FROM ' || q) FROM (VALUES
  (1, $$declared WHERE hamming_within(code, 'xCA', 3)$$),
  (2, $$declared AS d WHERE hamming_within('xCAFECAFE', d.code, 3)$$),
  (3, $$declared WHERE code <@ hamming_ball('xCA', 3)$$),
  (4, $$declared WHERE hamming_within(bits::bitcode, 'xCA', 3)$$),
  (5, $$declared WHERE hamming_within(code || code, 'xCA', 3)$$),
  (6, $$declared WHERE hamming_within((code || code)::bitcode(32), 'xCA', 3)$$),
  (7, $$declared WHERE hamming_within(other, 'xCA', 3)$$),
  (8, $$declared WHERE hamming_within(code, 'xCAFF', 3)$$),
  (9, $$declared WHERE id IN (SELECT id FROM declared_32 WHERE hamming_within(code, 'xCA', 3))$$),
  (10, $$both_lengths WHERE kind = 'a' AND hamming_within(code, 'xCAFE', 3)$$),
  (11, $$both_distinct WHERE kind = 'a' AND hamming_within(code, 'xCAFE', 3)$$),
  (12, $$both_limited WHERE kind = 'a' AND hamming_within(code, 'xCAFE', 3)$$),
  (13, $$declared WHERE CASE WHEN length('xCA'::bitcode) = 16 THEN hamming_within(code, 'xCA', 3) END$$),
  (14, $$declared WHERE hamming_within(code, NULL, 3) OR hamming_within(code, (SELECT '01'::bitcode OFFSET 0), 3)$$)) v(n, q) ORDER BY n;
-- nor is it one in a constraint, an index or a default of the table's own
ALTER TABLE declared ADD CHECK (NOT hamming_within(code, 'xCA', 3));
CREATE INDEX ON declared (id) WHERE hamming_within(code, 'xCA', 3);
SELECT count(*) FROM declared WHERE id = 1;
SET constraint_exclusion = on;
SELECT count(*) FROM declared WHERE id = 1;
RESET constraint_exclusion;
-- a parameter that only execution knows finds nothing
PREPARE near(bitcode) AS SELECT id FROM declared WHERE hamming_within(code, $1, 3);
SET plan_cache_mode = force_generic_plan;
EXECUTE near('xCAFF');
EXECUTE near('xCA');
SET enable_seqscan = off;
EXECUTE near('xCA');
RESET enable_seqscan;
SET plan_cache_mode = force_custom_plan;
SELECT pg_temp.failure($$EXECUTE near('xCA')$$);
RESET plan_cache_mode;
DEALLOCATE near;

-- Row security: the index is used, answers are right, and what is hidden stays hidden.
CREATE ROLE regress_xmhash_reader;
CREATE TABLE guarded (id int, owner name, code bitcode(64));
INSERT INTO guarded SELECT i, CASE WHEN i % 2 = 0 THEN 'regress_xmhash_reader' ELSE 'somebody' END, ('x' || left(md5((i / 8)::text), 16))::bitcode FROM generate_series(1, 4000) i;
CREATE INDEX ON guarded USING xmhash (code);
ANALYZE guarded;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded USING (owner = current_user);
CREATE VIEW barrier WITH (security_barrier) AS SELECT id, code FROM guarded WHERE owner = 'regress_xmhash_reader';
CREATE FUNCTION told(code bitcode) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
  INSERT INTO told_of VALUES (code);
  RETURN true;
END $$;
CREATE TABLE told_of (code bitcode);
GRANT SELECT ON guarded, barrier, wanted TO regress_xmhash_reader;
GRANT SELECT, INSERT, DELETE ON told_of TO regress_xmhash_reader;
GRANT EXECUTE ON FUNCTION answers(text, text[]) TO regress_xmhash_reader;
SET ROLE regress_xmhash_reader;
SELECT (answers($$SELECT count(*) || ' ' || sum(id) FROM guarded WHERE hamming_within(code, 'xc4ca4238a0b92382', 20)$$)).*;
SELECT (answers($$SELECT count(*) || ' ' || sum(id) FROM barrier WHERE hamming_within(code, 'xc4ca4238a0b92382', 20)$$)).*;
SELECT (answers($$SELECT count(*) || ' ' || sum(id) FROM barrier WHERE code <@ '(x0123456789abcdef,5)'::hamming_ball OR code <@ hamming_ball((SELECT 'xc4ca4238a0b92382'::bitcode), 20)$$, '{Seq Scan}')).*;
SELECT (answers($$SELECT count(*) || ' ' || sum(g.id) FROM wanted w JOIN guarded g ON hamming_within(g.code, w.code, w.radius)$$)).*;
-- what may leak comes after the policy, wherever it is written and however cheap it is said to be
SELECT count(*) FROM guarded WHERE told(code) AND hamming_within(code, 'xc4ca4238a0b92382', 20);
SELECT count(*) FROM barrier WHERE told(code) AND hamming_within(code, 'xc4ca4238a0b92382', 20);
SET enable_seqscan = off;
SELECT count(*) FROM guarded WHERE told(code) AND hamming_within(code, 'xc4ca4238a0b92382', 20);
SELECT count(*) FROM barrier WHERE hamming_within(code, 'xc4ca4238a0b92382', 20) AND told(code);
RESET enable_seqscan;
RESET ROLE;
SELECT count(*) > 0 AS told, count(*) FILTER (WHERE NOT EXISTS (SELECT FROM guarded g WHERE g.code = t.code AND owner = 'regress_xmhash_reader')) AS hidden FROM told_of t;
DROP TABLE guarded CASCADE;
DROP TABLE told_of, fingerprint, wanted, declared, declared_32, cheap CASCADE;
DROP FUNCTION told, answers;
DROP ROLE regress_xmhash_reader;

-- Expressions that call our functions, compiled just in time; where the server has no JIT, interpreted.
SET client_min_messages = warning;
SET xmhash.progress = off;
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
SET max_parallel_workers_per_gather = 0;

CREATE FUNCTION pg_temp.code(i integer) RETURNS bitcode LANGUAGE sql IMMUTABLE AS
  $$ SELECT ('x' || md5(i::text))::bit(96)::bitcode $$;
CREATE TABLE compiled AS
  SELECT i AS id, CASE WHEN i % 50 <> 0 THEN pg_temp.code(i % 300) END AS code,
         CASE WHEN i % 70 <> 0 THEN pg_temp.code(i % 11) END AS other,
         ARRAY[sin(i), cos(i), i % 7]::real[] AS image
  FROM generate_series(1, 2000) AS i;
CREATE INDEX ON compiled USING xmhash (code);
ANALYZE compiled;

-- Is a statement's plan compiled, with functions inlined?  True, too, where there is nothing to compile with.
CREATE FUNCTION pg_temp.is_compiled(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, FORMAT json) ' || statement INTO plan;
  RETURN NOT pg_jit_available()
    OR ((plan -> 0 -> 'JIT' ->> 'Functions')::integer > 0 AND (plan -> 0 -> 'JIT' -> 'Options' ->> 'Inlining')::boolean);
END $$;

-- A statement compiled and interpreted: the same.
CREATE FUNCTION pg_temp.same(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  by_machine text;
  by_interpreter text;
BEGIN
  statement := 'SELECT string_agg(x::text, E''\n'') FROM (' || statement || ') AS x';
  IF NOT pg_temp.is_compiled(statement) THEN RETURN 'not compiled'; END IF;
  EXECUTE statement INTO by_machine;
  PERFORM set_config('jit', 'off', true);
  EXECUTE statement INTO by_interpreter;
  PERFORM set_config('jit', 'on', true);
  RETURN CASE WHEN by_machine IS NULL THEN 'nothing' WHEN by_machine = by_interpreter THEN 'same'
    ELSE format('different: %s, interpreted %s', by_machine, by_interpreter) END;
END $$;

SELECT n, pg_temp.same(statement) FROM unnest(ARRAY[
  'SELECT id, code <~> other, hamming_distance(code, other), hamming_within(code, other, 45) FROM compiled WHERE id % 3 = 0',
  'SELECT id, code = other, code < other, code # other, code & other, code | other, ~ code, code || other, length(code) FROM compiled',
  'SELECT id, code::text, code::bit varying, substring(code, 5, 20), code::text::bitcode(96) FROM compiled WHERE code > other',
  'SELECT code, count(*), sum(code <~> other) FROM compiled GROUP BY code ORDER BY code',
  'SELECT id % 5, bit_majority(code), bit_majority(other) FROM compiled GROUP BY 1 ORDER BY 1',
  'SELECT a.id, count(*) FROM compiled AS a JOIN compiled AS b ON a.code = b.code WHERE a.id < 40 GROUP BY 1 ORDER BY 1',
  'SELECT id, code <~> ''x0123456789abcdef01234567'' FROM compiled ORDER BY code <~> ''x0123456789abcdef01234567'', id LIMIT 50']) WITH ORDINALITY AS s(statement, n);

-- through the index: the key of an index scan, the recheck of a bitmap
SET enable_seqscan = off;
SET enable_sort = off;
SELECT pg_temp.same('SELECT code <~> other FROM compiled WHERE hamming_within(code, pg_temp.code(7), 40)'),
       pg_temp.same('SELECT a.id, x.d FROM compiled AS a, LATERAL (SELECT b.code <~> a.other AS d FROM compiled AS b ORDER BY b.code <~> a.other LIMIT 2) AS x WHERE a.id < 20');

-- an error that compiled code raises
\set VERBOSITY sqlstate
SELECT sum(code <~> 'xff') FROM compiled;
\set VERBOSITY default
-- a type modifier, a model's codes
CREATE TABLE narrowed (code bitcode(96));
INSERT INTO narrowed SELECT code FROM compiled;
SELECT count(*), count(code) FROM narrowed;
CALL xmhash_train('compiled_model', 'compiled', 'image', 'image', 8, options => '{"epochs": 1}');
SELECT pg_temp.same('SELECT id, xmhash_encode_image(''compiled_model'', image) FROM compiled WHERE id < 100');
DROP TABLE compiled, narrowed, compiled_model;

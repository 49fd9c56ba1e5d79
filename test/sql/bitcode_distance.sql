-- The Hamming distance: <~>, hamming_distance, hamming_within.
-- What a statement fails with: SQLSTATE, message, detail, hint.
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text; detail text; hint text;
BEGIN
  EXECUTE statement;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END $$;

SELECT '0101'::bitcode <~> '0110', hamming_distance('0101'::bitcode, '0110'), pg_typeof('0101'::bitcode <~> '0110');
SELECT 'xCAFE'::bitcode <~> 'xCAFE', 'xFFFF'::bitcode <~> 'x0000', '1'::bitcode <~> '0';
SELECT repeat('1', 16384)::bitcode <~> repeat('0', 16384)::bitcode;

-- bit by bit, for all lengths 1 to 600, either way round, and the triangle inequality
CREATE TABLE distance_codes AS
SELECT n, left(a, n)::bitcode AS a, left(b, n)::bitcode AS b, left(c, n)::bitcode AS c
FROM generate_series(1, 600) n, LATERAL (SELECT
  string_agg(('x' || md5(n || 'a' || i))::bit(128)::text, '') AS a,
  string_agg(('x' || md5(n || 'b' || i))::bit(128)::text, '') AS b,
  string_agg(('x' || md5(n || 'c' || i))::bit(128)::text, '') AS c FROM generate_series(1, 5) i) parts;
SELECT count(*), count(*) FILTER (WHERE a <~> b <> d) AS wrong, count(*) FILTER (WHERE a <~> b <> b <~> a) AS asymmetric,
  count(*) FILTER (WHERE a <~> b <> bit_count(a # b)) AS unlike_bit_count,
  count(*) FILTER (WHERE (a <~> a) <> 0 OR (a <~> ~ a) <> n) AS bounds, count(*) FILTER (WHERE a <~> c > (a <~> b) + (b <~> c)) AS triangle
FROM distance_codes, LATERAL (SELECT count(*) FILTER (WHERE substring(a::text, i, 1) <> substring(b::text, i, 1)) AS d FROM generate_series(1, n) i) counted;

-- within a radius
SELECT count(*), count(*) FILTER (WHERE hamming_within(a, b, r) IS DISTINCT FROM (a <~> b <= r)) AS wrong
FROM distance_codes, generate_series(-1, 601, 43) r;
SELECT hamming_within('0101', '0110', 1), hamming_within('0101', '0110', 2), hamming_within('0101', '0101', 0),
  hamming_within('0101', '0101', -1), hamming_within('0101', '1010', 2147483647), hamming_within('0101', '0101', -2147483648),
  hamming_within(radius => 2, a => '0101', b => B'0110');

-- nearest first
SELECT id, code, code <~> 'x0F' AS distance
FROM (VALUES (1, 'x0F'::bitcode), (2, 'xFF'), (3, 'x0E'), (4, NULL), (5, 'xF0')) v(id, code) ORDER BY code <~> 'x0F', id;

-- a distance of different lengths is an error, within a radius they are not; a NULL is neither
SELECT pg_temp.failure('SELECT ' || expression) FROM (VALUES
  (1, $$'0101'::bitcode <~> '01'$$), (2, $$hamming_distance('0101'::bitcode, '01010')$$),
  (3, $$'0101000'::bitcode <~> '01010000'$$)) v(n, expression) ORDER BY n;
SELECT ('01'::bitcode <~> NULL) IS NULL AND hamming_within('01', NULL, 1) IS NULL AND hamming_within('01', '01', NULL) IS NULL AS all_null;

-- as promised to the planner
SELECT proname, provolatile, proisstrict, proparallel, procost FROM pg_proc
WHERE proname IN ('hamming_distance', 'hamming_within') AND proargtypes[0] = 'bitcode'::regtype AND proargtypes[1] = 'bitcode'::regtype ORDER BY 1;
SELECT oprname, oprresult::regtype, oprcom::regoperator FROM pg_operator WHERE oprleft = 'bitcode'::regtype AND oprname = '<~>' ORDER BY oprright::regtype::text;
DROP TABLE distance_codes;

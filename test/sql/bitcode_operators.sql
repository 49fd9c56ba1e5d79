-- Bitwise operators and parts of codes: as core has them for bit, where the result is a code.
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

SELECT '0011'::bitcode & '0101', '0011'::bitcode | '0101', '0011'::bitcode # '0101', ~ '0011'::bitcode, '0011'::bitcode || '01';
SELECT '0011'::bitcode & 'x5', '0011' | '0101'::bitcode, '0011' # 'x5'::bitcode, '1' || '0011'::bitcode;
SELECT pg_typeof('0011'::bitcode & '0101'), pg_typeof(~ '0'::bitcode), pg_typeof('1' || '0011'::bitcode), pg_typeof(substring('01'::bitcode, 1));

-- the same results as core for all lengths 1 to 200
CREATE TABLE operands AS
SELECT n, left(('x' || md5(n::text) || md5((-n)::text))::bit(256)::text, n)::bit varying AS a,
  left(('x' || md5((n * n)::text) || md5((-n * n)::text))::bit(256)::text, n)::bit varying AS b FROM generate_series(1, 200) n;
SELECT count(*),
  count(*) FILTER (WHERE (a::bitcode & b::bitcode)::bit varying IS DISTINCT FROM (a::bit(200) & b::bit(200))::bit varying(200)
    AND n = 200) AS whole,
  count(*) FILTER (WHERE (a::bitcode & b::bitcode)::text IS DISTINCT FROM left((a::bit(200) & b::bit(200))::text, n)) AS conjunction,
  count(*) FILTER (WHERE (a::bitcode | b::bitcode)::text IS DISTINCT FROM left((a::bit(200) | b::bit(200))::text, n)) AS disjunction,
  count(*) FILTER (WHERE (a::bitcode # b::bitcode)::text IS DISTINCT FROM left((a::bit(200) # b::bit(200))::text, n)) AS exclusive,
  count(*) FILTER (WHERE (~ a::bitcode)::text IS DISTINCT FROM left((~ a::bit(200))::text, n)) AS negation,
  count(*) FILTER (WHERE length(a::bitcode) IS DISTINCT FROM n) AS length,
  count(*) FILTER (WHERE bit_count(a::bitcode) IS DISTINCT FROM bit_count(a::bit(200))) AS bit_count
FROM operands;
-- the padding stays zero: the results equal what their text reads back as
SELECT bool_and(~ a::bitcode = (~ a::bitcode)::text::bitcode AND ~ ~ a::bitcode = a::bitcode
  AND bitcode_send(~ a::bitcode) = bitcode_send((~ a::bitcode)::text::bitcode)) AS clean FROM operands;
SELECT count(*), count(*) FILTER (WHERE (x.a::bitcode || y.b::bitcode)::bit varying <> x.a || y.b
  OR bitcode_send(x.a::bitcode || y.b::bitcode) <> varbit_send(x.a || y.b)) AS different
FROM operands x, operands y WHERE x.n <= 70 AND y.n <= 70;
SELECT count(*), count(*) FILTER (WHERE substring(a::bitcode, i, k)::bit varying <> substring(a, i, k)
  OR bitcode_send(substring(a::bitcode, i, k)) <> varbit_send(substring(a, i, k))) AS different
FROM operands, generate_series(1, n) i, generate_series(1, n - i + 1) k WHERE n IN (1, 7, 8, 9, 63, 64, 65);
SELECT count(*), count(*) FILTER (WHERE substring(a::bitcode, i)::bit varying <> substring(a, i)) AS different
FROM operands, generate_series(1, n) i WHERE n IN (1, 7, 8, 9, 63, 64, 65);
SELECT count(*), count(*) FILTER (WHERE get_bit(a::bitcode, i) <> get_bit(a, i)) AS different
FROM operands, generate_series(0, n - 1) i;

-- parts beyond the ends are left out, as in SQL
SELECT substring('010111'::bitcode, 3, 2), substring('010111'::bitcode, -1, 4), substring('010111'::bitcode, 5, 100),
  substring('010111'::bitcode, 5), substring('010111'::bitcode, -5), substring('010111'::bitcode, 0, 2147483647),
  substring('010111'::bitcode, 2, 9223372036854775807), substring('010111'::bitcode, -9223372036854775808);
SELECT get_bit('0100'::bitcode, 1), get_bit('0100'::bitcode, 3);
SELECT length(repeat('1', 8191)::bitcode || repeat('0', 8193)::bitcode);

-- errors
SELECT pg_temp.failure('SELECT ' || expression) FROM (VALUES
  (1, $$'0101'::bitcode & '01'$$), (2, $$'0101'::bitcode | '01'$$), (3, $$'0101'::bitcode # '01'$$),
  (4, $$repeat('1', 16384)::bitcode || '0'$$),
  (5, $$get_bit('0100'::bitcode, 4)$$), (6, $$get_bit('0100'::bitcode, -1)$$), (7, $$get_bit('0100'::bitcode, 4294967296)$$),
  (8, $$substring('0101'::bitcode, 2, 0)$$), (9, $$substring('0101'::bitcode, 5)$$), (10, $$substring('0101'::bitcode, -5, 6)$$),
  (11, $$substring('0101'::bitcode, 2, -1)$$), (12, $$substring('0101'::bitcode, 9223372036854775807, 1)$$)) v(n, expression) ORDER BY n;
SELECT ('01'::bitcode & NULL) IS NULL AND (~ NULL::bitcode) IS NULL AND substring(NULL::bitcode, 1) IS NULL
  AND get_bit('01'::bitcode, NULL) IS NULL AS all_null;

-- with codes kept compressed and out of line
CREATE TABLE long_codes (code bitcode);
ALTER TABLE long_codes ALTER code SET STORAGE external;
INSERT INTO long_codes SELECT repeat(n::text, 16384)::bitcode FROM generate_series(0, 1) n;
ALTER TABLE long_codes ALTER code SET STORAGE extended;
INSERT INTO long_codes SELECT repeat(n::text, 16384)::bitcode FROM generate_series(0, 1) n;
SELECT length(code), bit_count(code), get_bit(code, 16383), substring(code, 16380), length(~ code), bit_count(code # ~ code), code = substring(code, 1)
FROM long_codes ORDER BY code;
DROP TABLE operands, long_codes;

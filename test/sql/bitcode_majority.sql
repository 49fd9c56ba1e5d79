-- bit_majority: the bitwise majority of a set of codes; ties give 0.
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

SELECT bit_majority(code) FROM (VALUES ('0011'::bitcode), ('0101'), ('0111')) v(code);
SELECT bit_majority(code) AS ties FROM (VALUES ('0011'::bitcode), ('0101')) v(code);
SELECT bit_majority(code) AS one FROM (VALUES ('0101'::bitcode), (NULL)) v(code);
SELECT bit_majority(code) IS NULL AS none FROM (VALUES (NULL::bitcode), (NULL)) v(code);
SELECT bit_majority(code) IS NULL AS empty FROM (SELECT '0'::bitcode AS code WHERE false) v;
SELECT bit_majority(bits::bitcode) AS of_bit, pg_typeof(bit_majority(bits::bitcode)) FROM (VALUES (B'0011'), (B'0111'), (B'1110')) v(bits);
SELECT bit_majority(DISTINCT code), bit_majority(code) FILTER (WHERE code <> '11') AS filtered FROM (VALUES ('11'::bitcode), ('11'), ('01'), ('00')) v(code);
SELECT pg_temp.failure($$SELECT bit_majority(code) FROM (VALUES (NULL::bitcode), ('0101'), ('01')) v(code)$$);

-- against a count bit by bit, in groups of 1 to 300 codes of different lengths
CREATE TABLE majority_codes (grp integer, code bitcode);
INSERT INTO majority_codes SELECT g, left(('x' || md5(g || '/' || i) || md5(i || '/' || g))::bit(256)::text, g * 7 % 256 + 1)::bitcode
FROM generate_series(1, 300, 13) g, generate_series(1, g) i;
INSERT INTO majority_codes SELECT g, NULL FROM generate_series(1, 300, 13) g;
CREATE FUNCTION pg_temp.slow_majority(codes bitcode[]) RETURNS bitcode LANGUAGE sql AS $$
  SELECT string_agg(CASE WHEN 2 * ones > total THEN '1' ELSE '0' END, '' ORDER BY i)::bitcode
  FROM (SELECT i, sum(get_bit(code, i)) AS ones, count(*) AS total
        FROM unnest(codes) code, generate_series(0, length(code) - 1) i WHERE code IS NOT NULL GROUP BY i) counted $$;
SELECT count(*) AS groups, count(*) FILTER (WHERE fast IS DISTINCT FROM slow) AS wrong, count(*) FILTER (WHERE bit_count(fast) = 0) AS all_zero
FROM (SELECT bit_majority(code) AS fast, pg_temp.slow_majority(array_agg(code)) AS slow FROM majority_codes GROUP BY grp) both_ways;
-- an even number: exactly half is a tie, one more is a majority
SELECT n, bit_majority(CASE WHEN i <= n / 2 THEN '1' ELSE '0' END::bitcode) AS half,
  bit_majority(CASE WHEN i <= n / 2 + 1 THEN '1' ELSE '0' END::bitcode) AS more
FROM unnest('{2,4,8,62,64,100,128,1000}'::integer[]) n, generate_series(1, n) i GROUP BY n ORDER BY n;
SELECT length(m), bit_count(m) FROM (SELECT bit_majority(repeat(i::text, 16384)::bitcode) AS m FROM unnest('{0,1,1}'::integer[]) i) long;

-- in a window whose frame moves, against a computation anew
CREATE TABLE majority_window AS SELECT i, CASE WHEN i % 11 > 0 THEN left(('x' || md5(i::text))::bit(128)::text, 70)::bitcode END AS code FROM generate_series(1, 300) i;
SELECT k, count(*), count(*) FILTER (WHERE moving IS DISTINCT FROM
  (SELECT bit_majority(code) FROM majority_window b WHERE b.i BETWEEN w.i - k AND w.i + k)) AS wrong
FROM (SELECT 0 AS k, i, bit_majority(code) OVER (ORDER BY i ROWS BETWEEN 0 PRECEDING AND 0 FOLLOWING) AS moving FROM majority_window
  UNION ALL SELECT 1, i, bit_majority(code) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) FROM majority_window
  UNION ALL SELECT 20, i, bit_majority(code) OVER (ORDER BY i ROWS BETWEEN 20 PRECEDING AND 20 FOLLOWING) FROM majority_window) w
GROUP BY k ORDER BY k;
-- a frame that empties takes codes of another length
SELECT i, bit_majority(code) OVER (ORDER BY i ROWS BETWEEN CURRENT ROW AND CURRENT ROW)
FROM (VALUES (1, '01'::bitcode), (2, '0110'), (3, NULL), (4, '1')) v(i, code);

-- in parallel, with partial states combined
CREATE TABLE majority_large AS
SELECT i % 3 AS grp, ('x' || md5(i::text))::bit(128)::bitcode & ('x' || repeat(md5((i % 3)::text), 1))::bit(128)::bitcode AS code FROM generate_series(1, 30000) i;
ALTER TABLE majority_large SET (parallel_workers = 2, autovacuum_enabled = off);
ANALYZE majority_large;
SELECT md5(string_agg(grp || ':' || m, ',' ORDER BY grp)) AS serial FROM (SELECT grp, bit_majority(code) AS m FROM majority_large GROUP BY grp) s \gset
SELECT bit_majority(code) AS serial_all FROM majority_large \gset
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT bit_majority(code) FROM majority_large;
SELECT bit_majority(code) = :'serial_all' AS same FROM majority_large;
SELECT md5(string_agg(grp || ':' || m, ',' ORDER BY grp)) = :'serial' AS same FROM (SELECT grp, bit_majority(code) AS m FROM majority_large GROUP BY grp) s;
-- partial states that are empty
SELECT bit_majority(code) IS NULL AS none FROM majority_large WHERE code = 'x00000000000000000000000000000000';
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- A state is a value, of a type that is none of the server's inner ones: it can be
-- stored, sent, and combined elsewhere.
SELECT t.typname, t.typtype, a.aggcombinefn FROM pg_aggregate a JOIN pg_type t ON t.oid = a.aggtranstype
WHERE a.aggfnoid = 'bit_majority(bitcode)'::regprocedure;
CREATE AGGREGATE pg_temp.partial(bitcode) (SFUNC = bitcode_majority_add, STYPE = bytea);
CREATE AGGREGATE pg_temp.combined(bytea) (SFUNC = bitcode_majority_combine, STYPE = bytea, FINALFUNC = bitcode_majority_result);
CREATE TABLE majority_states (grp integer, state bytea);
INSERT INTO majority_states SELECT grp, pg_temp.partial(code) FROM majority_codes GROUP BY grp, random() < 0.3;
INSERT INTO majority_states SELECT grp, pg_temp.partial(NULL) FROM majority_codes GROUP BY grp;
INSERT INTO majority_states SELECT grp, NULL FROM majority_codes GROUP BY grp;
SELECT count(*) AS groups, count(*) FILTER (WHERE far IS DISTINCT FROM near) AS wrong
FROM (SELECT grp, pg_temp.combined(state) AS far FROM majority_states GROUP BY grp) s
JOIN (SELECT grp, bit_majority(code) AS near FROM majority_codes GROUP BY grp) c USING (grp);
-- many of them, so that counts carry over, and stored compressed and out of line
SELECT count(*) AS states, pg_temp.combined(state) = :'serial_all' AS same
FROM (SELECT pg_temp.partial(code) AS state FROM majority_large GROUP BY left(code::text, 20)) s;
TRUNCATE majority_states;
INSERT INTO majority_states SELECT i, pg_temp.partial(repeat((i % 3 / 2)::text, 16384)::bitcode) FROM generate_series(1, 90) i, generate_series(1, i) GROUP BY i;
SELECT bit_count(pg_temp.combined(state)) AS zero, bit_count(pg_temp.combined(state) FILTER (WHERE grp % 3 < 2 AND grp < 5 OR grp % 3 = 2)) AS ones FROM majority_states;
-- the bits beyond the code's end, of a state that somebody has made up
SELECT bitcode_majority_result(set_byte(pg_temp.partial('0101'), 20, 255)) = '1111' AS nothing_beyond;
-- what is no state
SELECT pg_temp.failure($$SELECT bitcode_majority_result('')$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_result('\x584d414a')$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_result(set_byte(pg_temp.partial('0101'), 4, 255))$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_result(set_byte(pg_temp.partial('0101'), 8, 63))$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_result(set_byte(pg_temp.partial('0101'), 11, 255))$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_result(pg_temp.partial('0101') || '\x00')$$);
SELECT pg_temp.failure($$SELECT pg_temp.combined(state) FROM (SELECT pg_temp.partial('0101') UNION ALL SELECT '\x00') v(state)$$);
SELECT pg_temp.failure($$SELECT pg_temp.combined(state) FROM (SELECT pg_temp.partial(code::bitcode) FROM unnest('{01,0101}'::text[]) code GROUP BY code) v(state)$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_add(pg_temp.partial('0101'), '0101')$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_combine(NULL, pg_temp.partial('0101'))$$);
SELECT pg_temp.failure($$SELECT bitcode_majority_remove(pg_temp.partial('0101'), '0101')$$);
CREATE AGGREGATE pg_temp.begun(bitcode) (SFUNC = bitcode_majority_add, STYPE = bytea, INITCOND = '\x584d414a00');
SELECT pg_temp.failure($$SELECT pg_temp.begun('0101')$$);

-- more counts than there can be: a state of 63 planes whose bits are all 1
DO $$ BEGIN EXECUTE format('CREATE AGGREGATE pg_temp.full(bitcode) (SFUNC = bitcode_majority_add, STYPE = bytea, INITCOND = %L)',
  substr(pg_temp.partial('1'), 1, 8) || '\x3f000000'::bytea || substr(pg_temp.partial('1'), 13, 8) || decode(repeat('ff', 63 * 8), 'hex')); END $$;
SELECT pg_temp.failure($$SELECT pg_temp.full('1')$$);

DROP TABLE majority_codes, majority_window, majority_large, majority_states;

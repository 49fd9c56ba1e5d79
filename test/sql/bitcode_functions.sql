-- Functions, aggregates and casts of bitcode that bit has in core, balls as values, and other ways in.
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
-- hexadecimal as others write it, and blanks around
SELECT 'xCAFE'::bitcode = '0xCAFE' AND 'xCAFE'::bitcode = '\xCAFE' AND 'xCAFE'::bitcode = '0Xcafe' AND 'xCAFE'::bitcode = E' \t\n\\XcaFE\r\n ' AND '0101'::bitcode = ' 0101 ' AS same,
  '0'::bitcode, '00'::bitcode, ' 0 '::bitcode;
SELECT value, pg_temp.failure(format('SELECT %L::bitcode', value)) FROM (VALUES
  (1, '0x'), (2, '\x'), (3, '\0101'), (4, '00xCA'), (5, 'x CA'), (6, 'xCA FE'), (7, '01 01'), (8, ' '), (9, '  0x0G '), (10, '1xCA'), (11, '\\xCA'), (12, '\')) v(n, value) ORDER BY n;

-- numbers without a sign
SELECT n, n::bitcode AS code, n::bitcode::numeric = n AS round_trip FROM unnest('{0,1,9223372036854775807,9223372036854775808,18446744073709551615,12297829382473034410.000}'::numeric[]) n;
SELECT (-1)::bigint::bitcode::numeric, 18446744073709551615::numeric::bitcode::bigint, to_hex(3405691582::numeric::bitcode);
SELECT n, pg_temp.failure(format('SELECT %L::numeric::bitcode', n)) FROM unnest('{18446744073709551616,-1,-0.5,0.5,1e30,1e1000,18446744073709551615.1,NaN,Infinity,-Infinity}'::text[]) n;
CREATE TEMP TABLE numbers (code bitcode);
SELECT pg_temp.failure($$SELECT '01'::bitcode::numeric$$), pg_temp.failure($$INSERT INTO numbers SELECT 5::numeric$$);

-- the same as core for bits
CREATE TABLE functions_codes AS SELECT n, b::bitcode AS code, b FROM (SELECT n, left(('x' || md5(n::text) || md5((-n)::text))::bit(256)::text, 1 + n % 131)::bit varying AS b FROM generate_series(1, 400) n) bits;
SELECT count(*), count(*) FILTER (WHERE bit_length(code) <> bit_length(b)) AS bit_length, count(*) FILTER (WHERE octet_length(code) <> octet_length(b)) AS octet_length,
  count(*) FILTER (WHERE to_bin(code) <> b::text) AS to_bin, count(*) FILTER (WHERE bit_length(code) % 4 = 0 AND ('x' || to_hex(code))::bitcode <> code) AS to_hex,
  count(*) FILTER (WHERE (SELECT bool_or(set_bit(code, i, v)::bit varying <> set_bit(b, i, v)::bit varying OR bitcode_send(set_bit(code, i, v)) <> varbit_send(set_bit(b, i, v)::bit varying)) FROM generate_series(0, length(b) - 1) i, generate_series(0, 1) v)) AS set_bit
FROM functions_codes;
SELECT count(*), count(*) FILTER (WHERE core IS DISTINCT FROM ours::bit varying OR varbit_send(core) <> bitcode_send(ours)) AS different FROM (
  SELECT overlay(x.b, y.b, i)::bit varying AS core, overlay(x.code, y.code, i) AS ours FROM functions_codes x, functions_codes y, generate_series(1, 140, 3) i WHERE x.n < 60 AND y.n % 23 = 0
  UNION ALL SELECT overlay(x.b, y.b, i, l)::bit varying, overlay(x.code, y.code, i, l) FROM functions_codes x, functions_codes y, generate_series(1, 140, 7) i, generate_series(0, 140, 9) l WHERE x.n < 60 AND y.n % 23 = 0) o;
SELECT count(*), count(*) FILTER (WHERE position(y.b IN x.b) <> bit_position(y.code, x.code)) AS different, count(DISTINCT bit_position(y.code, x.code)) > 20 AS various
FROM functions_codes x, (SELECT substring(b FROM 1 FOR l)::bit varying AS b, substring(code, 1, l) AS code FROM functions_codes, generate_series(1, 12) l WHERE length(b) > 12
  UNION SELECT substring(b FROM 20)::bit varying, substring(code, 20) FROM functions_codes WHERE length(b) > 20) y;
SELECT bit_position('1', '0'), bit_position('0101', '01'), bit_position(repeat('1', 9000)::bitcode, repeat('1', 16384)::bitcode), bit_position(repeat('0', 8000)::bitcode || '1', repeat('0', 16383)::bitcode || '1');
SELECT count(*) AS groups, count(*) FILTER (WHERE a::bit varying <> core_a OR o::bit varying <> core_o OR x::bit varying <> core_x) AS different FROM (
  SELECT bit_and(code) AS a, bit_or(code) AS o, bit_xor(code) AS x, bit_and(b)::bit varying AS core_a, bit_or(b)::bit varying AS core_o, bit_xor(b)::bit varying AS core_x FROM functions_codes GROUP BY length(b)) g;
SELECT bit_and(code), bit_or(code) IS NULL AS null, bit_xor(DISTINCT code) FROM (VALUES (NULL::bitcode)) v(code);
SELECT bit_and(code), bit_or(code), bit_xor(code) FROM (VALUES ('0011'::bitcode), (NULL), ('0101')) v(code);
-- in parallel, with partial states combined
CREATE TABLE functions_large AS SELECT i % 3 AS grp, ('x' || md5(i::text))::bitcode AS code FROM generate_series(1, 20000) i;
ALTER TABLE functions_large SET (parallel_workers = 2, autovacuum_enabled = off);
ANALYZE functions_large;
SELECT bit_and(code) AS a, bit_or(code) AS o, bit_xor(code) AS x FROM functions_large \gset serial_
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION pg_temp.has_node(query text, node text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line ~ node THEN RETURN true; END IF;
  END LOOP;
  RETURN false;
END $$;
SELECT pg_temp.has_node('SELECT bit_and(code), bit_or(code), bit_xor(code) FROM functions_large', 'Partial Aggregate') AS partial;
SELECT bit_and(code) = :'serial_a' AND bit_or(code) = :'serial_o' AND bit_xor(code) = :'serial_x' AS same FROM functions_large;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

SELECT overlay('11111111'::bitcode, '000', 3), overlay('11111111'::bitcode, '000', 3, 0), overlay('11111111'::bitcode, '000', 20, 5), overlay('1'::bitcode, '0', 1, 9223372036854775807), overlay('1'::bitcode, '0', 9223372036854775807);
SELECT pg_temp.failure('SELECT ' || expression) FROM (VALUES
  (1, $$set_bit('01'::bitcode, 2, 1)$$), (2, $$set_bit('01'::bitcode, -1, 1)$$), (3, $$set_bit('01'::bitcode, 0, 2)$$), (4, $$overlay('01'::bitcode, '1', 0)$$), (5, $$overlay('01'::bitcode, '1', 1, -1)$$),
  (6, $$overlay(repeat('1', 16384)::bitcode, '11', 16384)$$), (7, $$to_hex('01'::bitcode)$$), (8, $$bit_and(code) FROM (VALUES ('0'::bitcode), ('01')) v(code)$$), (9, $$hamming_ball(B'', 3)$$), (10, $$hamming_ball(repeat('1', 16385)::bit varying, 3)$$)) v(n, expression) ORDER BY n;

-- The text of a code depends on a setting; to_hex and to_bin do not, so they may be indexed.
CREATE TABLE functions_text (code bitcode);
SELECT pg_temp.failure(format('CREATE INDEX ON functions_text ((%s))', e)) FROM (VALUES (1, 'code::text'), (2, 'code::varchar'), (3, 'format(''%s'', code)'), (4, 'to_hex(code)'), (5, 'to_bin(code)'), (6, 'code::bit varying'), (7, 'bitcode_out(code)')) v(n, e) ORDER BY n;
SELECT pg_temp.failure('ALTER TABLE functions_text ADD g text GENERATED ALWAYS AS (code::text) STORED');
SELECT pg_temp.failure('CREATE INDEX ON functions_text (code) WHERE code::text = ''0''');
SET xmhash.bitcode_output = 'hex';
SELECT to_hex('xCAFE'::bitcode), to_bin('xCAFE'::bitcode), 'xCAFE'::bitcode::text;
RESET xmhash.bitcode_output;

-- Balls as values
CREATE TABLE balls (id int, ball hamming_ball);
INSERT INTO balls VALUES (1, '(0101,3)'), (2, hamming_ball('0101', 3)), (3, hamming_ball(B'0101', 4)), (4, '(0101,-3)'), (5, '(01010,3)'), (6, '(x5,3)'), (7, NULL), (8, '(1,0)'), (9, '( 0x5 , 3 )');
SELECT ball, count(*) FROM balls GROUP BY ball ORDER BY ball;
SELECT DISTINCT ball FROM balls ORDER BY ball DESC;
SELECT a.id, b.id FROM balls a JOIN balls b ON a.ball = b.ball AND a.id < b.id ORDER BY 1, 2;
SELECT a.id, b.id, a.ball < b.ball AS lt, a.ball <= b.ball AS le, a.ball = b.ball AS eq, a.ball <> b.ball AS ne, a.ball >= b.ball AS ge, a.ball > b.ball AS gt, sign(hamming_ball_cmp(a.ball, b.ball)) AS cmp FROM balls a, balls b WHERE a.id IN (1, 3) AND b.id IN (1, 2, 3, 4, 5, 8) ORDER BY 1, 2;
SELECT hamming_ball_hash('(x5,3)') = hamming_ball_hash('(0101,3)') AS same, hamming_ball_hash('(0101,3)') = hamming_ball_hash('(0101,2)') AS other, hamming_ball_hash_extended('(x5,3)', 7) = hamming_ball_hash_extended('(0101,3)', 7) AS same;
CREATE UNIQUE INDEX balls_unique ON balls (ball) WHERE id IN (1, 3, 4);
SET enable_hashjoin = off;
SET enable_nestloop = off;
SELECT count(*) FROM balls a JOIN balls b USING (ball);
SET enable_mergejoin = off;
SET enable_hashjoin = on;
SELECT count(*) FROM balls a JOIN balls b USING (ball);
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT id, ball @> '0111' AS has, '0111'::bitcode <@ ball AS in_it FROM balls ORDER BY id;
-- many balls asked for one code, by the index of the codes
CREATE TABLE ball_codes AS SELECT i AS id, ('x' || left(md5(i::text), 8))::bitcode(32) AS code FROM generate_series(1, 2000) i;
CREATE INDEX ON ball_codes USING xmhash (code);
ANALYZE ball_codes;
SET enable_seqscan = off;
SELECT pg_temp.has_node('SELECT id FROM ball_codes WHERE ''(x01234567,9)'' @> code', 'Index Cond: .*<@');
SELECT pg_temp.has_node('SELECT * FROM balls JOIN ball_codes ON ball @> code', 'Index Cond: .*<@');
SELECT count(*) FROM ball_codes WHERE '(x01234567,9)' @> code;
RESET enable_seqscan;
SELECT count(*) FROM ball_codes WHERE '(x01234567,9)' @> code AND code <~> 'x01234567' <= 9;
SELECT pg_temp.failure($$SELECT id FROM ball_codes WHERE '(x0123,9)' @> code$$);
SELECT pg_temp.failure(format('SELECT %L::hamming_ball', ball)) FROM (VALUES (1, '0101,3'), (2, '(0101)'), (3, '(0101,)'), (4, '(,3)'), (5, '(0121,3)'), (6, '(01,99999999999)'), (7, '')) v(n, ball) ORDER BY n;

-- The estimators and support functions believe no call but the extension's own: whoever may create functions and operators may name them.
CREATE TABLE estimated AS SELECT i AS id, i::text AS t, ('x' || left(md5((i / 9)::text), 8))::bitcode(32) AS code FROM generate_series(1, 300) i;
ANALYZE estimated;
CREATE FUNCTION careless(integer, integer) RETURNS hamming_ball LANGUAGE plpgsql AS $$ BEGIN RETURN '(0,1)'; END $$;
CREATE FUNCTION careless(bytea, integer) RETURNS hamming_ball LANGUAGE plpgsql AS $$ BEGIN RETURN '(0,1)'; END $$;
CREATE FUNCTION never(integer, hamming_ball) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;
CREATE FUNCTION never(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;
CREATE FUNCTION never(bitcode) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;
CREATE FUNCTION never(hamming_ball, integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN false; END $$;
CREATE OPERATOR <@? (LEFTARG = integer, RIGHTARG = hamming_ball, FUNCTION = never, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
CREATE OPERATOR <@? (LEFTARG = text, RIGHTARG = text, FUNCTION = never, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
CREATE OPERATOR <@? (LEFTARG = hamming_ball, RIGHTARG = integer, FUNCTION = never, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
CREATE OPERATOR <@? (RIGHTARG = bitcode, FUNCTION = never, RESTRICT = hamming_ball_selectivity);
SELECT condition, pg_temp.failure('SELECT id FROM estimated WHERE ' || condition) FROM (VALUES
  (1, $$code <@ careless(5, 3)$$), (2, $$code <@ careless('\x20000000'::bytea, 3)$$), (3, $$careless(5, 3) @> code$$), (4, $$id <@? '(0101,3)'$$), (5, $$id <@? careless(7, 1)$$), (6, $$t <@? 'a'$$), (7, $$t <@? t$$), (8, $$<@? code$$),
  (9, $$'(0101,3)'::hamming_ball <@? id$$), (10, $$code <@ hamming_ball(code, id)$$), (11, $$code <@ hamming_ball(B'0101', id)$$), (12, $$hamming_ball((SELECT code FROM estimated LIMIT 1), 3) @> code$$)) v(n, condition) ORDER BY n;
SELECT pg_temp.failure('SELECT FROM estimated a JOIN estimated b ON a.id <@? hamming_ball(b.code, 3) JOIN estimated c ON b.t <@? c.t');
DROP OPERATOR <@? (integer, hamming_ball);
DROP OPERATOR <@? (text, text);
DROP OPERATOR <@? (hamming_ball, integer);
DROP OPERATOR <@? (NONE, bitcode);
DROP FUNCTION careless(integer, integer), careless(bytea, integer), never(integer, hamming_ball), never(text, text), never(bitcode), never(hamming_ball, integer);

-- The binary format, there and back
\copy (SELECT id, ball FROM balls ORDER BY id) TO 'results/balls.copy' (FORMAT binary)
CREATE TABLE balls_back (id int, ball hamming_ball);
\copy balls_back FROM 'results/balls.copy' (FORMAT binary)
SELECT count(*) AS rows, count(*) FILTER (WHERE a.ball IS DISTINCT FROM b.ball) AS different FROM balls a FULL JOIN balls_back b USING (id);
SELECT hamming_ball_send('(xCAFE,3)'), hamming_ball_send('(1,-1)');
DROP TABLE functions_codes, functions_large, functions_text, balls, balls_back, ball_codes, estimated;

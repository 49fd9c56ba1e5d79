-- Casts to and from bitcode: never a truncation, never a padding.
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
SELECT castsource::regtype, casttarget::regtype, castcontext, castmethod
FROM pg_cast WHERE 'bitcode'::regtype IN (castsource, casttarget) ORDER BY 1, 2;

-- bit strings
SELECT B'0101'::bitcode, B'010110011'::bit varying::bitcode, 'xCAFE'::bitcode::bit(16), 'xCAFE'::bitcode::bit varying;
SELECT 'xCAFE'::bitcode::bit(8), 'xCAFE'::bitcode::bit varying(8);  -- core's own rule for an explicit cast to bit
SELECT bool_and(bits::bitcode::bit varying = bits AND bits::bitcode::text = bits::text) AS same
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bit varying AS bits FROM generate_series(1, 128) n) b;
CREATE TABLE bit_strings (bits bit(8), varying bit varying, code bitcode);
INSERT INTO bit_strings VALUES ('01011010'::bitcode, '0101'::bitcode, B'0101');
INSERT INTO bit_strings(code) SELECT varying FROM bit_strings;
TABLE bit_strings;
SELECT pg_temp.failure(statement) FROM (VALUES
  (1, $$INSERT INTO bit_strings(bits) VALUES ('0101'::bitcode)$$),
  (2, $$SELECT B''::bitcode$$),
  (3, $$SELECT B''::bit varying::bitcode$$),
  (4, $$SELECT repeat('0', 16385)::bit varying::bitcode$$),
  (5, $$SELECT repeat('0', 16385)::bit(16385)::bitcode$$),
  (6, $$INSERT INTO bit_strings(code) SELECT B''::bit varying FROM bit_strings$$),
  (7, $$INSERT INTO bit_strings(code) SELECT repeat('0', 16385)::bit varying FROM bit_strings$$),
  (8, $$UPDATE bit_strings SET code = substring(varying FROM 1 FOR 0)$$),
  (9, $$SELECT (ARRAY[B'01', B'']::bit varying[])::bitcode[]$$),
  (10, $$SELECT '01'::bitcode <~> B''$$),
  (11, $$SELECT B'0101'::bitcode(5)$$),
  (12, $$SELECT B'0101'::bit varying::bitcode(3)$$)) v(n, statement) ORDER BY n;
SELECT length(repeat('0', 16384)::bit varying::bitcode), length(repeat('0', 16384)::bit(16384)::bitcode);

-- bit(n) proves the length, so the cast is a mere relabelling, and a change of
-- type from bit(n) leaves the table as it is
CREATE TABLE bit_columns (fixed bit(8), long bit(16385), varying bit varying(8));
INSERT INTO bit_columns(fixed, varying) SELECT n::bit(8), n::bit(8) FROM generate_series(1, 100) n;
CREATE INDEX ON bit_columns(fixed);
SELECT pg_relation_filenode('bit_columns') AS before \gset
ALTER TABLE bit_columns ALTER fixed TYPE bitcode;
SELECT pg_relation_filenode('bit_columns') = :before AS not_rewritten;
ALTER TABLE bit_columns ALTER fixed TYPE bit(8);
SELECT pg_relation_filenode('bit_columns') AS before \gset
ALTER TABLE bit_columns ALTER fixed TYPE bitcode(8);
SELECT pg_relation_filenode('bit_columns') = :before AS not_rewritten;
ALTER TABLE bit_columns ALTER fixed TYPE bitcode;
SELECT pg_relation_filenode('bit_columns') = :before AS not_rewritten;
SELECT pg_temp.failure('ALTER TABLE bit_columns ALTER fixed TYPE bitcode(9)');
ALTER TABLE bit_columns ALTER fixed TYPE bit varying;
SELECT pg_relation_filenode('bit_columns') = :before AS not_rewritten;
-- what proves nothing, or that it is no code, is checked row by row
SELECT pg_temp.failure('ALTER TABLE bit_columns ALTER fixed TYPE bitcode(9)');
ALTER TABLE bit_columns ALTER varying TYPE bitcode(8);
SELECT pg_relation_filenode('bit_columns') = :before AS not_rewritten;
SELECT bool_and(fixed = varying::bit varying) AS same, count(*) FROM bit_columns;
UPDATE bit_columns SET fixed = '', long = 0::bit(16385) WHERE fixed = B'00000001';
SELECT pg_temp.failure('ALTER TABLE bit_columns ALTER fixed TYPE bitcode');
SELECT pg_temp.failure('ALTER TABLE bit_columns ALTER long TYPE bitcode');
SELECT pg_temp.failure('ALTER TABLE bit_columns ALTER long TYPE bitcode(16384)');
SELECT pg_temp.failure('SELECT long::bitcode <~> long::bitcode FROM bit_columns WHERE long IS NOT NULL');
-- an index over the cast is found by the cast
CREATE TABLE bit_index (bits bit(8), varying bit varying) WITH (autovacuum_enabled = off);
INSERT INTO bit_index SELECT n::bit(8), n::bit(8) FROM generate_series(0, 255) n;
CREATE INDEX ON bit_index ((bits::bitcode));
CREATE INDEX ON bit_index ((varying::bitcode));
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM bit_index WHERE bits::bitcode = 'x5A';
SELECT * FROM bit_index WHERE bits::bitcode = 'x5A';
EXPLAIN (COSTS OFF) SELECT * FROM bit_index WHERE varying::bitcode = 'x5A';
SELECT * FROM bit_index WHERE varying::bitcode = 'x5A';
RESET enable_seqscan;
RESET enable_bitmapscan;

-- bytea
SELECT '\xCAFE'::bytea::bitcode, '\x00'::bytea::bitcode, 'xCAFE'::bitcode::bytea, length(decode(repeat('ff', 2048), 'hex')::bitcode);
SELECT bool_and(b::bitcode::bytea = b) AS round_trip FROM (SELECT substring(sha512(n::text::bytea) FROM 1 FOR n) AS b FROM generate_series(1, 64) n) bytes;
SELECT pg_temp.failure(statement) FROM (VALUES
  (1, $$SELECT ''::bytea::bitcode$$),
  (2, $$SELECT decode(repeat('ff', 2049), 'hex')::bitcode$$),
  (3, $$SELECT '0101'::bitcode::bytea$$),
  (4, $$SELECT '010101010'::bitcode::bytea$$)) v(n, statement) ORDER BY n;

-- bigint
SELECT v, v::bitcode, v::bitcode::bigint = v AS round_trip, v::bitcode::bit varying = v::bit(64) AS as_core
FROM (VALUES (0::bigint), (1), (-1), (9223372036854775807), (-9223372036854775808), (81985529216486895)) b(v);
SELECT pg_temp.failure(statement) FROM (VALUES
  (1, $$SELECT '0101'::bitcode::bigint$$),
  (2, $$SELECT repeat('0', 65)::bitcode::bigint$$)) v(n, statement) ORDER BY n;

-- boolean[]
SELECT '{t,f,t,t,f,f,f,f,t}'::boolean[]::bitcode, '0101'::bitcode::boolean[], '[5:7]={t,f,t}'::boolean[]::bitcode;
SELECT bool_and(code::boolean[]::bitcode = code) AS round_trip
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bitcode AS code FROM generate_series(1, 128) n) codes;

-- real[], double precision[]: the sign, and -1 or +1 back
SELECT '{0.5,-0.5,0,-0,1e-45,Infinity,-Infinity,3,-3}'::real[]::bitcode;
SELECT '{0.5,-0.5,0,-0,5e-324,Infinity,-Infinity,3,-3}'::double precision[]::bitcode;
SELECT '0110'::bitcode::real[], array_dims('0110'::bitcode::real[]);
SELECT bool_and(code::real[]::bitcode = code AND code::real[]::double precision[]::bitcode = code) AS round_trip
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bitcode AS code FROM generate_series(1, 128) n) codes;

-- arrays that are no code
SELECT t AS type, pg_temp.failure(format('SELECT %L::%s::bitcode', value, t))
FROM unnest('{boolean[],real[],double precision[]}'::text[]) WITH ORDINALITY AS types(t, i),
  (VALUES (1, '{}'), (2, '{1,NULL,0,NULL}'), (3, '{NULL}'), (4, '{{1,0},{0,1}}')) v(n, value) ORDER BY i, n;
SELECT pg_temp.failure(format('SELECT array_fill(1, ARRAY[16385])::%s::bitcode', t))
FROM unnest('{boolean[],real[],double precision[]}'::text[]) AS types(t);
SELECT pg_temp.failure($$SELECT '{1,NaN,-1}'::real[]::bitcode$$), pg_temp.failure($$SELECT '{NaN}'::double precision[]::bitcode$$);
SELECT length(array_fill(1, ARRAY[16384])::real[]::bitcode), bit_count(array_fill(1, ARRAY[16384])::double precision[]::bitcode);

-- explicit means explicit
CREATE TABLE code_target (code bitcode);
SELECT pg_temp.failure(format('INSERT INTO code_target SELECT %s', value)) FROM (VALUES
  (1, $$'\x5A'::bytea$$), (2, '5::bigint'), (3, $$'{t}'::boolean[]$$), (4, $$'{1}'::real[]$$), (5, $$'{1}'::double precision[]$$)) v(n, value) ORDER BY n;
SELECT pg_temp.failure(format('SELECT %s', value)) FROM (VALUES
  (1, $$5::bitcode$$), (2, $$'0101'::bitcode::double precision[]$$)) v(n, value) ORDER BY n;

-- a NULL stays one
SELECT NULL::bit(4)::bitcode IS NULL AND NULL::bytea::bitcode IS NULL AND NULL::bigint::bitcode IS NULL
  AND NULL::real[]::bitcode IS NULL AND NULL::bitcode::real[] IS NULL AND NULL::bitcode(5)::bigint IS NULL AS all_null;

DROP TABLE bit_strings, bit_columns, bit_index, code_target;

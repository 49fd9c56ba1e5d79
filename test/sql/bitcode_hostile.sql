-- What clients may send in the binary format: damaged at random, always the same way.  It is refused, or a sound value.
SET client_min_messages = warning;
CREATE TABLE received (code bitcode);
CREATE TABLE received_ball (ball hamming_ball);
-- The file that COPY reads, one row with one field, in the server's own folder.
CREATE FUNCTION receive(target regclass, field bytea, claimed integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  file oid := lo_from_bytea(0, '\x5047434f50590aff0d0a00' || int8send(0) || int2send(1::int2) || int4send(claimed) || field || int2send(-1::int2));
BEGIN
  PERFORM lo_export(file, 'regress_hostile.copy');
  PERFORM lo_unlink(file);
  EXECUTE format('COPY %s FROM %L (FORMAT binary)', target, current_setting('data_directory') || '/regress_hostile.copy');
  RETURN 'taken';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
-- A field: a sound one, then cut, lengthened, its head replaced or its bytes flipped.
CREATE FUNCTION damaged(n integer, ball boolean) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  random integer := ('x' || left(md5(n::text), 7))::bit(28)::integer;
  bits integer := CASE random % 3 WHEN 0 THEN 1 + random % 70 WHEN 1 THEN 1 + random % 16384 ELSE 16384 - random % 9 END;
  field bytea := int4send(bits) || substring(decode(repeat(md5(n || 'x'), 130), 'hex') FROM 1 FOR (bits + 7) / 8);
  head integer[] := ARRAY[0, -1, 1, 16384, 16385, 2147483647, -2147483648, bits + 1, bits - 1, bits * 8, 65536];
BEGIN
  IF bits % 8 > 0 THEN
    field := set_byte(field, length(field) - 1, get_byte(field, length(field) - 1) & (255 << (8 - bits % 8) & 255));
  END IF;
  field := CASE random / 7 % 6
    WHEN 0 THEN field
    WHEN 1 THEN int4send(head[1 + random / 50 % 11]) || substring(field FROM 5)
    WHEN 2 THEN substring(field FROM 1 FOR random / 50 % (length(field) + 1))
    WHEN 3 THEN field || substring(decode(md5(n::text), 'hex') FROM 1 FOR 1 + random / 50 % 9)
    WHEN 4 THEN set_byte(field, random / 50 % length(field), random / 5 % 256)
    ELSE ''::bytea || substring(decode(repeat(md5(n::text), 4), 'hex') FROM 1 FOR random / 50 % 30) END;
  RETURN CASE WHEN ball THEN int4send(('x' || substr(md5(n::text), 9, 8))::bit(32)::integer) ELSE ''::bytea END || field;
END $$;
SELECT result, count(*) FROM (SELECT receive('received', damaged(n, false), length(damaged(n, false))) AS result FROM generate_series(1, 500) n) r GROUP BY 1 ORDER BY 1;
SELECT result, count(*) FROM (SELECT receive('received_ball', damaged(n, true), length(damaged(n, true))) AS result FROM generate_series(1, 500) n) r GROUP BY 1 ORDER BY 1;
-- what was taken is sound: it reads back as what it says, in every way
SELECT count(*) AS codes, count(*) FILTER (WHERE to_bin(code)::bitcode <> code OR bitcode_send(to_bin(code)::bitcode) <> bitcode_send(code) OR bit_length(code) NOT BETWEEN 1 AND 16384
  OR (code <~> ~ code) <> length(code) OR bitcode_hash(code) <> bitcode_hash(to_bin(code)::bitcode)) AS unsound FROM received;
SELECT count(*) AS balls, count(*) FILTER (WHERE ball::text::hamming_ball <> ball OR hamming_ball_send(ball::text::hamming_ball) <> hamming_ball_send(ball) OR hamming_ball_hash(ball) <> hamming_ball_hash(ball::text::hamming_ball)) AS unsound FROM received_ball;
SELECT count(*) FILTER (WHERE code <@ ball) > 0 AS some FROM received, received_ball;
-- the state of an aggregate can be made by hand: see bitcode_majority.sql
SELECT current_setting('data_directory') || '/regress_hostile.copy' AS file \gset
\setenv HOSTILE_FILE :file
\! rm -f "$HOSTILE_FILE"
DROP TABLE received, received_ball;
DROP FUNCTION receive, damaged;
-- bit(n) is believed to have n bits, so a cast of somebody's own to it can pass off any bit string as a code
CREATE TYPE liar AS ENUM ('empty', 'long', 'short');
CREATE FUNCTION lie(liar, integer, boolean) RETURNS bit LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RETURN CASE $1 WHEN 'empty' THEN B'' WHEN 'long' THEN repeat('1', 200000)::bit varying ELSE B'01010101' END;
END $$;
CREATE CAST (liar AS bit) WITH FUNCTION lie(liar, integer, boolean);
CREATE TABLE lies (what liar, bits bit(8), code bitcode);
INSERT INTO lies SELECT w, w::bit(8), w::bit(8)::bitcode FROM unnest(enum_range(NULL::liar)) w;
SELECT what, length(code) FROM lies ORDER BY what;
CREATE FUNCTION lie_in(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'done';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE;
END $$;
CREATE TABLE lies_indexed (id integer, code bitcode, bits bit(8));
CREATE INDEX lies_index ON lies_indexed USING xmhash (code);
CREATE INDEX lies_bits ON lies_indexed USING xmhash ((bits::bitcode));
SELECT what, lie_in(format('INSERT INTO lies_indexed(code) SELECT code FROM lies WHERE what = %L', what)) AS code,
  lie_in(format('INSERT INTO lies_indexed(bits) SELECT bits FROM lies WHERE what = %L', what)) AS bits FROM lies ORDER BY what;
SELECT lie_in('SELECT xmhash_index_check(''lies_index'', true)') AS sound;
-- the check computes index expressions anew, and this one is another by now
CREATE FUNCTION sometimes(bitcode) RETURNS bitcode LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN repeat(''01'', 4)::public.bitcode; END';
CREATE INDEX lies_function ON lies USING xmhash (sometimes(code));
CREATE OR REPLACE FUNCTION sometimes(bitcode) RETURNS bitcode LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
SELECT lie_in('SELECT xmhash_index_check(''lies_function'', true)') AS found;
DROP INDEX lies_function;
SELECT what, lie_in(format('CREATE INDEX ON lies USING xmhash (code) WHERE what = %L', what)) AS build FROM unnest(enum_range(NULL::liar)) what ORDER BY what;
SELECT o.operation, string_agg(lie_in(format('SELECT %s FROM lies WHERE what = %L', o.operation, l.what)), ' ' ORDER BY l.what) AS "empty long short"
FROM lies l, unnest(ARRAY['~ code', 'code & code', 'code || ''01''', 'bit_majority(code)', 'code <~> code', 'code = code', 'code < code', 'bitcode_hash(code)',
  'set_bit(code, 1, 0)', 'substring(code, 1)', 'overlay(code, ''01'', 1)', 'bit_position(''01'', code)', 'to_hex(code)', 'to_bin(code)', 'code::real[]', 'code::text',
  'hamming_within(code, ''01'', 1)', 'hamming_ball(code, 1)', 'bit_count(code)', 'bitcode_send(code)', 'code::bytea', 'code::bitcode(8)']) AS o(operation) GROUP BY 1 ORDER BY o.operation COLLATE "C";
DROP TABLE lies, lies_indexed;
DROP CAST (liar AS bit);
DROP FUNCTION lie, lie_in, sometimes;
DROP TYPE liar;

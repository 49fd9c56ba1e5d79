-- Text and binary input and output of bitcode, and its type modifier.
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
-- binary digits and hexadecimal in, binary out by default
SELECT '0'::bitcode, '1'::bitcode, '0101'::bitcode, '010110011'::bitcode;
SELECT 'xCAFE'::bitcode, 'xcafe'::bitcode, 'X0f'::bitcode, 'x7'::bitcode;
SELECT '0101'::bitcode = 'x5', 'xAbCdEf0123456789'::bitcode = 'xaBcDeF0123456789';

-- the longest code, in both forms
SELECT length(repeat('1', 16384)::bitcode), bit_count(repeat('1', 16384)::bitcode);
SELECT length(('x' || repeat('8', 4096))::bitcode), bit_count(('x' || repeat('8', 4096))::bitcode);
SELECT repeat('01', 8192)::bitcode::text = repeat('01', 8192) AS same;

-- output as hexadecimal, where the length allows
SHOW xmhash.bitcode_output;
SET xmhash.bitcode_output = 'hex';
SELECT 'xCAFE'::bitcode, '0101'::bitcode, '010'::bitcode, '010100001111'::bitcode;
SELECT 'x0123456789ABCDEF'::bitcode::text;
SELECT bool_and(code::text::bitcode = code) AS round_trip
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bitcode AS code FROM generate_series(1, 128) n) codes;
RESET xmhash.bitcode_output;
SELECT bool_and(code::text::bitcode = code) AS round_trip
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bitcode AS code FROM generate_series(1, 128) n) codes;
SELECT pg_temp.failure($$SET xmhash.bitcode_output = 'octal'$$);

-- what is no code names the offending character and its position
SELECT pg_temp.failure(format('SELECT %L::bitcode', value)) FROM (VALUES
  (1, '012'), (2, 'a'), (3, ' 01'), (4, '01 '), (5, '0101-'), (6, 'xCAFEG'), (7, 'xx'), (8, 'x 1'), (9, 'b01'),
  (10, '0x1F'), (11, '01' || chr(10)), (12, repeat('0', 20000) || '2')) v(n, value) ORDER BY n;

-- lengths no code can have
SELECT pg_temp.failure(format('SELECT %L::bitcode', value)) FROM (VALUES
  (1, ''), (2, 'x'), (3, repeat('0', 16385)), (4, 'x' || repeat('0', 4097)), (5, repeat('0', 1000000))) v(n, value) ORDER BY n;

-- bitcode(n) admits exactly n bits, on every way in
CREATE TABLE code_lengths (code bitcode(8), codes bitcode(4)[]);
SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'code_lengths'::regclass AND attnum > 0 ORDER BY attnum;
INSERT INTO code_lengths VALUES ('x5A', '{0101,xF}'), (B'01011010', ARRAY[B'0001']), (NULL, NULL);
SELECT * FROM code_lengths;
SELECT pg_temp.failure(statement) FROM (VALUES
  (1, $$INSERT INTO code_lengths(code) VALUES ('0101')$$),
  (2, $$INSERT INTO code_lengths(code) VALUES (B'0101')$$),
  (3, $$INSERT INTO code_lengths(code) VALUES (B'010101010'::bit varying)$$),
  (4, $$INSERT INTO code_lengths(code) VALUES ('010101010'::bitcode)$$),
  (5, $$INSERT INTO code_lengths(codes) VALUES ('{0101,01}')$$),
  (6, $$INSERT INTO code_lengths(codes) VALUES (ARRAY['0101'::bitcode, '01'])$$),
  (7, $$UPDATE code_lengths SET code = code || code$$),
  (8, $$SELECT '0101'::bitcode(8)$$),
  (9, $$SELECT '0101'::bitcode::bitcode(8)$$),
  (10, $$SELECT B'010101010'::bitcode(8)$$),
  (11, $$SELECT '\x5A5A'::bytea::bitcode(8)$$),
  (12, $$SELECT 5::bigint::bitcode(8)$$)) v(n, statement) ORDER BY n;
SELECT '01011010'::bitcode::bitcode(8), B'0101'::bitcode(4), '\x5A'::bytea::bitcode(8);
SELECT pg_temp.failure(statement) FROM (VALUES
  (1, 'SELECT NULL::bitcode(0)'), (2, 'SELECT NULL::bitcode(-1)'), (3, 'SELECT NULL::bitcode(16385)'),
  (4, 'SELECT NULL::bitcode(8, 8)')) v(n, statement) ORDER BY n;
SELECT length(repeat('0', 16384)::bitcode(16384));

-- domains and arrays
CREATE DOMAIN code4 AS bitcode(4) CHECK (bit_count(VALUE) > 0);
SELECT '0101'::code4, 'x9'::code4 <~> 'x6', 'x9'::code4 = B'1001', ARRAY['xA', 'x0']::bitcode[], '{xF,0101}'::code4[];
SELECT pg_temp.failure($$SELECT '01011'::code4$$), pg_temp.failure($$SELECT 'x0'::code4$$);
DROP DOMAIN code4;

-- the wire format is that of bit varying
SELECT bitcode_send('0101'), bitcode_send('xCAFE'), bitcode_send('010110011');
SELECT bool_and(bitcode_send(code::bitcode) = varbit_send(code)) AS same
FROM (SELECT left(('x' || md5(n::text))::bit(128)::text, n)::bit varying AS code FROM generate_series(1, 128) n) codes;

-- COPY, text and binary, brings back what was there
CREATE TABLE code_copy (id integer, code bitcode);
INSERT INTO code_copy SELECT n, left(('x' || md5(n::text))::bit(128)::text, n)::bitcode FROM generate_series(1, 128) n;
INSERT INTO code_copy VALUES (0, NULL), (200, repeat('1', 16384)::bitcode);
CREATE TABLE code_copied (id integer, code bitcode);
\copy code_copy TO 'results/bitcode.copy' (FORMAT binary)
\copy code_copied FROM 'results/bitcode.copy' (FORMAT binary)
SELECT count(*) AS same FROM code_copy a JOIN code_copied b ON a.id = b.id AND a.code IS NOT DISTINCT FROM b.code;
TRUNCATE code_copied;
\copy code_copy TO 'results/bitcode.copy'
\copy code_copied FROM 'results/bitcode.copy'
SELECT count(*) AS same FROM code_copy a JOIN code_copied b ON a.id = b.id AND a.code IS NOT DISTINCT FROM b.code;
TRUNCATE code_copied;
-- and binary data of a bit varying column is binary data of a bitcode column
ALTER TABLE code_copy ALTER code TYPE bit varying;
\copy code_copy TO 'results/bitcode.copy' (FORMAT binary)
\copy code_copied FROM 'results/bitcode.copy' (FORMAT binary)
SELECT count(*) AS same FROM code_copy a JOIN code_copied b ON a.id = b.id AND a.code::bitcode IS NOT DISTINCT FROM b.code;

-- binary input that is no code: files of one row with the field given
CREATE TABLE code_received (code bitcode(12));
CREATE FUNCTION pg_temp.binary_copy(field bytea) RETURNS oid LANGUAGE sql AS $$
  SELECT lo_from_bytea(0, '\x5047434f50590aff0d0a00' || int8send(0) || int2send(1::int2)
                          || int4send(length(field)) || field || int2send(-1::int2)) $$;
-- a good one
SELECT pg_temp.binary_copy('\x0000000c5a50') AS file \gset
\lo_export :file 'results/bitcode.copy'
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
TABLE code_received;
-- dirty padding
SELECT pg_temp.binary_copy('\x0000000c5a51') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- no bits
SELECT pg_temp.binary_copy('\x00000000') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- one bit too many
SELECT pg_temp.binary_copy('\x00004001') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- negative length
SELECT pg_temp.binary_copy('\xffffffff') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- another length than the column's
SELECT pg_temp.binary_copy('\x000000105a5a') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- fewer bytes than bits
SELECT pg_temp.binary_copy('\x0000000c5a') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
-- more bytes than bits
SELECT pg_temp.binary_copy('\x0000000c5a5000') AS file \gset
\lo_export :file 'results/bitcode.copy'
\set VERBOSITY sqlstate
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\set VERBOSITY default
\copy code_received FROM 'results/bitcode.copy' (FORMAT binary)
\lo_unlink :file
TABLE code_received;

-- stored like bit varying, byte for byte, with the short header too
SELECT bool_and(pg_column_size(code) = pg_column_size(bits)) AS same, min(pg_column_size(code)), max(pg_column_size(code))
FROM (SELECT code, code::bit varying AS bits FROM code_copied WHERE id < 200) c;
SELECT typlen, typalign, typstorage, typcategory FROM pg_type WHERE typname = 'bitcode';

DROP TABLE code_lengths, code_copy, code_copied, code_received;

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION xmhash" to load this file. \quit

------------------------------------------------------------------------
-- The type bitcode
------------------------------------------------------------------------

CREATE TYPE bitcode;

CREATE FUNCTION bitcode_in(cstring, oid, integer) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_in(cstring, oid, integer) IS 'I/O';
-- Stable, not immutable: the text depends on xmhash.bitcode_output.
CREATE FUNCTION bitcode_out(bitcode) RETURNS cstring
  AS 'MODULE_PATHNAME', 'bitcode_out' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_out(bitcode) IS 'I/O';
CREATE FUNCTION bitcode_recv(internal, oid, integer) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_recv(internal, oid, integer) IS 'I/O';
CREATE FUNCTION bitcode_send(bitcode) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_send(bitcode) IS 'I/O';
CREATE FUNCTION bitcode_typmod_in(cstring[]) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_typmod_in(cstring[]) IS 'I/O typmod';
CREATE FUNCTION bitcode_typmod_out(integer) RETURNS cstring
  AS 'MODULE_PATHNAME', 'bitcode_typmod_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_typmod_out(integer) IS 'I/O typmod';

-- The layout is that of bit varying, and so is the category.  Where a function
-- or operator of ours takes a code or a bit string, preferred makes untyped
-- constants and parameters codes; no type but domains over it becomes a code
-- implicitly, so that nothing of others' is affected.
CREATE TYPE bitcode (
  INPUT = bitcode_in, OUTPUT = bitcode_out,
  RECEIVE = bitcode_recv, SEND = bitcode_send,
  TYPMOD_IN = bitcode_typmod_in, TYPMOD_OUT = bitcode_typmod_out,
  INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended, CATEGORY = 'V', PREFERRED = true
);
COMMENT ON TYPE bitcode IS 'binary code of 1 to 16384 bits, compared by Hamming distance';

-- Casts.  A function, not WITHOUT FUNCTION, from the bit strings: they may be
-- empty or too long.  Its planner support removes it where bit(n) proves the
-- length.  Nothing becomes a code implicitly: with bit varying, which becomes
-- bit implicitly already, core's own functions would be ambiguous for everybody.

CREATE FUNCTION bitcode_coerce_support(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_coerce_support' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_coerce_support(internal) IS 'planner support for the casts to bitcode';
CREATE FUNCTION bitcode(bit, integer, boolean) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SUPPORT bitcode_coerce_support;
COMMENT ON FUNCTION bitcode(bit, integer, boolean) IS 'convert bit to bitcode';
CREATE FUNCTION bitcode(bit varying, integer, boolean) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SUPPORT bitcode_coerce_support;
COMMENT ON FUNCTION bitcode(bit varying, integer, boolean) IS 'convert bit varying to bitcode';
CREATE FUNCTION bitcode(bitcode, integer, boolean) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_coerce' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE SUPPORT bitcode_coerce_support;
COMMENT ON FUNCTION bitcode(bitcode, integer, boolean) IS 'adjust bitcode() to typmod length';
CREATE FUNCTION bitcode_from_bytea(bytea) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_bytea(bytea) IS 'convert bytea to bitcode';
CREATE FUNCTION bitcode_from_bigint(bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_bigint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_bigint(bigint) IS 'convert bigint to bitcode';
CREATE FUNCTION bitcode_from_numeric(numeric) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_numeric' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_numeric(numeric) IS 'convert numeric to bitcode';
CREATE FUNCTION bitcode_from_boolean_array(boolean[]) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_boolean_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_boolean_array(boolean[]) IS 'convert boolean[] to bitcode';
CREATE FUNCTION bitcode_from_real_array(real[]) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_real_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_real_array(real[]) IS 'convert real[] to bitcode';
CREATE FUNCTION bitcode_from_double_array(double precision[]) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_from_double_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_from_double_array(double precision[]) IS 'convert double precision[] to bitcode';
CREATE FUNCTION bitcode_to_bytea(bitcode) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_to_bytea' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_bytea(bitcode) IS 'convert bitcode to bytea';
CREATE FUNCTION bitcode_to_bigint(bitcode) RETURNS bigint
  AS 'MODULE_PATHNAME', 'bitcode_to_bigint' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_bigint(bitcode) IS 'convert bitcode to bigint';
CREATE FUNCTION bitcode_to_numeric(bitcode) RETURNS numeric
  AS 'MODULE_PATHNAME', 'bitcode_to_numeric' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_numeric(bitcode) IS 'convert bitcode to numeric';
CREATE FUNCTION bitcode_to_boolean_array(bitcode) RETURNS boolean[]
  AS 'MODULE_PATHNAME', 'bitcode_to_boolean_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_boolean_array(bitcode) IS 'convert bitcode to boolean[]';
CREATE FUNCTION bitcode_to_real_array(bitcode) RETURNS real[]
  AS 'MODULE_PATHNAME', 'bitcode_to_real_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_real_array(bitcode) IS 'convert bitcode to real[]';

CREATE CAST (bit AS bitcode) WITH FUNCTION bitcode(bit, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (bit AS bitcode) IS 'the same bits; 1 to 16384';
CREATE CAST (bit varying AS bitcode) WITH FUNCTION bitcode(bit varying, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (bit varying AS bitcode) IS 'the same bits; 1 to 16384';
CREATE CAST (bitcode AS bitcode) WITH FUNCTION bitcode(bitcode, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (bitcode AS bitcode) IS 'check of the length of bitcode(n)';
CREATE CAST (bitcode AS bit) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (bitcode AS bit) IS 'the same bits';
CREATE CAST (bitcode AS bit varying) WITHOUT FUNCTION AS ASSIGNMENT;
COMMENT ON CAST (bitcode AS bit varying) IS 'the same bits';
CREATE CAST (bytea AS bitcode) WITH FUNCTION bitcode_from_bytea(bytea);
COMMENT ON CAST (bytea AS bitcode) IS 'bytes, most significant bit first';
CREATE CAST (bigint AS bitcode) WITH FUNCTION bitcode_from_bigint(bigint);
COMMENT ON CAST (bigint AS bitcode) IS '64 bits, most significant first';
CREATE CAST (numeric AS bitcode) WITH FUNCTION bitcode_from_numeric(numeric);
COMMENT ON CAST (numeric AS bitcode) IS '64 bits, most significant first, from 0 to 18446744073709551615';
CREATE CAST (boolean[] AS bitcode) WITH FUNCTION bitcode_from_boolean_array(boolean[]);
COMMENT ON CAST (boolean[] AS bitcode) IS 'one bit an element';
CREATE CAST (real[] AS bitcode) WITH FUNCTION bitcode_from_real_array(real[]);
COMMENT ON CAST (real[] AS bitcode) IS 'one bit an element: whether it is positive';
CREATE CAST (double precision[] AS bitcode) WITH FUNCTION bitcode_from_double_array(double precision[]);
COMMENT ON CAST (double precision[] AS bitcode) IS 'one bit an element: whether it is positive';
CREATE CAST (bitcode AS bytea) WITH FUNCTION bitcode_to_bytea(bitcode);
COMMENT ON CAST (bitcode AS bytea) IS 'bytes, most significant bit first; lengths that are multiples of 8';
CREATE CAST (bitcode AS bigint) WITH FUNCTION bitcode_to_bigint(bitcode);
COMMENT ON CAST (bitcode AS bigint) IS 'codes of 64 bits, most significant first';
CREATE CAST (bitcode AS numeric) WITH FUNCTION bitcode_to_numeric(bitcode);
COMMENT ON CAST (bitcode AS numeric) IS 'codes of 64 bits, most significant first, without a sign';
CREATE CAST (bitcode AS boolean[]) WITH FUNCTION bitcode_to_boolean_array(bitcode);
COMMENT ON CAST (bitcode AS boolean[]) IS 'one element a bit';
CREATE CAST (bitcode AS real[]) WITH FUNCTION bitcode_to_real_array(bitcode);
COMMENT ON CAST (bitcode AS real[]) IS '-1 for a bit 0, +1 for a bit 1';

-- Comparison

CREATE FUNCTION bitcode_eq(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_eq' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_eq(bitcode, bitcode) IS 'implementation of = operator';
CREATE FUNCTION bitcode_ne(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ne' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_ne(bitcode, bitcode) IS 'implementation of <> operator';
CREATE FUNCTION bitcode_lt(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_lt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_lt(bitcode, bitcode) IS 'implementation of < operator';
CREATE FUNCTION bitcode_le(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_le' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_le(bitcode, bitcode) IS 'implementation of <= operator';
CREATE FUNCTION bitcode_gt(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_gt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_gt(bitcode, bitcode) IS 'implementation of > operator';
CREATE FUNCTION bitcode_ge(bitcode, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ge' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_ge(bitcode, bitcode) IS 'implementation of >= operator';
CREATE FUNCTION bitcode_cmp(bitcode, bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_cmp' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_cmp(bitcode, bitcode) IS 'less-equal-greater';
CREATE FUNCTION bitcode_sortsupport(internal) RETURNS void
  AS 'MODULE_PATHNAME', 'bitcode_sortsupport' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_sortsupport(internal) IS 'sort support';
CREATE FUNCTION bitcode_hash(bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_hash' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_hash(bitcode) IS 'hash';
CREATE FUNCTION bitcode_hash_extended(bitcode, bigint) RETURNS bigint
  AS 'MODULE_PATHNAME', 'bitcode_hash_extended' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_hash_extended(bitcode, bigint) IS 'hash';

CREATE OPERATOR = (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_eq,
  COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR = (bitcode, bitcode) IS 'equal';
CREATE OPERATOR <> (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_ne,
  COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (bitcode, bitcode) IS 'not equal';
CREATE OPERATOR < (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_lt,
  COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (bitcode, bitcode) IS 'less than';
CREATE OPERATOR <= (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_le,
  COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (bitcode, bitcode) IS 'less than or equal';
CREATE OPERATOR > (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_gt,
  COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (bitcode, bitcode) IS 'greater than';
CREATE OPERATOR >= (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_ge,
  COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (bitcode, bitcode) IS 'greater than or equal';

CREATE OPERATOR CLASS bitcode_ops DEFAULT FOR TYPE bitcode USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
  FUNCTION 1 bitcode_cmp(bitcode, bitcode),
  FUNCTION 2 bitcode_sortsupport(internal),
  FUNCTION 4 btequalimage(oid);
COMMENT ON OPERATOR CLASS bitcode_ops USING btree IS 'order of bit varying';
COMMENT ON OPERATOR FAMILY bitcode_ops USING btree IS 'order of bit varying';

CREATE OPERATOR CLASS bitcode_ops DEFAULT FOR TYPE bitcode USING hash AS
  OPERATOR 1 =,
  FUNCTION 1 bitcode_hash(bitcode),
  FUNCTION 2 bitcode_hash_extended(bitcode, bigint);
COMMENT ON OPERATOR CLASS bitcode_ops USING hash IS 'equality of codes';
COMMENT ON OPERATOR FAMILY bitcode_ops USING hash IS 'equality of codes';

-- Codes and bit strings.  An operator in both orders instead of an implicit cast
-- lets bit constants, parameters and columns be compared with codes.  The bytes
-- are the same, so the functions are the same; their planner support makes them
-- the operators on two codes, which indexes and joins know.  Therefore they are
-- in no operator family: a btree family needs all combinations, that of two bit
-- strings too, whose operators are core's and would find a second family there.
--
-- Not so for & | # ||: with an untyped constant beside a bit varying they would
-- take precedence over core's.  For the same reason hamming_distance() has no
-- such form: it would take over pgvector's.

CREATE FUNCTION bitcode_bit_support(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_bit_support' LANGUAGE C STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_bit_support(internal) IS 'planner support for operators of bitcode and bit';
CREATE FUNCTION bitcode_eq(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_eq' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_eq(bitcode, bit) IS 'implementation of = operator';
CREATE FUNCTION bitcode_eq(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_eq' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_eq(bit, bitcode) IS 'implementation of = operator';
CREATE FUNCTION bitcode_ne(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ne' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_ne(bitcode, bit) IS 'implementation of <> operator';
CREATE FUNCTION bitcode_ne(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ne' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_ne(bit, bitcode) IS 'implementation of <> operator';
CREATE FUNCTION bitcode_lt(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_lt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_lt(bitcode, bit) IS 'implementation of < operator';
CREATE FUNCTION bitcode_lt(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_lt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_lt(bit, bitcode) IS 'implementation of < operator';
CREATE FUNCTION bitcode_le(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_le' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_le(bitcode, bit) IS 'implementation of <= operator';
CREATE FUNCTION bitcode_le(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_le' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_le(bit, bitcode) IS 'implementation of <= operator';
CREATE FUNCTION bitcode_gt(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_gt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_gt(bitcode, bit) IS 'implementation of > operator';
CREATE FUNCTION bitcode_gt(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_gt' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_gt(bit, bitcode) IS 'implementation of > operator';
CREATE FUNCTION bitcode_ge(bitcode, bit) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ge' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_ge(bitcode, bit) IS 'implementation of >= operator';
CREATE FUNCTION bitcode_ge(bit, bitcode) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_ge' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_ge(bit, bitcode) IS 'implementation of >= operator';
CREATE OPERATOR = (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_eq,
  COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
COMMENT ON OPERATOR = (bitcode, bit) IS 'equal';
CREATE OPERATOR = (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_eq,
  COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel);
COMMENT ON OPERATOR = (bit, bitcode) IS 'equal';
CREATE OPERATOR <> (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_ne,
  COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (bitcode, bit) IS 'not equal';
CREATE OPERATOR <> (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_ne,
  COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (bit, bitcode) IS 'not equal';
CREATE OPERATOR < (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_lt,
  COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (bitcode, bit) IS 'less than';
CREATE OPERATOR < (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_lt,
  COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (bit, bitcode) IS 'less than';
CREATE OPERATOR <= (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_le,
  COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (bitcode, bit) IS 'less than or equal';
CREATE OPERATOR <= (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_le,
  COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (bit, bitcode) IS 'less than or equal';
CREATE OPERATOR > (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_gt,
  COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (bitcode, bit) IS 'greater than';
CREATE OPERATOR > (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_gt,
  COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (bit, bitcode) IS 'greater than';
CREATE OPERATOR >= (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_ge,
  COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (bitcode, bit) IS 'greater than or equal';
CREATE OPERATOR >= (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_ge,
  COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (bit, bitcode) IS 'greater than or equal';

-- Bitwise operators and parts

CREATE FUNCTION bitcode_and(bitcode, bitcode) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_and' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_and(bitcode, bitcode) IS 'implementation of & operator';
CREATE FUNCTION bitcode_or(bitcode, bitcode) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_or' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_or(bitcode, bitcode) IS 'implementation of | operator';
CREATE FUNCTION bitcode_xor(bitcode, bitcode) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_xor' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_xor(bitcode, bitcode) IS 'implementation of # operator';
CREATE FUNCTION bitcode_concat(bitcode, bitcode) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_concat' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_concat(bitcode, bitcode) IS 'implementation of || operator';
CREATE FUNCTION bitcode_not(bitcode) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_not' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_not(bitcode) IS 'implementation of ~ operator';
CREATE OPERATOR & (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_and,
  COMMUTATOR = &);
COMMENT ON OPERATOR & (bitcode, bitcode) IS 'bitwise and of codes of one length';
CREATE OPERATOR | (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_or,
  COMMUTATOR = |);
COMMENT ON OPERATOR | (bitcode, bitcode) IS 'bitwise or of codes of one length';
CREATE OPERATOR # (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_xor,
  COMMUTATOR = #);
COMMENT ON OPERATOR # (bitcode, bitcode) IS 'bitwise exclusive or of codes of one length';
CREATE OPERATOR ~ (RIGHTARG = bitcode, FUNCTION = bitcode_not);
COMMENT ON OPERATOR ~ (NONE, bitcode) IS 'bitwise not';
CREATE OPERATOR || (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = bitcode_concat);
COMMENT ON OPERATOR || (bitcode, bitcode) IS 'concatenate';

-- Positions are bigint, not integer as in core: else a call of core's function
-- with an untyped constant and an integer would mean these.
CREATE FUNCTION length(bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_length' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION length(bitcode) IS 'length in bits';
CREATE FUNCTION bit_count(bitcode) RETURNS bigint
  AS 'MODULE_PATHNAME', 'bitcode_bit_count' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bit_count(bitcode) IS 'number of set bits';
CREATE FUNCTION get_bit(bitcode, bigint) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_get_bit' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION get_bit(bitcode, bigint) IS 'the bit at a position, from 0';
CREATE FUNCTION "substring"(bitcode, bigint, bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_substring' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION "substring"(bitcode, bigint, bigint) IS 'part of a code: position, from 1, and length';
CREATE FUNCTION "substring"(bitcode, bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_substring_from' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION "substring"(bitcode, bigint) IS 'part of a code: from a position, from 1, to the end';

CREATE FUNCTION bit_length(bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_length' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bit_length(bitcode) IS 'length in bits';
CREATE FUNCTION octet_length(bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_octet_length' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION octet_length(bitcode) IS 'length in bytes, the last one filled up';
CREATE FUNCTION set_bit(bitcode, bigint, bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_set_bit' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION set_bit(bitcode, bigint, bigint) IS 'the code with the bit at a position, from 0, set to 0 or 1';
CREATE FUNCTION "overlay"(bitcode, bitcode, bigint, bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_overlay' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION "overlay"(bitcode, bitcode, bigint, bigint) IS 'replace a part of a code: position, from 1, and length';
CREATE FUNCTION "overlay"(bitcode, bitcode, bigint) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_overlay_whole' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION "overlay"(bitcode, bitcode, bigint) IS 'replace a part of a code, as long as its replacement: position, from 1';
-- SQL's POSITION(part IN code) is for core's types only.
CREATE FUNCTION bit_position(part bitcode, code bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_position' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bit_position(part bitcode, code bitcode) IS 'where a code first has a part, from 1; 0: nowhere';
-- Unlike the output function these depend on no setting.
CREATE FUNCTION to_hex(bitcode) RETURNS text
  AS 'MODULE_PATHNAME', 'bitcode_to_hex' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_hex(bitcode) IS 'hexadecimal digits of a code whose length is a multiple of 4';
CREATE FUNCTION to_bin(bitcode) RETURNS text
  AS 'MODULE_PATHNAME', 'bitcode_to_bin' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION to_bin(bitcode) IS 'binary digits of a code';

CREATE AGGREGATE bit_and(bitcode) (
  SFUNC = bitcode_and, STYPE = bitcode, COMBINEFUNC = bitcode_and, PARALLEL = SAFE
);
COMMENT ON AGGREGATE bit_and(bitcode) IS 'bitwise-and aggregate of codes of one length';
CREATE AGGREGATE bit_or(bitcode) (
  SFUNC = bitcode_or, STYPE = bitcode, COMBINEFUNC = bitcode_or, PARALLEL = SAFE
);
COMMENT ON AGGREGATE bit_or(bitcode) IS 'bitwise-or aggregate of codes of one length';
CREATE AGGREGATE bit_xor(bitcode) (
  SFUNC = bitcode_xor, STYPE = bitcode, COMBINEFUNC = bitcode_xor, PARALLEL = SAFE
);
COMMENT ON AGGREGATE bit_xor(bitcode) IS 'bitwise-xor aggregate of codes of one length';

-- Hamming distance

-- A call was measured to take 3.6 times the instructions of a comparison of integers, the
-- executor's share included, at 64 bits; so conditions that cost less go first.
CREATE FUNCTION hamming_distance(bitcode, bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_hamming_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4;
COMMENT ON FUNCTION hamming_distance(bitcode, bitcode) IS 'number of differing bits of two codes of one length';
CREATE FUNCTION hamming_within(a bitcode, b bitcode, radius integer) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_hamming_within' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4;
COMMENT ON FUNCTION hamming_within(a bitcode, b bitcode, radius integer) IS 'whether two codes are of one length and differ in at most radius bits';
CREATE OPERATOR <~> (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = hamming_distance,
  COMMUTATOR = <~>);
COMMENT ON OPERATOR <~> (bitcode, bitcode) IS 'Hamming distance';

-- With bit strings, as above.
CREATE FUNCTION bitcode_hamming_distance(bitcode, bit) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_hamming_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4 SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_hamming_distance(bitcode, bit) IS 'implementation of <~> operator';
CREATE FUNCTION bitcode_hamming_distance(bit, bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_hamming_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 4 SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION bitcode_hamming_distance(bit, bitcode) IS 'implementation of <~> operator';
CREATE OPERATOR <~> (LEFTARG = bitcode, RIGHTARG = bit, FUNCTION = bitcode_hamming_distance,
  COMMUTATOR = <~>);
COMMENT ON OPERATOR <~> (bitcode, bit) IS 'Hamming distance';
CREATE OPERATOR <~> (LEFTARG = bit, RIGHTARG = bitcode, FUNCTION = bitcode_hamming_distance,
  COMMUTATOR = <~>);
COMMENT ON OPERATOR <~> (bit, bitcode) IS 'Hamming distance';
CREATE FUNCTION hamming_within(a bitcode, b bit, radius integer) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_hamming_within' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4 SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION hamming_within(a bitcode, b bit, radius integer) IS 'whether a code and a bit string are of one length and differ in at most radius bits';
CREATE FUNCTION hamming_within(a bit, b bitcode, radius integer) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_hamming_within' LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4 SUPPORT bitcode_bit_support;
COMMENT ON FUNCTION hamming_within(a bit, b bitcode, radius integer) IS 'whether a code and a bit string are of one length and differ in at most radius bits';

-- The centre of a set of codes

-- The state is bytea: engines that combine partial states of several servers send
-- what is no pseudo-type.
CREATE FUNCTION bitcode_majority_add(bytea, bitcode) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_majority_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_add(bytea, bitcode) IS 'aggregate transition function';
CREATE FUNCTION bitcode_majority_remove(bytea, bitcode) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_majority_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_remove(bytea, bitcode) IS 'aggregate inverse transition function';
CREATE FUNCTION bitcode_majority_combine(bytea, bytea) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_majority_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_combine(bytea, bytea) IS 'aggregate combine function';
CREATE FUNCTION bitcode_majority_result(bytea) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_majority_result' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_result(bytea) IS 'aggregate final function';

CREATE AGGREGATE bit_majority(bitcode) (
  SFUNC = bitcode_majority_add, STYPE = bytea, SSPACE = 1024,
  FINALFUNC = bitcode_majority_result, FINALFUNC_MODIFY = READ_ONLY,
  COMBINEFUNC = bitcode_majority_combine,
  MSFUNC = bitcode_majority_add, MINVFUNC = bitcode_majority_remove,
  MSTYPE = bytea, MSSPACE = 1024,
  MFINALFUNC = bitcode_majority_result, MFINALFUNC_MODIFY = READ_ONLY,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE bit_majority(bitcode) IS
  'bitwise majority, the centre of a set of codes in Hamming space; ties give 0';

------------------------------------------------------------------------
-- The index access method
------------------------------------------------------------------------

CREATE FUNCTION xmhash_handler(internal) RETURNS index_am_handler
  LANGUAGE C STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION xmhash_handler(internal) IS 'index access method handler of xmhash';

CREATE ACCESS METHOD xmhash TYPE INDEX HANDLER xmhash_handler;
COMMENT ON ACCESS METHOD xmhash IS 'exact nearest neighbours and radius search in Hamming space';

CREATE FUNCTION xmhash_index_stats(index regclass,
  OUT format_version integer, OUT bits integer, OUT rows bigint, OUT null_rows bigint,
  OUT pending_rows bigint, OUT segments integer, OUT centres bigint, OUT data_pages bigint,
  OUT band_pages bigint, OUT null_pages bigint, OUT directory_pages bigint, OUT catalogue_pages bigint,
  OUT pending_pages bigint, OUT free_pages bigint, OUT bytes bigint,
  OUT filter_columns integer, OUT filter_bytes bigint)
  LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION xmhash_index_stats(regclass) IS 'what an xmhash index consists of';

CREATE FUNCTION xmhash_index_check(index regclass, heapallindexed boolean DEFAULT false) RETURNS void
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION xmhash_index_check(regclass, boolean) IS
  'verify the structure of an xmhash index, and that every row is in it; for its owner';

CREATE FUNCTION xmhash_index_merge(index regclass) RETURNS bigint
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE COST 100000 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION xmhash_index_merge(regclass) IS
  'flush the pending insertions of an xmhash index and merge its segments; returns the rows flushed; for its owner';

-- The radius condition as one operator, and the operator class

CREATE TYPE hamming_ball;
CREATE FUNCTION hamming_ball_in(cstring) RETURNS hamming_ball
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_in(cstring) IS 'I/O';
CREATE FUNCTION hamming_ball_out(hamming_ball) RETURNS cstring
  LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_out(hamming_ball) IS 'I/O';
CREATE FUNCTION hamming_ball_recv(internal) RETURNS hamming_ball
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_recv(internal) IS 'I/O';
CREATE FUNCTION hamming_ball_send(hamming_ball) RETURNS bytea
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_send(hamming_ball) IS 'I/O';
CREATE TYPE hamming_ball (INPUT = hamming_ball_in, OUTPUT = hamming_ball_out,
  RECEIVE = hamming_ball_recv, SEND = hamming_ball_send,
  INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended);
COMMENT ON TYPE hamming_ball IS 'a code and a radius: all codes that differ from it in at most so many bits';

CREATE FUNCTION hamming_ball(center bitcode, radius integer) RETURNS hamming_ball
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hamming_ball_make';
COMMENT ON FUNCTION hamming_ball(bitcode, integer) IS 'the codes within a radius of a code';

CREATE FUNCTION hamming_ball(center bit, radius integer) RETURNS hamming_ball
  LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'hamming_ball_make_from_bits';
COMMENT ON FUNCTION hamming_ball(bit, integer) IS 'the codes within a radius of a bit string';

-- Order and equality of balls: of the centers as codes, then of the radii.

CREATE FUNCTION hamming_ball_eq(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_eq(hamming_ball, hamming_ball) IS 'implementation of = operator';
CREATE FUNCTION hamming_ball_ne(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_ne(hamming_ball, hamming_ball) IS 'implementation of <> operator';
CREATE FUNCTION hamming_ball_lt(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_lt(hamming_ball, hamming_ball) IS 'implementation of < operator';
CREATE FUNCTION hamming_ball_le(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_le(hamming_ball, hamming_ball) IS 'implementation of <= operator';
CREATE FUNCTION hamming_ball_gt(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_gt(hamming_ball, hamming_ball) IS 'implementation of > operator';
CREATE FUNCTION hamming_ball_ge(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_ge(hamming_ball, hamming_ball) IS 'implementation of >= operator';
CREATE FUNCTION hamming_ball_cmp(hamming_ball, hamming_ball) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_cmp(hamming_ball, hamming_ball) IS 'less-equal-greater';
CREATE FUNCTION hamming_ball_hash(hamming_ball) RETURNS integer
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_hash(hamming_ball) IS 'hash';
CREATE FUNCTION hamming_ball_hash_extended(hamming_ball, bigint) RETURNS bigint
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_hash_extended(hamming_ball, bigint) IS 'hash';
CREATE OPERATOR = (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_eq,
  COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
COMMENT ON OPERATOR = (hamming_ball, hamming_ball) IS 'equal';
CREATE OPERATOR <> (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_ne,
  COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel);
COMMENT ON OPERATOR <> (hamming_ball, hamming_ball) IS 'not equal';
CREATE OPERATOR < (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_lt,
  COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
COMMENT ON OPERATOR < (hamming_ball, hamming_ball) IS 'less than';
CREATE OPERATOR <= (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_le,
  COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
COMMENT ON OPERATOR <= (hamming_ball, hamming_ball) IS 'less than or equal';
CREATE OPERATOR > (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_gt,
  COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
COMMENT ON OPERATOR > (hamming_ball, hamming_ball) IS 'greater than';
CREATE OPERATOR >= (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_ge,
  COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel);
COMMENT ON OPERATOR >= (hamming_ball, hamming_ball) IS 'greater than or equal';
CREATE OPERATOR CLASS hamming_ball_ops DEFAULT FOR TYPE hamming_ball USING btree AS
  OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
  FUNCTION 1 hamming_ball_cmp(hamming_ball, hamming_ball),
  FUNCTION 4 btequalimage(oid);
COMMENT ON OPERATOR CLASS hamming_ball_ops USING btree IS 'order of the centers, then of the radii';
COMMENT ON OPERATOR FAMILY hamming_ball_ops USING btree IS 'order of the centers, then of the radii';
CREATE OPERATOR CLASS hamming_ball_ops DEFAULT FOR TYPE hamming_ball USING hash AS
  OPERATOR 1 =,
  FUNCTION 1 hamming_ball_hash(hamming_ball),
  FUNCTION 2 hamming_ball_hash_extended(hamming_ball, bigint);
COMMENT ON OPERATOR CLASS hamming_ball_ops USING hash IS 'equality of balls';
COMMENT ON OPERATOR FAMILY hamming_ball_ops USING hash IS 'equality of balls';

-- Membership

CREATE FUNCTION bitcode_in_ball_support(internal) RETURNS internal
  LANGUAGE C STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION bitcode_in_ball_support(internal) IS 'planner support for <@ and @>';
CREATE FUNCTION bitcode_in_ball(code bitcode, ball hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4 SUPPORT bitcode_in_ball_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION bitcode_in_ball(bitcode, hamming_ball) IS 'implementation of <@ operator';
CREATE FUNCTION hamming_ball_selectivity(internal, oid, internal, integer) RETURNS double precision
  LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_selectivity(internal, oid, internal, integer) IS 'restriction selectivity of <@ and @>';
CREATE FUNCTION hamming_ball_join_selectivity(internal, oid, internal, smallint, internal) RETURNS double precision
  LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_join_selectivity(internal, oid, internal, smallint, internal) IS 'join selectivity of <@ and @>';
CREATE FUNCTION ball_contains_bitcode(ball hamming_ball, code bitcode) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4 SUPPORT bitcode_in_ball_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION ball_contains_bitcode(hamming_ball, bitcode) IS 'implementation of @> operator';
CREATE OPERATOR <@ (LEFTARG = bitcode, RIGHTARG = hamming_ball, FUNCTION = bitcode_in_ball,
  COMMUTATOR = @>, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
COMMENT ON OPERATOR <@ (bitcode, hamming_ball) IS 'is within the radius; what hamming_within() becomes in an index condition';
CREATE OPERATOR @> (LEFTARG = hamming_ball, RIGHTARG = bitcode, FUNCTION = ball_contains_bitcode,
  COMMUTATOR = <@, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
COMMENT ON OPERATOR @> (hamming_ball, bitcode) IS 'has within its radius';

-- Of two balls: for exclusion constraints, which ask for an operator of one type
-- that is its own commutator.

CREATE FUNCTION hamming_ball_mutual(hamming_ball, hamming_ball) RETURNS boolean
  LANGUAGE C IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE COST 4 AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_ball_mutual(hamming_ball, hamming_ball) IS 'implementation of <@> operator';
CREATE OPERATOR <@> (LEFTARG = hamming_ball, RIGHTARG = hamming_ball, FUNCTION = hamming_ball_mutual,
  COMMUTATOR = <@>, RESTRICT = hamming_ball_selectivity, JOIN = hamming_ball_join_selectivity);
COMMENT ON OPERATOR <@> (hamming_ball, hamming_ball) IS 'have each other''s center within their radius';

CREATE FUNCTION hamming_within_support(internal) RETURNS internal
  LANGUAGE C STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION hamming_within_support(internal) IS 'planner support for hamming_within';
ALTER FUNCTION hamming_within(bitcode, bitcode, integer) SUPPORT hamming_within_support;

CREATE OPERATOR CLASS bitcode_hamming_ops DEFAULT FOR TYPE bitcode USING xmhash AS
  OPERATOR 1 <~> (bitcode, bitcode) FOR ORDER BY pg_catalog.integer_ops,
  OPERATOR 2 = (bitcode, bitcode),
  OPERATOR 3 <@ (bitcode, hamming_ball);
COMMENT ON OPERATOR FAMILY bitcode_hamming_ops USING xmhash IS 'Hamming distance, radius and equality of codes';
COMMENT ON OPERATOR CLASS bitcode_hamming_ops USING xmhash IS 'Hamming distance, radius and equality of codes';

CREATE OPERATOR CLASS hamming_ball_ops DEFAULT FOR TYPE hamming_ball USING xmhash AS
  OPERATOR 4 <@>;
COMMENT ON OPERATOR FAMILY hamming_ball_ops USING xmhash IS 'balls that have each other''s center within their radius';
COMMENT ON OPERATOR CLASS hamming_ball_ops USING xmhash IS 'balls that have each other''s center within their radius';

-- Filter columns.  Where a number stands for the type's values, the index knows
-- their order, of types of one family also among each other; else a hash finds
-- equal values.  The operators are core's, and so are the hash functions.
CREATE OPERATOR FAMILY integer_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY integer_filter_ops USING xmhash IS 'filter columns of integers';
CREATE OPERATOR CLASS int2_filter_ops DEFAULT FOR TYPE smallint USING xmhash FAMILY integer_filter_ops AS
  OPERATOR 5 pg_catalog.< (smallint, smallint),
  OPERATOR 6 pg_catalog.<= (smallint, smallint),
  OPERATOR 7 pg_catalog.= (smallint, smallint),
  OPERATOR 8 pg_catalog.>= (smallint, smallint),
  OPERATOR 9 pg_catalog.> (smallint, smallint);
COMMENT ON OPERATOR CLASS int2_filter_ops USING xmhash IS 'filter columns of type smallint';
CREATE OPERATOR CLASS int4_filter_ops DEFAULT FOR TYPE integer USING xmhash FAMILY integer_filter_ops AS
  OPERATOR 5 pg_catalog.< (integer, integer),
  OPERATOR 6 pg_catalog.<= (integer, integer),
  OPERATOR 7 pg_catalog.= (integer, integer),
  OPERATOR 8 pg_catalog.>= (integer, integer),
  OPERATOR 9 pg_catalog.> (integer, integer);
COMMENT ON OPERATOR CLASS int4_filter_ops USING xmhash IS 'filter columns of type integer';
CREATE OPERATOR CLASS int8_filter_ops DEFAULT FOR TYPE bigint USING xmhash FAMILY integer_filter_ops AS
  OPERATOR 5 pg_catalog.< (bigint, bigint),
  OPERATOR 6 pg_catalog.<= (bigint, bigint),
  OPERATOR 7 pg_catalog.= (bigint, bigint),
  OPERATOR 8 pg_catalog.>= (bigint, bigint),
  OPERATOR 9 pg_catalog.> (bigint, bigint);
COMMENT ON OPERATOR CLASS int8_filter_ops USING xmhash IS 'filter columns of type bigint';
ALTER OPERATOR FAMILY integer_filter_ops USING xmhash ADD
  OPERATOR 5 pg_catalog.< (smallint, integer), OPERATOR 6 pg_catalog.<= (smallint, integer), OPERATOR 7 pg_catalog.= (smallint, integer), OPERATOR 8 pg_catalog.>= (smallint, integer), OPERATOR 9 pg_catalog.> (smallint, integer),
  OPERATOR 5 pg_catalog.< (smallint, bigint), OPERATOR 6 pg_catalog.<= (smallint, bigint), OPERATOR 7 pg_catalog.= (smallint, bigint), OPERATOR 8 pg_catalog.>= (smallint, bigint), OPERATOR 9 pg_catalog.> (smallint, bigint),
  OPERATOR 5 pg_catalog.< (integer, smallint), OPERATOR 6 pg_catalog.<= (integer, smallint), OPERATOR 7 pg_catalog.= (integer, smallint), OPERATOR 8 pg_catalog.>= (integer, smallint), OPERATOR 9 pg_catalog.> (integer, smallint),
  OPERATOR 5 pg_catalog.< (integer, bigint), OPERATOR 6 pg_catalog.<= (integer, bigint), OPERATOR 7 pg_catalog.= (integer, bigint), OPERATOR 8 pg_catalog.>= (integer, bigint), OPERATOR 9 pg_catalog.> (integer, bigint),
  OPERATOR 5 pg_catalog.< (bigint, smallint), OPERATOR 6 pg_catalog.<= (bigint, smallint), OPERATOR 7 pg_catalog.= (bigint, smallint), OPERATOR 8 pg_catalog.>= (bigint, smallint), OPERATOR 9 pg_catalog.> (bigint, smallint),
  OPERATOR 5 pg_catalog.< (bigint, integer), OPERATOR 6 pg_catalog.<= (bigint, integer), OPERATOR 7 pg_catalog.= (bigint, integer), OPERATOR 8 pg_catalog.>= (bigint, integer), OPERATOR 9 pg_catalog.> (bigint, integer);
CREATE OPERATOR FAMILY float_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY float_filter_ops USING xmhash IS 'filter columns of floating-point numbers';
CREATE OPERATOR CLASS float4_filter_ops DEFAULT FOR TYPE real USING xmhash FAMILY float_filter_ops AS
  OPERATOR 5 pg_catalog.< (real, real),
  OPERATOR 6 pg_catalog.<= (real, real),
  OPERATOR 7 pg_catalog.= (real, real),
  OPERATOR 8 pg_catalog.>= (real, real),
  OPERATOR 9 pg_catalog.> (real, real);
COMMENT ON OPERATOR CLASS float4_filter_ops USING xmhash IS 'filter columns of type real';
CREATE OPERATOR CLASS float8_filter_ops DEFAULT FOR TYPE double precision USING xmhash FAMILY float_filter_ops AS
  OPERATOR 5 pg_catalog.< (double precision, double precision),
  OPERATOR 6 pg_catalog.<= (double precision, double precision),
  OPERATOR 7 pg_catalog.= (double precision, double precision),
  OPERATOR 8 pg_catalog.>= (double precision, double precision),
  OPERATOR 9 pg_catalog.> (double precision, double precision);
COMMENT ON OPERATOR CLASS float8_filter_ops USING xmhash IS 'filter columns of type double precision';
ALTER OPERATOR FAMILY float_filter_ops USING xmhash ADD
  OPERATOR 5 pg_catalog.< (real, double precision), OPERATOR 6 pg_catalog.<= (real, double precision), OPERATOR 7 pg_catalog.= (real, double precision), OPERATOR 8 pg_catalog.>= (real, double precision), OPERATOR 9 pg_catalog.> (real, double precision),
  OPERATOR 5 pg_catalog.< (double precision, real), OPERATOR 6 pg_catalog.<= (double precision, real), OPERATOR 7 pg_catalog.= (double precision, real), OPERATOR 8 pg_catalog.>= (double precision, real), OPERATOR 9 pg_catalog.> (double precision, real);
CREATE OPERATOR FAMILY boolean_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY boolean_filter_ops USING xmhash IS 'filter columns of booleans';
CREATE OPERATOR CLASS boolean_filter_ops DEFAULT FOR TYPE boolean USING xmhash FAMILY boolean_filter_ops AS
  OPERATOR 5 pg_catalog.< (boolean, boolean),
  OPERATOR 6 pg_catalog.<= (boolean, boolean),
  OPERATOR 7 pg_catalog.= (boolean, boolean),
  OPERATOR 8 pg_catalog.>= (boolean, boolean),
  OPERATOR 9 pg_catalog.> (boolean, boolean);
COMMENT ON OPERATOR CLASS boolean_filter_ops USING xmhash IS 'filter columns of type boolean';
CREATE OPERATOR FAMILY char_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY char_filter_ops USING xmhash IS 'filter columns of single bytes';
CREATE OPERATOR CLASS char_filter_ops DEFAULT FOR TYPE "char" USING xmhash FAMILY char_filter_ops AS
  OPERATOR 5 pg_catalog.< ("char", "char"),
  OPERATOR 6 pg_catalog.<= ("char", "char"),
  OPERATOR 7 pg_catalog.= ("char", "char"),
  OPERATOR 8 pg_catalog.>= ("char", "char"),
  OPERATOR 9 pg_catalog.> ("char", "char");
COMMENT ON OPERATOR CLASS char_filter_ops USING xmhash IS 'filter columns of type "char"';
CREATE OPERATOR FAMILY oid_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY oid_filter_ops USING xmhash IS 'filter columns of OIDs';
CREATE OPERATOR CLASS oid_filter_ops DEFAULT FOR TYPE oid USING xmhash FAMILY oid_filter_ops AS
  OPERATOR 5 pg_catalog.< (oid, oid),
  OPERATOR 6 pg_catalog.<= (oid, oid),
  OPERATOR 7 pg_catalog.= (oid, oid),
  OPERATOR 8 pg_catalog.>= (oid, oid),
  OPERATOR 9 pg_catalog.> (oid, oid);
COMMENT ON OPERATOR CLASS oid_filter_ops USING xmhash IS 'filter columns of type oid';
CREATE OPERATOR FAMILY date_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY date_filter_ops USING xmhash IS 'filter columns of dates';
CREATE OPERATOR CLASS date_filter_ops DEFAULT FOR TYPE date USING xmhash FAMILY date_filter_ops AS
  OPERATOR 5 pg_catalog.< (date, date),
  OPERATOR 6 pg_catalog.<= (date, date),
  OPERATOR 7 pg_catalog.= (date, date),
  OPERATOR 8 pg_catalog.>= (date, date),
  OPERATOR 9 pg_catalog.> (date, date);
COMMENT ON OPERATOR CLASS date_filter_ops USING xmhash IS 'filter columns of type date';
CREATE OPERATOR FAMILY time_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY time_filter_ops USING xmhash IS 'filter columns of times of day';
CREATE OPERATOR CLASS time_filter_ops DEFAULT FOR TYPE time USING xmhash FAMILY time_filter_ops AS
  OPERATOR 5 pg_catalog.< (time, time),
  OPERATOR 6 pg_catalog.<= (time, time),
  OPERATOR 7 pg_catalog.= (time, time),
  OPERATOR 8 pg_catalog.>= (time, time),
  OPERATOR 9 pg_catalog.> (time, time);
COMMENT ON OPERATOR CLASS time_filter_ops USING xmhash IS 'filter columns of type time';
CREATE OPERATOR FAMILY timestamp_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY timestamp_filter_ops USING xmhash IS 'filter columns of timestamps without time zone';
CREATE OPERATOR CLASS timestamp_filter_ops DEFAULT FOR TYPE timestamp USING xmhash FAMILY timestamp_filter_ops AS
  OPERATOR 5 pg_catalog.< (timestamp, timestamp),
  OPERATOR 6 pg_catalog.<= (timestamp, timestamp),
  OPERATOR 7 pg_catalog.= (timestamp, timestamp),
  OPERATOR 8 pg_catalog.>= (timestamp, timestamp),
  OPERATOR 9 pg_catalog.> (timestamp, timestamp);
COMMENT ON OPERATOR CLASS timestamp_filter_ops USING xmhash IS 'filter columns of type timestamp';
CREATE OPERATOR FAMILY timestamptz_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY timestamptz_filter_ops USING xmhash IS 'filter columns of timestamps with time zone';
CREATE OPERATOR CLASS timestamptz_filter_ops DEFAULT FOR TYPE timestamptz USING xmhash FAMILY timestamptz_filter_ops AS
  OPERATOR 5 pg_catalog.< (timestamptz, timestamptz),
  OPERATOR 6 pg_catalog.<= (timestamptz, timestamptz),
  OPERATOR 7 pg_catalog.= (timestamptz, timestamptz),
  OPERATOR 8 pg_catalog.>= (timestamptz, timestamptz),
  OPERATOR 9 pg_catalog.> (timestamptz, timestamptz);
COMMENT ON OPERATOR CLASS timestamptz_filter_ops USING xmhash IS 'filter columns of type timestamptz';
CREATE OPERATOR FAMILY money_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY money_filter_ops USING xmhash IS 'filter columns of amounts of money';
CREATE OPERATOR CLASS money_filter_ops DEFAULT FOR TYPE money USING xmhash FAMILY money_filter_ops AS
  OPERATOR 5 pg_catalog.< (money, money),
  OPERATOR 6 pg_catalog.<= (money, money),
  OPERATOR 7 pg_catalog.= (money, money),
  OPERATOR 8 pg_catalog.>= (money, money),
  OPERATOR 9 pg_catalog.> (money, money);
COMMENT ON OPERATOR CLASS money_filter_ops USING xmhash IS 'filter columns of type money';
CREATE OPERATOR FAMILY pg_lsn_filter_ops USING xmhash;
COMMENT ON OPERATOR FAMILY pg_lsn_filter_ops USING xmhash IS 'filter columns of WAL positions';
CREATE OPERATOR CLASS pg_lsn_filter_ops DEFAULT FOR TYPE pg_lsn USING xmhash FAMILY pg_lsn_filter_ops AS
  OPERATOR 5 pg_catalog.< (pg_lsn, pg_lsn),
  OPERATOR 6 pg_catalog.<= (pg_lsn, pg_lsn),
  OPERATOR 7 pg_catalog.= (pg_lsn, pg_lsn),
  OPERATOR 8 pg_catalog.>= (pg_lsn, pg_lsn),
  OPERATOR 9 pg_catalog.> (pg_lsn, pg_lsn);
COMMENT ON OPERATOR CLASS pg_lsn_filter_ops USING xmhash IS 'filter columns of type pg_lsn';
CREATE OPERATOR CLASS text_filter_ops DEFAULT FOR TYPE text USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashtext(text);
COMMENT ON OPERATOR FAMILY text_filter_ops USING xmhash IS 'filter columns of texts';
COMMENT ON OPERATOR CLASS text_filter_ops USING xmhash IS 'filter columns of texts';
CREATE OPERATOR CLASS bpchar_filter_ops DEFAULT FOR TYPE bpchar USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashbpchar(bpchar);
COMMENT ON OPERATOR FAMILY bpchar_filter_ops USING xmhash IS 'filter columns of blank-padded texts';
COMMENT ON OPERATOR CLASS bpchar_filter_ops USING xmhash IS 'filter columns of blank-padded texts';
CREATE OPERATOR CLASS name_filter_ops DEFAULT FOR TYPE name USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashname(name);
COMMENT ON OPERATOR FAMILY name_filter_ops USING xmhash IS 'filter columns of names';
COMMENT ON OPERATOR CLASS name_filter_ops USING xmhash IS 'filter columns of names';
CREATE OPERATOR CLASS bytea_filter_ops DEFAULT FOR TYPE bytea USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashvarlena(internal);
COMMENT ON OPERATOR FAMILY bytea_filter_ops USING xmhash IS 'filter columns of byte strings';
COMMENT ON OPERATOR CLASS bytea_filter_ops USING xmhash IS 'filter columns of byte strings';
CREATE OPERATOR CLASS numeric_filter_ops DEFAULT FOR TYPE numeric USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hash_numeric(numeric);
COMMENT ON OPERATOR FAMILY numeric_filter_ops USING xmhash IS 'filter columns of numbers';
COMMENT ON OPERATOR CLASS numeric_filter_ops USING xmhash IS 'filter columns of numbers';
CREATE OPERATOR CLASS uuid_filter_ops DEFAULT FOR TYPE uuid USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.uuid_hash(uuid);
COMMENT ON OPERATOR FAMILY uuid_filter_ops USING xmhash IS 'filter columns of UUIDs';
COMMENT ON OPERATOR CLASS uuid_filter_ops USING xmhash IS 'filter columns of UUIDs';
CREATE OPERATOR CLASS interval_filter_ops DEFAULT FOR TYPE interval USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.interval_hash(interval);
COMMENT ON OPERATOR FAMILY interval_filter_ops USING xmhash IS 'filter columns of intervals';
COMMENT ON OPERATOR CLASS interval_filter_ops USING xmhash IS 'filter columns of intervals';
CREATE OPERATOR CLASS timetz_filter_ops DEFAULT FOR TYPE timetz USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.timetz_hash(timetz);
COMMENT ON OPERATOR FAMILY timetz_filter_ops USING xmhash IS 'filter columns of times of day with time zone';
COMMENT ON OPERATOR CLASS timetz_filter_ops USING xmhash IS 'filter columns of times of day with time zone';
CREATE OPERATOR CLASS inet_filter_ops DEFAULT FOR TYPE inet USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashinet(inet);
COMMENT ON OPERATOR FAMILY inet_filter_ops USING xmhash IS 'filter columns of network addresses';
COMMENT ON OPERATOR CLASS inet_filter_ops USING xmhash IS 'filter columns of network addresses';
CREATE OPERATOR CLASS macaddr_filter_ops DEFAULT FOR TYPE macaddr USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashmacaddr(macaddr);
COMMENT ON OPERATOR FAMILY macaddr_filter_ops USING xmhash IS 'filter columns of MAC addresses';
COMMENT ON OPERATOR CLASS macaddr_filter_ops USING xmhash IS 'filter columns of MAC addresses';
CREATE OPERATOR CLASS macaddr8_filter_ops DEFAULT FOR TYPE macaddr8 USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashmacaddr8(macaddr8);
COMMENT ON OPERATOR FAMILY macaddr8_filter_ops USING xmhash IS 'filter columns of MAC addresses of 8 bytes';
COMMENT ON OPERATOR CLASS macaddr8_filter_ops USING xmhash IS 'filter columns of MAC addresses of 8 bytes';
CREATE OPERATOR CLASS jsonb_filter_ops DEFAULT FOR TYPE jsonb USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.jsonb_hash(jsonb);
COMMENT ON OPERATOR FAMILY jsonb_filter_ops USING xmhash IS 'filter columns of JSON values';
COMMENT ON OPERATOR CLASS jsonb_filter_ops USING xmhash IS 'filter columns of JSON values';
CREATE OPERATOR CLASS enum_filter_ops DEFAULT FOR TYPE anyenum USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hashenum(anyenum);
COMMENT ON OPERATOR FAMILY enum_filter_ops USING xmhash IS 'filter columns of values of enumerated types';
COMMENT ON OPERATOR CLASS enum_filter_ops USING xmhash IS 'filter columns of values of enumerated types';
CREATE OPERATOR CLASS array_filter_ops DEFAULT FOR TYPE anyarray USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hash_array(anyarray);
COMMENT ON OPERATOR FAMILY array_filter_ops USING xmhash IS 'filter columns of arrays';
COMMENT ON OPERATOR CLASS array_filter_ops USING xmhash IS 'filter columns of arrays';
CREATE OPERATOR CLASS range_filter_ops DEFAULT FOR TYPE anyrange USING xmhash AS
  OPERATOR 7 pg_catalog.=, FUNCTION 1 pg_catalog.hash_range(anyrange);
COMMENT ON OPERATOR FAMILY range_filter_ops USING xmhash IS 'filter columns of ranges';
COMMENT ON OPERATOR CLASS range_filter_ops USING xmhash IS 'filter columns of ranges';

CREATE FUNCTION xmhash_last_scan(
  OUT index regclass, OUT strategy text, OUT scans bigint, OUT segments bigint,
  OUT data_pages bigint, OUT pages_read bigint, OUT pending_pages_read bigint,
  OUT codes_compared bigint, OUT candidates bigint, OUT rows_returned bigint,
  OUT batches bigint, OUT radius bigint)
  LANGUAGE C VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION xmhash_last_scan() IS
  'what the last scan of an xmhash index by this session did; NULL: there was none';

------------------------------------------------------------------------
-- Models: storage, training, encoding
------------------------------------------------------------------------

-- A model is a table of its owner's, OF this type, which is what it is known
-- by.  The extension itself has no tables: rights, dumps, replication and
-- names of models are those of any table.
--
-- Views name the schema of every operator and have operands of its very types:
-- the schema of this script is first in the search path while it runs, and
-- what its owner has put there must not be taken.

CREATE TYPE xmhash_model AS (part text COLLATE pg_catalog."C", number integer, info jsonb, data bytea);
COMMENT ON TYPE xmhash_model IS 'row type of the tables that are models; see the view xmhash_models';
COMMENT ON COLUMN xmhash_model.part IS '''model'': what the view xmhash_models shows; ''epoch'': one row an epoch of the training; ''weights'', ''checkpoint'': pieces of these';
COMMENT ON COLUMN xmhash_model.number IS '0 for ''model'', the epoch, or the piece''s number from 0';
COMMENT ON COLUMN xmhash_model.info IS 'what is known about the row';
COMMENT ON COLUMN xmhash_model.data IS 'at most 16 MB of little-endian float32';

CREATE FUNCTION xmhash_model_changed() RETURNS trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON FUNCTION xmhash_model_changed() IS 'trigger of a model''s table: sessions that remember the model look at its rows again';

CREATE FUNCTION xmhash_model_info(
    model regclass,
    OUT method text, OUT bits integer, OUT image_dimensions integer, OUT text_dimensions integer,
    OUT image_hidden integer[], OUT text_hidden integer[], OUT classes text[], OUT options jsonb,
    OUT status text, OUT epochs_done integer, OUT pairs bigint, OUT loss double precision,
    OUT created timestamp with time zone, OUT seconds double precision, OUT bytes bigint)
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION xmhash_model_info(regclass) IS 'what a model says of itself: for the view xmhash_models';

-- It reads all weights, so it is no column of the former: the view computes it for queries that name it.
CREATE FUNCTION xmhash_model_digest(model regclass) RETURNS text
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 100000;
COMMENT ON FUNCTION xmhash_model_digest(regclass) IS
  'SHA-256 of all that a model''s codes depend on, the same on every server; NULL if it has no weights, or none that can be read';

CREATE FUNCTION xmhash_model_epochs(model regclass)
    RETURNS TABLE (epoch integer, epochs integer, loss double precision, loss_terms jsonb,
                   learning_rate double precision, seconds double precision, validation_map double precision)
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT PARALLEL RESTRICTED COST 1000 ROWS 100;
COMMENT ON FUNCTION xmhash_model_epochs(regclass) IS 'the epochs of a model: for the view xmhash_training';

-- The functions look at a table only if the current user may SELECT from it,
-- and are not held up by what they cannot look at.  Models that may not be used
-- are not in the list either; CASE: nobody's rights are looked up but to models.
CREATE VIEW xmhash_models AS
SELECT c.oid::pg_catalog.regclass AS model,
       c.relowner::pg_catalog.regrole AS owner,
       i.method, i.bits, i.image_dimensions, i.text_dimensions, i.image_hidden, i.text_hidden,
       i.classes, i.options, i.status, i.epochs_done, i.pairs, i.loss, i.created, i.seconds, i.bytes,
       xmhash_model_digest(c.oid::pg_catalog.regclass) AS digest
FROM pg_catalog.pg_class c
     CROSS JOIN LATERAL xmhash_model_info(c.oid::pg_catalog.regclass) i
WHERE c.reloftype OPERATOR(pg_catalog.=) 'xmhash_model'::pg_catalog.regtype::pg_catalog.oid
  AND CASE WHEN c.reloftype OPERATOR(pg_catalog.=) 'xmhash_model'::pg_catalog.regtype::pg_catalog.oid
                AND c.relkind OPERATOR(pg_catalog.=) 'r'::"char"
           THEN pg_catalog.has_table_privilege(c.oid, 'SELECT') END;
COMMENT ON VIEW xmhash_models IS 'the models that the current user may use';

CREATE VIEW xmhash_training AS
SELECT c.oid::pg_catalog.regclass AS model,
       e.epoch, e.epochs, e.loss, e.loss_terms, e.learning_rate, e.seconds, e.validation_map
FROM pg_catalog.pg_class c
     CROSS JOIN LATERAL xmhash_model_epochs(c.oid::pg_catalog.regclass) e
WHERE c.reloftype OPERATOR(pg_catalog.=) 'xmhash_model'::pg_catalog.regtype::pg_catalog.oid;
COMMENT ON VIEW xmhash_training IS 'one row an epoch for the models that the current user may use';

GRANT SELECT ON xmhash_models, xmhash_training TO PUBLIC;

CREATE PROCEDURE xmhash_train(
    model text,
    relation regclass,
    image_column name,
    text_column name,
    bits integer,
    method text DEFAULT 'jdsh',
    label_column name DEFAULT NULL,
    options jsonb DEFAULT '{}')
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE xmhash_train(text, regclass, name, name, integer, text, name, jsonb)
    IS 'train a model on pairs of image and text features; outside a transaction block it commits every epoch';

CREATE PROCEDURE xmhash_train_resume(model regclass)
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE xmhash_train_resume(regclass)
    IS 'go on with an interrupted training from its last checkpoint, to the weights of an uninterrupted one';

CREATE FUNCTION xmhash_encode_image(model regclass, features real[]) RETURNS bitcode
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION xmhash_encode_image(regclass, real[]) IS 'code of an image by a trained model';

CREATE FUNCTION xmhash_encode_text(model regclass, features real[]) RETURNS bitcode
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 500;
COMMENT ON FUNCTION xmhash_encode_text(regclass, real[]) IS 'code of a text by a trained model';

CREATE PROCEDURE xmhash_encode_table(
    model regclass,
    relation regclass,
    image_column name,
    image_code_column name,
    text_column name,
    text_code_column name,
    only_missing boolean DEFAULT true,
    batch_rows integer DEFAULT 4096)
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE xmhash_encode_table(regclass, regclass, name, name, name, name, boolean, integer)
    IS 'fill code columns of a table by a trained model; outside a transaction block it commits every batch';

CREATE FUNCTION xmhash_encode_trigger() RETURNS trigger
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON FUNCTION xmhash_encode_trigger()
    IS 'trigger before insert or update of a row, with arguments model, ''image'' or ''text'', features column, code column';

CREATE FUNCTION xmhash_export_model(model regclass) RETURNS bytea
    AS 'MODULE_PATHNAME' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION xmhash_export_model(regclass) IS 'a trained model as a file in safetensors format';

CREATE FUNCTION xmhash_import_model(model text, file bytea) RETURNS void
    AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION xmhash_import_model(text, bytea) IS 'make a model of a file in safetensors format';

CREATE FUNCTION xmhash_bag_of_words(document tsvector, dimensions integer) RETURNS real[]
    AS 'MODULE_PATHNAME' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 40;
COMMENT ON FUNCTION xmhash_bag_of_words(tsvector, integer)
    IS 'hashed bag of words: how often a word of each bucket occurs';

------------------------------------------------------------------------
-- Evaluation
------------------------------------------------------------------------

CREATE FUNCTION average_precision_add(internal, boolean) RETURNS internal
  AS 'MODULE_PATHNAME', 'average_precision_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION average_precision_add(internal, boolean) IS 'aggregate transition function';
CREATE FUNCTION average_precision_add_k(internal, boolean, integer) RETURNS internal
  AS 'MODULE_PATHNAME', 'average_precision_add_k' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION average_precision_add_k(internal, boolean, integer) IS 'aggregate transition function';
CREATE FUNCTION average_precision_result(internal) RETURNS double precision
  AS 'MODULE_PATHNAME', 'average_precision_result' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION average_precision_result(internal) IS 'aggregate final function';

-- The order of rows is the ranking, so there is nothing to combine.
CREATE AGGREGATE average_precision(relevant boolean) (
  SFUNC = average_precision_add, STYPE = internal, SSPACE = 64,
  FINALFUNC = average_precision_result, FINALFUNC_MODIFY = READ_ONLY,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE average_precision(boolean) IS
  'average precision of a ranking: average_precision(relevant ORDER BY distance, id)';
CREATE AGGREGATE average_precision(relevant boolean, k integer) (
  SFUNC = average_precision_add_k, STYPE = internal, SSPACE = 64,
  FINALFUNC = average_precision_result, FINALFUNC_MODIFY = READ_ONLY,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE average_precision(boolean, integer) IS
  'average precision of the first k ranks, over the lesser of k and the number of relevant rows';

-- They read tables, temporary ones too, through queries of their own: stable,
-- and not for parallel workers.
CREATE FUNCTION xmhash_evaluate(
    queries regclass, query_code name, database regclass, database_code name,
    label_column name, k integer DEFAULT NULL,
    OUT queries bigint, OUT queries_without_relevant bigint,
    OUT map double precision, OUT map_ties_by_position double precision,
    OUT precision_at_k double precision, OUT recall_at_k double precision,
    OUT ndcg_at_k double precision)
  AS 'MODULE_PATHNAME', 'xmhash_evaluate' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_evaluate(regclass, name, regclass, name, name, integer) IS
  'mean average precision, precision, recall and NDCG of rankings by Hamming distance';
CREATE FUNCTION xmhash_compare_models(
  models regclass[], relation regclass, image_column name, text_column name,
  label_column name DEFAULT NULL, k integer DEFAULT 10)
  RETURNS TABLE (
    model regclass, method text, bits integer, pairs bigint,
    map_image_to_text double precision, map_text_to_image double precision,
    precision_image_to_text double precision, precision_text_to_image double precision,
    image_bit_balance double precision, text_bit_balance double precision,
    image_duplicates bigint, text_duplicates bigint,
    pages_read_image_to_text double precision, pages_read_text_to_image double precision,
    image_pages bigint, text_pages bigint)
  AS 'MODULE_PATHNAME', 'xmhash_compare_models' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_compare_models(regclass[], regclass, name, name, name, integer) IS
  'several models on the same pairs, one row each: mean average precision and precision both ways, and what their codes are like';
CREATE FUNCTION xmhash_duplicate_groups(
  relation regclass, id_column name, code_column name, radius integer, OUT group_id bigint, OUT id text)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_duplicate_groups(regclass, name, name, integer) IS
  'Groups of near-duplicates: rows whose codes are linked by steps of at most that Hamming distance; one row a member of each group of two or more';
CREATE FUNCTION xmhash_duplicate_groups(
  relation regclass, id_column name, code_column name, radius integer, id_type anyelement,
  OUT group_id bigint, OUT id anyelement)
  RETURNS SETOF record
  AS 'MODULE_PATHNAME' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_duplicate_groups(regclass, name, name, integer, anyelement) IS
  'Groups of near-duplicates as the function without id_type gives them, the identifiers in the type of that argument, whose value does not matter';

CREATE FUNCTION xmhash_precision_recall(
    queries regclass, query_code name, database regclass, database_code name,
    label_column name, k integer DEFAULT NULL)
  RETURNS TABLE (kind text, "position" integer, "precision" double precision,
                 recall double precision, queries bigint)
  AS 'MODULE_PATHNAME', 'xmhash_precision_recall' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_precision_recall(regclass, name, regclass, name, name, integer) IS
  'precision and recall within each Hamming radius, and among the first rows to each rank';
CREATE FUNCTION xmhash_plot_precision_recall(
    queries regclass, query_code name, database regclass, database_code name,
    label_column name, k integer DEFAULT NULL) RETURNS text
  AS 'MODULE_PATHNAME', 'xmhash_plot_precision_recall' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_plot_precision_recall(regclass, name, regclass, name, name, integer) IS
  'precision over recall as an SVG picture';
CREATE FUNCTION xmhash_plot_precision_recall(
    queries regclass, query_codes name[], database regclass, database_codes name[],
    label_column name, names text[] DEFAULT NULL, k integer DEFAULT NULL) RETURNS text
  AS 'MODULE_PATHNAME', 'xmhash_plot_precision_recall_several' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_plot_precision_recall(regclass, name[], regclass, name[], name, text[], integer) IS
  'precision over recall of several code columns, over one another, as an SVG picture';
CREATE FUNCTION xmhash_plot_training(VARIADIC models regclass[]) RETURNS text
  AS 'MODULE_PATHNAME', 'xmhash_plot_training' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000;
COMMENT ON FUNCTION xmhash_plot_training(regclass[]) IS
  'loss, and validation mAP if there is any, of the trainings of models as an SVG picture';

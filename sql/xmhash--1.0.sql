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

-- The layout is that of bit varying.  The category is that of the bit strings,
-- so that COALESCE, CASE and UNION may mix codes with bit constants.
CREATE TYPE bitcode (
  INPUT = bitcode_in, OUTPUT = bitcode_out,
  RECEIVE = bitcode_recv, SEND = bitcode_send,
  TYPMOD_IN = bitcode_typmod_in, TYPMOD_OUT = bitcode_typmod_out,
  INTERNALLENGTH = VARIABLE, ALIGNMENT = int4, STORAGE = extended, CATEGORY = 'V'
);
COMMENT ON TYPE bitcode IS 'binary code of 1 to 16384 bits, compared by Hamming distance';

-- Casts.  A function, not WITHOUT FUNCTION, from the bit strings: they may be
-- empty or too long.  Its planner support removes it where bit(n) proves the
-- length.

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
CREATE FUNCTION bitcode_to_boolean_array(bitcode) RETURNS boolean[]
  AS 'MODULE_PATHNAME', 'bitcode_to_boolean_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_boolean_array(bitcode) IS 'convert bitcode to boolean[]';
CREATE FUNCTION bitcode_to_real_array(bitcode) RETURNS real[]
  AS 'MODULE_PATHNAME', 'bitcode_to_real_array' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_to_real_array(bitcode) IS 'convert bitcode to real[]';

CREATE CAST (bit AS bitcode) WITH FUNCTION bitcode(bit, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (bit AS bitcode) IS 'the same bits; 1 to 16384';
CREATE CAST (bit varying AS bitcode) WITH FUNCTION bitcode(bit varying, integer, boolean) AS IMPLICIT;
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
-- with a bit varying and an integer would be ambiguous.
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

-- Core applies these to a bit varying by way of its implicit cast to bit.  The
-- implicit cast to bitcode is as good a way, so without an exact match such
-- calls would be ambiguous wherever this extension is in the search_path.
-- These are core's own functions under the exact types.

CREATE FUNCTION bitcode_varbit_and(bit varying, bit varying) RETURNS bit
  AS 'bit_and' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_varbit_and(bit varying, bit varying) IS 'implementation of & operator';
CREATE FUNCTION bitcode_varbit_or(bit varying, bit varying) RETURNS bit
  AS 'bit_or' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_varbit_or(bit varying, bit varying) IS 'implementation of | operator';
CREATE FUNCTION bitcode_varbit_xor(bit varying, bit varying) RETURNS bit
  AS 'bitxor' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_varbit_xor(bit varying, bit varying) IS 'implementation of # operator';
CREATE FUNCTION bitcode_varbit_not(bit varying) RETURNS bit
  AS 'bitnot' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_varbit_not(bit varying) IS 'implementation of ~ operator';
CREATE FUNCTION length(bit varying) RETURNS integer
  AS 'bitlength' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION length(bit varying) IS 'bitstring length';
CREATE FUNCTION bit_count(bit varying) RETURNS bigint
  AS 'bit_bit_count' LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bit_count(bit varying) IS 'number of set bits';
CREATE OPERATOR & (LEFTARG = bit varying, RIGHTARG = bit varying, FUNCTION = bitcode_varbit_and,
  COMMUTATOR = &);
COMMENT ON OPERATOR & (bit varying, bit varying) IS 'bitwise and';
CREATE OPERATOR | (LEFTARG = bit varying, RIGHTARG = bit varying, FUNCTION = bitcode_varbit_or,
  COMMUTATOR = |);
COMMENT ON OPERATOR | (bit varying, bit varying) IS 'bitwise or';
CREATE OPERATOR # (LEFTARG = bit varying, RIGHTARG = bit varying, FUNCTION = bitcode_varbit_xor,
  COMMUTATOR = #);
COMMENT ON OPERATOR # (bit varying, bit varying) IS 'bitwise exclusive or';
CREATE OPERATOR ~ (RIGHTARG = bit varying, FUNCTION = bitcode_varbit_not);
COMMENT ON OPERATOR ~ (NONE, bit varying) IS 'bitwise not';

-- Hamming distance

CREATE FUNCTION hamming_distance(bitcode, bitcode) RETURNS integer
  AS 'MODULE_PATHNAME', 'bitcode_hamming_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hamming_distance(bitcode, bitcode) IS 'number of differing bits of two codes of one length';
CREATE FUNCTION hamming_within(a bitcode, b bitcode, radius integer) RETURNS boolean
  AS 'MODULE_PATHNAME', 'bitcode_hamming_within' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION hamming_within(a bitcode, b bitcode, radius integer) IS 'whether two codes of one length differ in at most radius bits';
CREATE OPERATOR <~> (LEFTARG = bitcode, RIGHTARG = bitcode, FUNCTION = hamming_distance,
  COMMUTATOR = <~>);
COMMENT ON OPERATOR <~> (bitcode, bitcode) IS 'Hamming distance';

-- The centre of a set of codes

CREATE FUNCTION bitcode_majority_add(internal, bitcode) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_majority_add' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_add(internal, bitcode) IS 'aggregate transition function';
CREATE FUNCTION bitcode_majority_remove(internal, bitcode) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_majority_remove' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_remove(internal, bitcode) IS 'aggregate inverse transition function';
CREATE FUNCTION bitcode_majority_combine(internal, internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_majority_combine' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_combine(internal, internal) IS 'aggregate combine function';
CREATE FUNCTION bitcode_majority_serialize(internal) RETURNS bytea
  AS 'MODULE_PATHNAME', 'bitcode_majority_serialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_serialize(internal) IS 'aggregate serial function';
CREATE FUNCTION bitcode_majority_deserialize(bytea, internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'bitcode_majority_deserialize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_deserialize(bytea, internal) IS 'aggregate deserial function';
CREATE FUNCTION bitcode_majority_result(internal) RETURNS bitcode
  AS 'MODULE_PATHNAME', 'bitcode_majority_result' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION bitcode_majority_result(internal) IS 'aggregate final function';

CREATE AGGREGATE bit_majority(bitcode) (
  SFUNC = bitcode_majority_add, STYPE = internal, SSPACE = 1024,
  FINALFUNC = bitcode_majority_result, FINALFUNC_MODIFY = READ_ONLY,
  COMBINEFUNC = bitcode_majority_combine,
  SERIALFUNC = bitcode_majority_serialize, DESERIALFUNC = bitcode_majority_deserialize,
  MSFUNC = bitcode_majority_add, MINVFUNC = bitcode_majority_remove,
  MSTYPE = internal, MSSPACE = 1024,
  MFINALFUNC = bitcode_majority_result, MFINALFUNC_MODIFY = READ_ONLY,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE bit_majority(bitcode) IS
  'bitwise majority, the centre of a set of codes in Hamming space; ties give 0';

------------------------------------------------------------------------
-- The index access method
------------------------------------------------------------------------

------------------------------------------------------------------------
-- Models: storage, training, encoding
------------------------------------------------------------------------

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
    OUT map double precision, OUT map_storage_order double precision,
    OUT precision_at_k double precision, OUT recall_at_k double precision,
    OUT ndcg_at_k double precision)
  AS 'MODULE_PATHNAME', 'xmhash_evaluate' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_evaluate(regclass, name, regclass, name, name, integer) IS
  'mean average precision, precision, recall and NDCG of rankings by Hamming distance';
CREATE FUNCTION xmhash_precision_recall(
    queries regclass, query_code name, database regclass, database_code name,
    label_column name, k integer DEFAULT NULL)
  RETURNS TABLE (kind text, "position" integer, "precision" double precision,
                 recall double precision, queries bigint)
  AS 'MODULE_PATHNAME', 'xmhash_precision_recall' LANGUAGE C STABLE PARALLEL RESTRICTED COST 1000000;
COMMENT ON FUNCTION xmhash_precision_recall(regclass, name, regclass, name, name, integer) IS
  'precision and recall within each Hamming radius, and among the first rows to each rank';

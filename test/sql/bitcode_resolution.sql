-- Which operator or function a call means: with bit constants and untyped parameters, with
-- operators of the same names on bit in the same schema, and with an empty search_path.
CREATE TABLE resolved (id integer, code bitcode(8));
INSERT INTO resolved VALUES (1, 'x5A'), (2, 'xCA'), (3, NULL);

-- bit constants, strings, parameters without a type
SELECT id, code = B'01011010' AS eq, code <~> B'01011010' AS bits, code <~> 'xCA' AS hex, B'01011010' <~> code AS commuted, 'xCA' <~> code AS string,
  hamming_distance(code, B'01011010') AS f, hamming_distance('xCA', code) AS g, hamming_within(code, B'01011010', 2) AS w, hamming_within('xCA', code, 2) AS v
FROM resolved ORDER BY id;
SELECT id FROM resolved WHERE code = '01011010' OR code IN (B'11001010', 'xFF') OR code = ANY (ARRAY[B'1', B'0']) ORDER BY id;
SELECT id FROM resolved WHERE code BETWEEN B'01' AND 'x6' ORDER BY id;
SELECT coalesce(code, B'00000000') AS a, CASE WHEN id = 1 THEN code ELSE B'1' END AS b, pg_typeof(greatest(code, B'1')) AS c FROM resolved ORDER BY id;
PREPARE distance AS SELECT id, code <~> $1 AS d FROM resolved ORDER BY id;
PREPARE equality AS SELECT id FROM resolved WHERE code = $1;
PREPARE within AS SELECT id FROM resolved WHERE hamming_within(code, $1, $2) ORDER BY id;
PREPARE commuted AS SELECT id, $1 <~> code AS d FROM resolved ORDER BY id;
SELECT name, parameter_types FROM pg_prepared_statements ORDER BY 1;
EXECUTE distance('xCA');
EXECUTE distance(B'11001010');
EXECUTE equality('x5A');
EXECUTE within('x5B', 1);
EXECUTE commuted('x5B');
SET plan_cache_mode = force_generic_plan;
EXECUTE distance('xCA');
EXECUTE equality(B'01011010');
RESET plan_cache_mode;
DEALLOCATE ALL;

-- with <~>(bit, bit) and hamming_distance(bit, bit) of another extension beside
CREATE FUNCTION hamming_distance(bit, bit) RETURNS double precision IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS 'SELECT bit_count($1 # $2)::double precision';
CREATE OPERATOR <~> (LEFTARG = bit, RIGHTARG = bit, FUNCTION = hamming_distance, COMMUTATOR = '<~>');
SELECT id, code = B'01011010' AS eq, code <~> B'01011010' AS bits, code <~> 'xCA' AS hex, B'01011010' <~> code AS commuted, 'xCA' <~> code AS string,
  hamming_distance(code, B'01011010') AS f, hamming_distance('xCA', code) AS g, hamming_within(code, B'01011010', 2) AS w
FROM resolved ORDER BY id;
PREPARE distance AS SELECT id, code <~> $1 AS d FROM resolved ORDER BY id;
PREPARE commuted AS SELECT id, $1 <~> code AS d FROM resolved ORDER BY id;
PREPARE called AS SELECT id, hamming_distance(code, $1) AS d FROM resolved ORDER BY id;
SELECT name, parameter_types FROM pg_prepared_statements ORDER BY 1;
EXECUTE distance('xCA');
EXECUTE commuted('xCA');
EXECUTE called('xCA');
DEALLOCATE ALL;
SELECT pg_typeof(code <~> B'01011010') AS ours, pg_typeof(B'01' <~> B'10') AS theirs, pg_typeof(hamming_distance(code, '01011010')) AS ours,
  pg_typeof(hamming_distance(B'01', B'10')) AS theirs, pg_typeof(b <~> '0110') AS theirs, pg_typeof(b <~> code::bit(4)) AS theirs
FROM resolved, (SELECT B'0101'::bit(4) AS b) bits WHERE id = 1;
SELECT b FROM (VALUES (B'0110'), (B'1010'), (B'0101')) v(b) ORDER BY b <~> B'0101', b;
DROP OPERATOR <~> (bit, bit);
DROP FUNCTION hamming_distance(bit, bit);
-- without them, bit is served by the implicit cast
SELECT B'01' <~> B'10' AS distance, pg_typeof(B'01' <~> B'10'), hamming_within(B'01', B'10', 1);

-- what core does with bit and bit varying is not disturbed
SELECT pg_typeof(v & v), pg_typeof(v | v), pg_typeof(v # v), pg_typeof(~ v), pg_typeof(v || v), pg_typeof(v = v), pg_typeof(v & b), pg_typeof(b || b),
  pg_typeof(b || '01'), pg_typeof(substring(v, 2)), pg_typeof(substring(v, 2, 1)), pg_typeof(substring(b FROM 2 FOR 1)), pg_typeof(b & '0011'), pg_typeof(~ b)
FROM (SELECT B'0101'::bit varying AS v, B'0011'::bit(4) AS b) bits;
SELECT v & v AS conjunction, v | b AS disjunction, v # v AS exclusive, ~ v AS negation, length(v), length(b), bit_count(v), bit_count(b), get_bit(v, 1), get_bit(b, 1), get_bit('0101', 1) AS string,
  v < v AS lt, v = b AS eq, b < v AS mixed, length('abc') AS text, substring('abc', 2) AS part
FROM (SELECT B'0101'::bit varying AS v, B'0011'::bit(4) AS b) bits;
SELECT B'01' = '01' AS bit_string, B'01'::bit varying = '01' AS varying_string, B'0' || '1' AS string;
\set VERBOSITY sqlstate
SELECT B'0101'::bit varying & B'01'::bit varying;
\set VERBOSITY default

-- in another schema, with an empty search_path, every name qualified; and moved there as a whole
CREATE SCHEMA elsewhere;
SELECT n.nspname AS home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'xmhash' \gset
ALTER EXTENSION xmhash SET SCHEMA elsewhere;
SET search_path = '';
SELECT id, code OPERATOR(elsewhere.<~>) 'xCA' AS distance, elsewhere.hamming_within(code, 'xCB', 1) AS within, code OPERATOR(elsewhere.=) B'11001010' AS eq,
  elsewhere.length(code), elsewhere.bit_count(code), elsewhere.substring(code, 3, 4), code::elsewhere.bitcode(8)
FROM public.resolved ORDER BY id;
SELECT DISTINCT code FROM public.resolved ORDER BY code;
SELECT elsewhere.bit_majority(code) FROM public.resolved;
SELECT a.id FROM public.resolved a JOIN public.resolved b USING (id) WHERE a.code OPERATOR(elsewhere.<=) b.code ORDER BY a.id;
SELECT '{5,-5}'::real[]::elsewhere.bitcode, 5::bigint::elsewhere.bitcode::bigint;
RESET search_path;
ALTER EXTENSION xmhash SET SCHEMA :home;
DROP SCHEMA elsewhere;

-- every public object carries a comment
SELECT c.classid::regclass, pg_describe_object(c.classid, c.objid, 0) AS without_comment
FROM pg_depend c JOIN pg_extension e ON c.refobjid = e.oid AND c.refclassid = 'pg_extension'::regclass
WHERE e.extname = 'xmhash' AND c.deptype = 'e' AND obj_description(c.objid, c.classid::regclass::name) IS NULL
  AND pg_describe_object(c.classid, c.objid, 0) ~ 'bitcode|bit varying'
  AND pg_describe_object(c.classid, c.objid, 0) !~ '^type bitcode\[\]$' ORDER BY 2;
DROP TABLE resolved;

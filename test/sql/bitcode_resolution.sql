-- Which operator or function a call means: with bit constants and untyped parameters, with
-- operators of the same names on bit in the same schema, and with an empty search_path.
CREATE TABLE resolved (id integer, code bitcode(8));
INSERT INTO resolved VALUES (1, 'x5A'), (2, 'xCA'), (3, NULL);

-- bit constants, strings, parameters without a type
SELECT id, code = B'01011010' AS eq, code <~> B'01011010' AS bits, code <~> 'xCA' AS hex, B'01011010' <~> code AS commuted, 'xCA' <~> code AS string,
  hamming_distance(code, '01011010') AS f, hamming_distance('xCA', code) AS g, hamming_within(code, B'01011010', 2) AS w, hamming_within('xCA', code, 2) AS v
FROM resolved ORDER BY id;
SELECT id FROM resolved WHERE code = '01011010' OR code IN (B'11001010', 'xFF') OR code = ANY (ARRAY[B'1', B'0']) ORDER BY id;
SELECT id FROM resolved WHERE code BETWEEN B'01' AND 'x6' ORDER BY id;
SELECT coalesce(code, '00000000') AS a, CASE WHEN id = 1 THEN code ELSE 'x1' END AS b, pg_typeof(greatest(code, '1')) AS c FROM resolved ORDER BY id;
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


-- Parameters of type bit, columns of type bit, and the index: plans and answers, custom and generic.
CREATE TABLE by_index (id int, code bitcode(8), b bit(8), v bit varying);
INSERT INTO by_index SELECT i, i::bit(8), (i * 7)::bit(8), (i * 3)::bit(8) FROM generate_series(0, 255) i;
CREATE INDEX by_index_code ON by_index USING xmhash (code);
CREATE INDEX by_index_btree ON by_index (code);
CREATE INDEX by_index_bits ON by_index USING xmhash ((b::bitcode));
ANALYZE by_index;
CREATE FUNCTION index_conditions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    IF line ~ '(Index Cond|Order By|Filter):' THEN RETURN NEXT trim(line); END IF;
  END LOOP;
END $$;
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_bitmapscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT q, index_conditions('SELECT id FROM by_index AS t WHERE ' || q) FROM (VALUES (1, $$code = B'01011010'$$), (2, $$B'01011010' = code$$), (3, $$code = B'01011010'::bit varying$$), (4, $$code < B'00000001'$$), (5, $$B'11111110' <= code$$),
  (6, $$hamming_within(code, B'01011010', 1)$$), (7, $$hamming_within(B'01011010'::bit varying, code, 1)$$), (8, $$'(01011010,1)' @> code$$), (9, $$code <@ hamming_ball(B'01011010', 1)$$), (10, $$hamming_within(b, 'x5A', 1)$$),
  (11, $$code = B''$$), (12, $$code > B''$$)) v(n, q) ORDER BY n;
SELECT q, index_conditions('SELECT id FROM by_index ORDER BY ' || q || ' LIMIT 3') FROM (VALUES (1, $$code <~> B'01011010'$$), (2, $$B'01011010' <~> code$$), (3, $$code <~> B'01011010'::bit varying$$)) v(n, q) ORDER BY n;
SELECT count(*) FILTER (WHERE code = B'') AS eq, count(*) FILTER (WHERE code > B'') AS gt, count(*) FILTER (WHERE code <> B'') AS ne, count(*) FILTER (WHERE code < repeat('1', 20000)::bit varying) AS lt FROM by_index;
SELECT count(*) FROM by_index WHERE code > B'' AND code <= repeat('1', 20000)::bit varying;
SELECT count(*) FROM by_index WHERE code = repeat('0', 20000)::bit varying;
SET plan_cache_mode = force_generic_plan;
PREPARE bits_eq(bit) AS SELECT id FROM by_index WHERE code = $1;
PREPARE bits_near(bit) AS SELECT id, code <~> $1 AS d FROM by_index ORDER BY code <~> $1 LIMIT 3;
PREPARE bits_within(bit varying, int) AS SELECT count(*) FROM by_index WHERE hamming_within(code, $1, $2);
SELECT index_conditions($$EXECUTE bits_eq(B'01011010')$$);
SELECT index_conditions($$EXECUTE bits_near(B'01011010')$$);
SELECT index_conditions($$EXECUTE bits_within(B'01011010', 1)$$);
EXECUTE bits_eq(B'01011010');
EXECUTE bits_eq(B'');
SELECT min(d), max(d) FROM (SELECT code <~> B'01011010' AS d FROM by_index ORDER BY code <~> B'01011010' LIMIT 3) n;
EXECUTE bits_within(B'01011010', 1);
EXECUTE bits_within(B'', 100);
RESET plan_cache_mode;
DEALLOCATE ALL;
SELECT index_conditions('SELECT * FROM by_index x JOIN by_index y ON x.code = y.b');
SELECT count(*) FROM by_index x JOIN by_index y ON x.code = y.b;
SELECT count(*) FROM by_index x JOIN by_index y ON hamming_within(x.code, y.v, 0);
RESET enable_seqscan;
RESET enable_sort;
RESET enable_bitmapscan;
RESET enable_hashjoin;
RESET enable_mergejoin;
SELECT count(*) FROM by_index x JOIN by_index y ON x.code = y.b;
SELECT count(*) FROM by_index WHERE code IN (SELECT b FROM by_index WHERE id < 10) AND code NOT IN (SELECT v FROM by_index WHERE id < 5);
SELECT count(*) FROM by_index x JOIN by_index y ON hamming_within(x.code, y.v, 0);
INSERT INTO by_index (id, code) VALUES (1000, B'01011010'), (1001, 'x5A'), (1002, '0x5a'), (1003, B'01011010'::bit varying);
UPDATE by_index SET code = b WHERE id = 1003;
SELECT id, code FROM by_index WHERE id >= 1000 ORDER BY id;
DROP TABLE by_index;
DROP FUNCTION index_conditions;

-- Expression by expression: what the parser takes it for, with the type of the result, as a view shows it under an empty search_path.
CREATE FUNCTION resolved_as(expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
  path text := current_setting('search_path');
BEGIN
  EXECUTE format('CREATE VIEW resolved_view AS SELECT %s AS x FROM (SELECT NULL::%s(8) AS code, NULL::bit(8) AS b, NULL::bit varying AS v, NULL::text AS t) AS operand',
    expression, (SELECT t.oid::regtype FROM pg_type t JOIN pg_extension e ON e.extnamespace = t.typnamespace WHERE typname = 'bitcode' AND extname = 'xmhash'));
  PERFORM set_config('search_path', '', true);
  SELECT regexp_replace(split_part(pg_get_viewdef('public.resolved_view'::regclass), ' AS x', 1), '^ *SELECT *', '') || ' : '
    || format_type(atttypid, NULL) INTO found FROM pg_attribute WHERE attrelid = 'public.resolved_view'::regclass AND attnum = 1;
  PERFORM set_config('search_path', path, true);
  EXECUTE 'DROP VIEW resolved_view';
  RETURN regexp_replace(replace(found, 'operand.', ''), '\s+', ' ', 'g');
EXCEPTION WHEN syntax_error OR undefined_function OR ambiguous_function OR cannot_coerce OR datatype_mismatch OR indeterminate_datatype OR invalid_text_representation OR wrong_object_type THEN
  RETURN SQLSTATE;
END $$;
CREATE TABLE expressions (n int GENERATED ALWAYS AS IDENTITY, expression text);
INSERT INTO expressions (expression) SELECT format(form, op) FROM
  (VALUES (1, '='), (2, '<>'), (3, '<'), (4, '>='), (5, '<~>'), (6, '&'), (7, '||')) o(i, op),
  (VALUES (1, 'code %s code'), (2, $$code %s 'x5A'$$), (3, $$'x5A' %s code$$), (4, $$code %s B'01011010'$$), (5, $$B'01011010' %s code$$), (6, 'code %s b'), (7, 'b %s code'),
    (8, 'code %s v'), (9, 'v %s code'), (10, 'b %s b'), (11, 'v %s v'), (12, 'b %s v'), (13, 'v %s b'), (14, $$b %s '01'$$), (15, $$'01' %s b$$), (16, $$v %s '01'$$), (17, $$'01' %s v$$),
    (18, $$'01' %s '10'$$), (19, $$code %s ANY (ARRAY[B'01', B'1'])$$), (20, 'code %s t'), (21, 't %s code')) f(j, form) ORDER BY i, j;
INSERT INTO expressions (expression) SELECT e FROM unnest(ARRAY[
  $$code BETWEEN B'01' AND 'x6'$$, $$code IN (B'01', 'xFF')$$, $$code IN (B'01', b)$$, $$b IN ('01', B'1')$$,
  $$hamming_distance(code, code)$$, $$hamming_distance(code, 'x5A')$$, $$hamming_distance('x5A', code)$$, $$hamming_distance(code, B'01')$$, $$hamming_distance(b, b)$$, $$hamming_distance(b, '01')$$, $$hamming_distance('01', b)$$, $$hamming_distance('01', '10')$$,
  $$hamming_within(code, code, 1)$$, $$hamming_within(code, 'x5A', 1)$$, $$hamming_within('x5A', code, 1)$$, $$hamming_within(code, B'01', 1)$$, $$hamming_within(B'01', code, '1')$$, $$hamming_within(code, 'x5A', '1')$$,
  $$hamming_within(code, v, 1)$$, $$hamming_within('x5A', 'x5B', 1)$$, $$hamming_within(b, b, 1)$$, $$hamming_within(b, '01', 1)$$,
  $$hamming_ball(code, 1)$$, $$hamming_ball('x5A', 1)$$, $$hamming_ball(B'01', 1)$$, $$hamming_ball(v, 1)$$, $$code <@ '(01,1)'$$, $$'(01,1)' @> code$$, $$b <@ hamming_ball(code, 1)$$,
  $$coalesce(code, 'x00')$$, $$coalesce(code, B'00')$$, $$CASE WHEN true THEN code ELSE B'0' END$$, $$ARRAY[code, 'x0']$$, $$ARRAY[code, b]$$, $$code::text$$, $$code::bit(4)$$,
  $$length(code)$$, $$length(b)$$, $$length(v)$$, $$length('abc')$$, $$bit_length(code)$$, $$bit_length(v)$$, $$bit_length('abc')$$, $$octet_length(code)$$, $$octet_length(v)$$, $$octet_length('abc')$$, $$bit_count(code)$$, $$bit_count(b)$$, $$bit_count(v)$$, $$bit_count('01')$$,
  $$get_bit(code, 1)$$, $$get_bit(b, 1)$$, $$get_bit(v, 1)$$, $$get_bit('0101', 1)$$, $$set_bit(code, 1, 1)$$, $$set_bit(b, 1, 1)$$, $$set_bit(v, 1, 1)$$, $$set_bit('0101', 1, 1)$$, $$set_bit('0101', 1::bigint, 1)$$,
  $$substring(code, 2)$$, $$substring(b, 2)$$, $$substring(v, 2, 1)$$, $$substring('abc', 2)$$, $$substring(code FROM 2)$$, $$substring(b FROM 2 FOR 1)$$,
  $$overlay(code, '11', 2)$$, $$overlay(code, code, 2, 1)$$, $$overlay(b, B'1', 2)$$, $$overlay(v, '1', 2, 1)$$, $$overlay('abc', 'x', 2)$$, $$overlay(code PLACING '11' FROM 2)$$, $$overlay(b PLACING B'1' FROM 2 FOR 1)$$,
  $$position(code IN code)$$, $$position(B'1' IN b)$$, $$position('b' IN 'abc')$$, $$bit_position('1', code)$$, $$to_hex(code)$$, $$to_hex(255)$$, $$to_hex(255::bigint)$$, $$to_hex('255')$$, $$to_bin(code)$$,
  $$~ code$$, $$~ b$$, $$~ v$$, $$~ '01'$$, $$bit_and(code)$$, $$bit_or(b)$$, $$bit_or(v)$$, $$bit_xor(code)$$, $$bit_majority(code)$$, $$bit_majority(b)$$, $$code::numeric$$]) WITH ORDINALITY AS u(e, i) ORDER BY i;
SELECT expression, resolved_as(expression) FROM expressions ORDER BY n;

-- Without the extension in the search_path core makes the same of its own types.
CREATE TABLE beside AS SELECT n, expression, resolved_as(expression) AS meaning FROM expressions;
SELECT n.nspname AS home FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'xmhash' \gset
CREATE SCHEMA elsewhere;
ALTER EXTENSION xmhash SET SCHEMA elsewhere;
SET search_path = public, pg_catalog;
SELECT b.expression, b.meaning AS beside FROM beside b WHERE expression !~ 'code|hamming|<~>' AND b.meaning IS DISTINCT FROM resolved_as(b.expression) ORDER BY n;
RESET search_path;
ALTER EXTENSION xmhash SET SCHEMA :home;
DROP SCHEMA elsewhere;

-- with <~>(bit, bit) and hamming_distance(bit, bit) of another extension beside
CREATE FUNCTION hamming_distance(bit, bit) RETURNS double precision IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS 'SELECT bit_count($1 # $2)::double precision';
CREATE OPERATOR <~> (LEFTARG = bit, RIGHTARG = bit, FUNCTION = hamming_distance, COMMUTATOR = '<~>');
SELECT id, code = B'01011010' AS eq, code <~> B'01011010' AS bits, code <~> 'xCA' AS hex, B'01011010' <~> code AS commuted, 'xCA' <~> code AS string,
  hamming_distance(code, '01011010') AS f, hamming_distance('xCA', code) AS g, hamming_within(code, B'01011010', 2) AS w
FROM resolved ORDER BY id;
SELECT b.expression, b.meaning AS without, resolved_as(b.expression) AS beside FROM beside b WHERE b.meaning IS DISTINCT FROM resolved_as(b.expression) ORDER BY n;
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
DROP FUNCTION resolved_as;
DROP TABLE resolved, expressions, beside;

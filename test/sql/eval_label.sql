-- Labels of every form, and what is refused.
SET extra_float_digits = 0;

-- The same labels in every form give the same figures.
CREATE TYPE animal AS ENUM ('zebra', 'cat', 'dog');
CREATE DOMAIN animal_name AS varchar(10);
CREATE DOMAIN animal_names AS text[];
CREATE TABLE item AS
  SELECT id, ('x' || substr(md5('p' || id), 1, 4))::bit(16)::bitcode(16) AS code,
         ARRAY[id % 2 = 0, id % 3 = 0, id % 5 = 0] AS booleans
  FROM generate_series(1, 200) AS id;
CREATE TABLE form AS
  SELECT id, code, booleans,
         booleans::int[]::smallint[] AS smallints, booleans::int[] AS integers, booleans::int[]::bigint[] AS bigints,
         booleans::int[]::real[] AS reals, booleans::int[]::double precision[] AS doubles,
         (SELECT string_agg(b::int::text, '' ORDER BY n) FROM unnest(booleans) WITH ORDINALITY AS u (b, n))::bit(3) AS bits,
         (SELECT string_agg(b::int::text, '' ORDER BY n) FROM unnest(booleans) WITH ORDINALITY AS u (b, n))::bit varying AS bits_varying,
         names AS texts, names::varchar[] AS varchars, names::name[] AS names, names::animal[] AS enums, names::animal_names AS domain
  FROM item, LATERAL (SELECT array_remove(ARRAY[CASE WHEN booleans[1] THEN 'cat' END, CASE WHEN booleans[2] THEN 'dog' END,
                                                CASE WHEN booleans[3] THEN 'zebra' END], NULL) AS names) AS l;
CREATE TABLE result AS
  SELECT label, e.* FROM unnest('{booleans,smallints,integers,bigints,reals,doubles,bits,bits_varying,texts,varchars,names,enums,domain}'::name[]) AS label,
    xmhash_evaluate('form', 'code', 'form', 'code', label) AS e;
SELECT count(*) AS forms, count(DISTINCT (queries, queries_without_relevant, map, map_ties_by_position, precision_at_k, recall_at_k, ndcg_at_k)) AS results,
       min(queries_without_relevant) AS without, min(round(map::numeric, 6)) AS map, min(round(ndcg_at_k::numeric, 6)) AS ndcg FROM result;
-- NULL is no class, like all zeros and an empty array.
UPDATE form SET booleans = NULL, texts = NULL, integers = NULL WHERE NOT true = ANY (booleans);
SELECT count(DISTINCT (queries_without_relevant, map, recall_at_k, ndcg_at_k)) AS results
FROM (SELECT * FROM result UNION ALL
      SELECT label, e.* FROM unnest('{booleans,integers,texts}'::name[]) AS label, xmhash_evaluate('form', 'code', 'form', 'code', label) AS e) AS r;

-- One class a row.
CREATE TABLE single AS
  SELECT id, code, name AS text, name::varchar AS varchar, name::char(8) AS char, name::name AS name, name::animal AS enum, name::animal_name AS domain,
         ARRAY[name, name] AS twice, ARRAY[name = 'cat', name = 'dog', name = 'zebra'] AS booleans
  FROM item, LATERAL (SELECT ('{cat,dog,zebra}'::text[])[1 + id % 3] AS name) AS n;
SELECT count(*) AS forms, count(DISTINCT e) AS results
FROM unnest('{text,varchar,char,name,enum,domain,twice,booleans}'::name[]) AS label, xmhash_evaluate('single', 'code', 'single', 'code', label) AS e;

-- A class number a row, of any width, is a name too: 'cat' to 'zebra' as numbers that sort as they do, then as others.
CREATE DOMAIN class_number AS integer;
CREATE TABLE numbered AS
  SELECT id, code, text, n::smallint AS smallint, n AS integer, n::bigint AS bigint, n::class_number AS domain, n::text AS number_text,
         (CASE n WHEN 0 THEN -9223372036854775808 WHEN 1 THEN 0 ELSE 9223372036854775807 END)::bigint AS wide, -n AS negative
  FROM single, LATERAL (SELECT array_position('{cat,dog,zebra}', text) - 1 AS n) AS l;
SELECT count(*) AS forms, count(DISTINCT e) AS results
FROM unnest('{text,smallint,integer,bigint,domain,number_text,wide,negative}'::name[]) AS label, xmhash_evaluate('numbered', 'code', 'numbered', 'code', label) AS e;
SELECT count(DISTINCT curve) AS results
FROM (SELECT label, string_agg(p::text, ' ' ORDER BY kind, "position") AS curve FROM unnest('{text,smallint,wide,negative}'::name[]) AS label,
        xmhash_precision_recall('numbered', 'code', 'numbered', 'code', label) AS p GROUP BY label) AS c;
-- NULL is no class; 0 is one.
UPDATE numbered SET text = NULL, integer = NULL WHERE id % 7 = 0;
SELECT count(DISTINCT e) AS results, min(queries_without_relevant) AS without
FROM unnest('{text,integer}'::name[]) AS label, xmhash_evaluate('numbered', 'code', 'numbered', 'code', label) AS e;
-- Numbers of different widths meet by their value, numbers and names by the digits; never by position in a vector.
CREATE VIEW as_smallint AS SELECT code, smallint AS label FROM numbered WHERE id <= 20;
CREATE VIEW as_bigint AS SELECT code, bigint AS label FROM numbered;
CREATE VIEW as_text AS SELECT code, number_text AS label FROM numbered;
CREATE VIEW as_texts AS SELECT code, ARRAY[number_text] AS label FROM numbered;
CREATE VIEW as_padded AS SELECT code, '0' || number_text AS label FROM numbered;
CREATE VIEW as_vector AS SELECT code, ARRAY[0, 1, 0] AS label FROM numbered;
SELECT count(DISTINCT e) AS results FROM unnest('{as_bigint,as_text,as_texts}'::regclass[]) AS d, xmhash_evaluate('as_smallint', 'code', d, 'code', 'label') AS e;
SELECT queries_without_relevant FROM xmhash_evaluate('as_smallint', 'code', 'as_padded', 'code', 'label');
SELECT xmhash_evaluate('as_smallint', 'code', 'as_vector', 'code', 'label');
-- As many classes as rows.
CREATE VIEW own_number AS SELECT code, id * 1000003 % 1009 - 500 AS label FROM item;
CREATE VIEW own_name AS SELECT code, (id * 1000003 % 1009 - 500)::text AS label FROM item;
SELECT count(DISTINCT e) AS results, min(queries_without_relevant) AS without
FROM unnest('{own_number,own_name}'::regclass[]) AS r, xmhash_evaluate(r, 'code', r, 'code', 'label', 1) AS e;

-- The two sides may differ in form: names meet by name, vectors by position.
CREATE VIEW caption AS SELECT code, enums AS label, bits AS vector FROM form WHERE id <= 20;
CREATE VIEW picture AS SELECT code, text AS label, booleans AS vector FROM single;
CREATE VIEW picture_char AS SELECT code, char AS label, booleans::int[]::real[] AS vector FROM single;
SELECT round(map::numeric, 6) AS map FROM xmhash_evaluate('caption', 'code', 'picture', 'code', 'label');
SELECT round(map::numeric, 6) AS map FROM xmhash_evaluate('caption', 'code', 'picture_char', 'code', 'label');
SELECT round(map::numeric, 6) AS map FROM xmhash_evaluate('caption', 'code', 'picture', 'code', 'vector');
SELECT round(map::numeric, 6) AS map FROM xmhash_evaluate('caption', 'code', 'picture_char', 'code', 'vector');
-- Each item its own class: how often is the very item found?
CREATE VIEW own AS SELECT code, id::text AS label FROM item;
SELECT queries_without_relevant, recall_at_k > 0.9 AS found, abs(map - ndcg_at_k) < 1e-12 AS equal FROM xmhash_evaluate('own', 'code', 'own', 'code', 'label', 1);
-- Names are compared byte by byte, the empty one too.
CREATE TABLE word (code bitcode(4), label text);
INSERT INTO word VALUES ('0000', 'Cat'), ('0001', 'cat'), ('0011', ''), ('0111', 'cat '), ('1111', 'x');
SELECT queries_without_relevant, precision_at_k FROM xmhash_evaluate('word', 'code', 'word', 'code', 'label');
-- More classes than a word has bits; a label of them all.
CREATE VIEW wide AS SELECT code, ARRAY(SELECT (id * n % 97 < 9)::int FROM generate_series(1, 130) AS n) AS label FROM item;
CREATE VIEW wide_names AS SELECT code, ARRAY(SELECT 'class ' || n FROM generate_series(1, 130) AS n WHERE id * n % 97 < 9) AS label FROM item;
SELECT count(DISTINCT e) AS results FROM (VALUES ('wide'), ('wide_names')) AS v (r), xmhash_evaluate(r::regclass, 'code', r::regclass, 'code', 'label') AS e;
CREATE VIEW all_classes AS SELECT code, array_fill(1, ARRAY[130]) AS label FROM item WHERE id <= 3;
SELECT map, ndcg_at_k < 1 AS graded FROM xmhash_evaluate('all_classes', 'code', 'wide', 'code', 'label');

-- -------------------------------------------------------------- refused
CREATE TABLE bad (code bitcode(4), i numeric, b bytea, j jsonb, t timestamp, ints int[], reals real[], texts text[], bits bit varying, nums numeric[]);
INSERT INTO bad VALUES ('0000', 1, '', '[]', 'now', '{0,1,0}', '{0,1,0}', '{a,b}', '010', '{1}'), ('0000', 1, '', '[]', 'now', '{0,1,0}', '{0,1,0}', '{a,b}', '010', '{1}');
CREATE FUNCTION try(label name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  state text; message text; detail text; hint text;
BEGIN
  PERFORM xmhash_evaluate('bad', 'code', 'bad', 'code', label);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN concat_ws(E'\n', state || ': ' || message, nullif(detail, ''), nullif(hint, ''));
END $$;
\pset format unaligned
\pset tuples_only on
SELECT try(label) FROM unnest('{i,b,j,t,nums,code}'::name[]) AS label;
SELECT try(label) FROM unnest('{ints,reals,texts,bits}'::name[]) AS label;
UPDATE bad SET ints = '{0,1}' WHERE ctid IN (SELECT ctid FROM bad LIMIT 1);
SELECT try('ints');
UPDATE bad SET bits = '01' WHERE ctid IN (SELECT ctid FROM bad LIMIT 1);
SELECT try('bits');
UPDATE bad SET ints = '{}', bits = '';
SELECT try('ints');
SELECT try('bits');
UPDATE bad SET ints = '{0,2,1}', reals = '{0,1,NaN}';
SELECT try('ints');
SELECT try('reals');
UPDATE bad SET ints = '{0,NULL,1}', reals = '{0,0.5,0}', texts = '{a,NULL}';
SELECT try('ints');
SELECT try('reals');
SELECT try('texts');
UPDATE bad SET ints = '{{0,1},{1,0}}', reals = '{0,-1,0}', texts = '{{a,b},{c,d}}';
SELECT try('ints');
SELECT try('reals');
SELECT try('texts');
-- Negative zero is zero.
UPDATE bad SET reals = '{-0,1,0}';
SELECT try('reals');
-- An empty array of names is no class.
UPDATE bad SET texts = '{}';
SELECT try('texts');
\pset tuples_only off
\pset format aligned
-- Vectors of two lengths on the two sides; vectors against names.
CREATE VIEW three AS SELECT code, ARRAY[true, false, true] AS label FROM bad;
CREATE VIEW four AS SELECT code, ARRAY[true, false, true, true] AS label FROM bad;
CREATE VIEW named AS SELECT code, 'cat'::text AS label FROM bad;
SELECT xmhash_evaluate('three', 'code', 'four', 'code', 'label');
SELECT xmhash_evaluate('three', 'code', 'named', 'code', 'label');
SELECT xmhash_evaluate('named', 'code', 'three', 'code', 'label');

SET client_min_messages = warning;
DROP TABLE item, form, result, single, word, bad, numbered CASCADE;
DROP FUNCTION try;
DROP TYPE animal;
DROP DOMAIN animal_name, animal_names, class_number;

-- Recipes for perceptual hashes: every form that they come in, with an index, a radius
-- search and groups of duplicates, the same by the index and without.
CREATE SCHEMA example_hashes;
SET search_path = example_hashes, public;
SET xmhash.progress = off;

-- 400 photos, by the first 8 bytes of a number's digest, so that no two are near by chance.  Each
-- hundredth has copies, each made from the one before: 1 bit, 4 bits and 7 bits of it changed.
CREATE TABLE photo (id int PRIMARY KEY, hash text);
INSERT INTO photo
SELECT id, to_hex(substr(sha256(convert_to(id::text, 'UTF8')), 1, 8)::bitcode) FROM generate_series(1, 400) AS id;
INSERT INTO photo
SELECT 1000 + id + step, to_hex(('x' || hash)::bitcode # changed::bitcode)
FROM photo, (VALUES (1, 'x0000000100000000'), (2, 'x8001000110010000'), (3, 'x80FF000110010000')) AS copy (step, changed)
WHERE id % 100 = 0;

-- The code of a hash, kept by the server, and an index on it.
ALTER TABLE photo ADD code bitcode(64) GENERATED ALWAYS AS (('x' || hash)::bitcode) STORED;
CREATE INDEX photo_code ON photo USING xmhash (code);
ANALYZE photo;

-- Those within 8 bits of one.
SELECT hash FROM photo WHERE id = 200;
SELECT id, code <~> 'x27badc983df1780b' AS distance FROM photo
WHERE hamming_within(code, 'x27badc983df1780b', 8) ORDER BY distance, id;

-- Groups of duplicates, joined by chains of pairs within 8 bits: the smallest id stands for each.
SELECT min(id) AS kept, array_agg(id ORDER BY id) AS copies
FROM xmhash_duplicate_groups('photo', 'id', 'code', 8, NULL::int) GROUP BY group_id ORDER BY kept;

-- The same by the index and a recursive query, which holds every pair of a group.
WITH RECURSIVE near AS MATERIALIZED (
    SELECT a.id, b.id AS other
    FROM photo AS a JOIN photo AS b ON hamming_within(b.code, a.code, 8) AND a.id <> b.id
), reach (id, other) AS (
    TABLE near
    UNION
    SELECT reach.id, near.other FROM reach JOIN near ON near.id = reach.other
)
SELECT kept, array_agg(id ORDER BY id) AS copies
FROM (SELECT id, min(other) AS kept FROM reach GROUP BY id) AS member
GROUP BY kept ORDER BY kept;

-- What each form comes from, and the expression that is its code: one and the same.
CREATE TABLE form AS
SELECT id, hash AS hex, code::bigint AS signed, code::numeric AS unsigned, code::bytea AS bytes, encode(code::bytea, 'base64') AS base64,
       code::text AS digits, code::bit(64) AS bits, code::bit varying AS varying_bits,
       hash || repeat('0123456789abcdef', 3) AS pdq, code
FROM photo;
SELECT count(*) AS photos,
       count(*) FILTER (WHERE signed < 0) > 100 AS negative,
       count(*) FILTER (WHERE unsigned > 9223372036854775807) > 100 AS beyond_bigint,
       count(*) FILTER (WHERE ('x' || hex)::bitcode = code) AS hex,
       count(*) FILTER (WHERE signed::bitcode = code) AS signed,
       count(*) FILTER (WHERE unsigned::bitcode = code) AS unsigned,
       count(*) FILTER (WHERE bytes::bitcode = code) AS bytes,
       count(*) FILTER (WHERE decode(base64, 'base64')::bitcode = code) AS base64,
       count(*) FILTER (WHERE digits::bitcode = code) AS digits,
       count(*) FILTER (WHERE bits::bitcode = code) AS bits,
       count(*) FILTER (WHERE varying_bits::bitcode = code) AS varying_bits,
       count(*) FILTER (WHERE substring(('x' || pdq)::bitcode, 1, 64) = code) AS pdq
FROM form;

-- Each by an index on its expression, and by comparing all: a radius, the nearest, all pairs.
CREATE TABLE answer (form text, way text, within text, nearest text, pairs text);
CREATE FUNCTION answer(form text, expression text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    way text;
    line text;
    index_scans int := 0;
BEGIN
    EXECUTE format('CREATE INDEX form_index ON form USING xmhash ((%s))', expression);
    EXECUTE format('CREATE VIEW hashed AS SELECT id, %s AS code FROM form', expression);
    FOREACH way IN ARRAY ARRAY['enable_seqscan', 'enable_indexscan'] LOOP
        PERFORM set_config(way, 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true);
        EXECUTE $query$
            INSERT INTO answer
            SELECT $1, $2,
                   (SELECT string_agg(id::text, ' ' ORDER BY id) FROM hashed WHERE hamming_within(code, (SELECT code FROM hashed WHERE id = 200), 11)),
                   (SELECT string_agg(id::text, ' ' ORDER BY id)
                    FROM (SELECT id FROM hashed ORDER BY code <~> (SELECT code FROM hashed WHERE id = 200) LIMIT 4) AS nearest),
                   (SELECT string_agg(a.id || '-' || b.id, ' ' ORDER BY a.id, b.id)
                    FROM hashed AS a JOIN hashed AS b ON hamming_within(b.code, a.code, 8) AND a.id < b.id)
        $query$ USING form, way;
        IF way = 'enable_seqscan' THEN
            FOR line IN
                EXPLAIN SELECT (SELECT count(*) FROM hashed WHERE hamming_within(code, (SELECT code FROM hashed WHERE id = 200), 11)),
                               (SELECT max(id) FROM (SELECT id FROM hashed ORDER BY code <~> (SELECT code FROM hashed WHERE id = 200) LIMIT 4) AS nearest)
            LOOP
                index_scans := index_scans + (line LIKE '%form_index%')::int;
            END LOOP;
        END IF;
        PERFORM set_config(way, 'on', true);
    END LOOP;
    DROP VIEW hashed;
    DROP INDEX form_index;
    RETURN format('%s by the index', index_scans);
END $$;
SELECT form, answer(form, expression)
FROM (VALUES ('hex', $$('x' || hex)::bitcode$$),
             ('signed', 'signed::bitcode'),
             ('unsigned', 'unsigned::bitcode'),
             ('bytes', 'bytes::bitcode'),
             ('base64', $$decode(base64, 'base64')::bitcode$$),
             ('digits', 'digits::bitcode'),
             ('bits', 'bits::bitcode'),
             ('varying_bits', 'varying_bits::bitcode'),
             ('pdq', $$('x' || pdq)::bitcode(256)$$)) AS tried (form, expression);
SELECT within, nearest, pairs, count(*) FROM answer GROUP BY within, nearest, pairs;

-- What is no hash says so.
SELECT ('x' || 'not hexadecimal')::bitcode;
INSERT INTO photo (id, hash) VALUES (2000, '27badc983df1780');
INSERT INTO photo (id, hash) VALUES (2000, NULL) RETURNING code IS NULL AS none;

SET client_min_messages = warning;
DROP SCHEMA example_hashes CASCADE;

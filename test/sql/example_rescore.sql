-- Retrieval by example: codes find a hundred candidates, real-valued features
-- put them in order.
CREATE SCHEMA example_rescore;
SET search_path = example_rescore, public;

-- 1,000 pictures of ten scenes with 64 features; a code is its features' signs.
-- (Digests instead of random numbers, and multiples of 1/64: the same everywhere.)
CREATE FUNCTION noise(text, int) RETURNS real IMMUTABLE LANGUAGE sql
    AS $$SELECT (get_byte(sha256(convert_to($1, 'UTF8')), 0) - 127.5) / $2$$;
CREATE TABLE picture (id int PRIMARY KEY, features real[], code bitcode(64));
INSERT INTO picture
SELECT id, features, features::bitcode
FROM (SELECT id, ARRAY(SELECT noise(format('scene %s feature %s', id % 10, i), 64) + noise(format('picture %s feature %s', id, i), 64)
                       FROM generate_series(1, 64) AS i) AS features
      FROM generate_series(1, 1000) AS id) AS pictures;
CREATE INDEX picture_code ON picture USING xmhash (code);
ANALYZE picture;

-- The cosine of two feature vectors, in plain SQL.
CREATE FUNCTION cosine(a real[], b real[]) RETURNS float8 IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql
    AS $$SELECT sum(x * y) / nullif(sqrt(sum(x * x)) * sqrt(sum(y * y)), 0)
         FROM unnest(a::float8[], b::float8[]) AS component (x, y)$$;

-- A query: another picture of scene 7, which the table does not have.
CREATE TABLE query AS
SELECT features, features::bitcode AS code
FROM (SELECT ARRAY(SELECT noise(format('scene 7 feature %s', i), 64) + noise(format('another picture feature %s', i), 64)
                   FROM generate_series(1, 64) AS i) AS features) AS another;

-- A hundred candidates by the index, the best five of them by the cosine.
SELECT candidate.id, round(cosine(candidate.features, query.features)::numeric, 3) AS cosine
FROM query,
     LATERAL (SELECT id, features FROM picture ORDER BY picture.code <~> query.code LIMIT 100) AS candidate
ORDER BY cosine(candidate.features, query.features) DESC LIMIT 5;

-- The same over the whole table, without codes: it computes 1,000 cosines.
SELECT picture.id, round(cosine(picture.features, query.features)::numeric, 3) AS cosine
FROM picture, query ORDER BY cosine(picture.features, query.features) DESC LIMIT 5;

-- Where only codes are kept, the query's own features still tell more than its
-- code: the sum of their products with a code's signs.
SELECT candidate.id, round(score::numeric, 2) AS score
FROM query,
     LATERAL (SELECT id, code FROM picture ORDER BY picture.code <~> query.code LIMIT 100) AS candidate,
     LATERAL (SELECT sum(x * y) AS score FROM unnest(query.features::float8[], candidate.code::real[]::float8[]) AS component (x, y)) AS product
ORDER BY score DESC LIMIT 5;

-- How many of the ten nearest by the cosine each way finds, for ten pictures of
-- the table as queries.
CREATE TABLE wanted AS
SELECT query.id AS query, near.id
FROM picture AS query,
     LATERAL (SELECT id FROM picture WHERE id <> query.id ORDER BY cosine(features, query.features) DESC, id LIMIT 10) AS near
WHERE query.id <= 10;
CREATE TABLE by_codes AS
SELECT query.id AS query, near.id
FROM picture AS query,
     LATERAL (SELECT id FROM picture WHERE id <> query.id ORDER BY code <~> query.code, id LIMIT 10) AS near
WHERE query.id <= 10;
CREATE TABLE rescored AS
SELECT query.id AS query, near.id
FROM picture AS query,
     LATERAL (SELECT id FROM (SELECT id, features FROM picture WHERE id <> query.id ORDER BY code <~> query.code, id LIMIT 100) AS candidate
              ORDER BY cosine(features, query.features) DESC, id LIMIT 10) AS near
WHERE query.id <= 10;
SELECT (SELECT count(*) FROM wanted) AS wanted,
       (SELECT count(*) FROM wanted NATURAL JOIN by_codes) AS by_codes,
       (SELECT count(*) FROM wanted NATURAL JOIN rescored) AS rescored;

-- Without the index: the same.
SET enable_indexscan = off;
SELECT candidate.id, round(cosine(candidate.features, query.features)::numeric, 3) AS cosine
FROM query,
     LATERAL (SELECT id, features FROM picture ORDER BY picture.code <~> query.code LIMIT 100) AS candidate
ORDER BY cosine(candidate.features, query.features) DESC LIMIT 5;

SET client_min_messages = warning;
DROP SCHEMA example_rescore CASCADE;

-- A model's digest: of all that its codes depend on, and of nothing else.
SET xmhash.progress = off;
CREATE TABLE pair AS
SELECT g AS id, ARRAY[sin(g), cos(g), 1]::real[] AS image, ARRAY[g % 2, g % 5, 1]::real[] AS words
FROM generate_series(1, 40) AS g;
CALL xmhash_train('scenes', 'pair', 'image', 'words', 16, options => '{"epochs": 1, "batch_size": 16, "image_hidden": 5}');
SELECT length(digest), digest ~ '^[0-9a-f]+$' AS hexadecimal, digest = xmhash_model_digest('scenes') AS by_function
FROM xmhash_models WHERE model = 'scenes'::regclass;

-- Which number it is.
CREATE FUNCTION digest_by_hand(model regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  side text;
  info jsonb;
  shape text := 'xmhash 1';
  weights bytea;
BEGIN
  EXECUTE format('SELECT info FROM %s WHERE part = %L', model, 'model') INTO info;
  EXECUTE format('SELECT string_agg(data, %L ORDER BY number) FROM %s WHERE part = %L', '', model, 'weights') INTO weights;
  shape := shape || format(', "bits": %s', info -> 'bits');
  FOREACH side IN ARRAY ARRAY['image', 'text'] LOOP
    IF info ? side THEN
      shape := shape || format(', "%s": {"layers": %s, "scales": %s}', side, info -> side -> 'layers', info -> side -> 'scales');
    END IF;
  END LOOP;
  RETURN encode(sha256(convert_to(shape, 'UTF8') || weights), 'hex');
END $$;
SELECT digest_by_hand('scenes') = xmhash_model_digest('scenes') AS the_same;

-- Exported and imported, copied in another order, stored in another way: the same.
SELECT xmhash_import_model('imported', xmhash_export_model('scenes'));
CREATE TABLE copied OF xmhash_model (PRIMARY KEY (part, number));
INSERT INTO copied SELECT * FROM scenes ORDER BY part DESC, number DESC;
CREATE TABLE squeezed OF xmhash_model;
ALTER TABLE squeezed ALTER data SET STORAGE MAIN;
INSERT INTO squeezed SELECT * FROM copied ORDER BY part;
-- The row of the description is the owner's to write: it does not say what the weights are.
UPDATE squeezed SET info = info || '{"digest": "0123456789abcdef", "created": 1, "loss": 7, "seconds": 8, "method": "other"}' WHERE part = 'model';
DELETE FROM squeezed WHERE part = 'epoch';
SELECT count(*) AS models, count(DISTINCT digest) AS digests FROM xmhash_models
WHERE model IN ('scenes'::regclass, 'imported'::regclass, 'copied'::regclass, 'squeezed'::regclass);

-- One bit of one weight, or another shape of the same weights: another.
UPDATE copied SET data = set_bit(data, 0, 1 - get_bit(data, 0)) WHERE part = 'weights';
SELECT xmhash_model_digest('copied') = xmhash_model_digest('scenes') AS the_same, digest_by_hand('copied') = xmhash_model_digest('copied') AS by_hand;
CREATE TABLE wide OF xmhash_model;
INSERT INTO wide VALUES
  ('model', 0, '{"format": 1, "status": "imported", "method": "none", "bits": 8, "image": {"layers": [3, 5, 8], "scales": 1}}', NULL),
  ('weights', 0, NULL, decode(repeat('0000803f', 3 * 5 + 5 + 5 * 8 + 8 + 2), 'hex'));
CREATE TABLE narrow OF xmhash_model;
INSERT INTO narrow VALUES
  ('model', 0, '{"format": 1, "status": "imported", "method": "none", "bits": 8, "text": {"layers": [3, 5, 8], "scales": 1}}', NULL),
  ('weights', 0, NULL, (SELECT data FROM wide WHERE part = 'weights'));
SELECT model, digest FROM xmhash_models WHERE model IN ('wide'::regclass, 'narrow'::regclass) ORDER BY model::text;

-- Weights in several pieces, in whatever order they lie; not those of other parts.
CREATE TABLE large OF xmhash_model;
INSERT INTO large VALUES
  ('weights', 1, NULL, decode(repeat('0000803f', 70000 * 64 + 64 + 2 - 4194304), 'hex')),
  ('weights', 0, NULL, decode(repeat('00000040', 4194304), 'hex')),
  ('model', 0, '{"format": 1, "status": "imported", "method": "none", "bits": 64, "image": {"layers": [70000, 64], "scales": 1}}', NULL);
SELECT xmhash_model_digest('large'), digest_by_hand('large') = xmhash_model_digest('large') AS by_hand;

-- NULL for what has no weights, or not all of them, or whose rows are wrong, as often as one likes.
DELETE FROM large WHERE part = 'weights' AND number = 1;
CREATE TABLE empty OF xmhash_model;
CREATE TABLE double OF xmhash_model;
INSERT INTO double TABLE wide;
INSERT INTO double SELECT * FROM wide WHERE part = 'weights';
CREATE TABLE short OF xmhash_model;
INSERT INTO short SELECT part, number, info, substr(data, 1, 100) FROM wide;
CREATE TABLE beyond OF xmhash_model;
INSERT INTO beyond SELECT part, CASE part WHEN 'weights' THEN 1 ELSE 0 END, info, data FROM wide;
CREATE TABLE absent OF xmhash_model;
INSERT INTO absent SELECT part, number, info, NULL FROM wide;
CREATE TABLE shapeless OF xmhash_model;
INSERT INTO shapeless SELECT part, number, info - 'image', data FROM wide;
SELECT model, status, digest FROM xmhash_models
WHERE model IN ('large'::regclass, 'empty'::regclass, 'double'::regclass, 'short'::regclass, 'beyond'::regclass, 'absent'::regclass, 'shapeless'::regclass)
ORDER BY model::text;
SELECT xmhash_model_digest('pair') AS no_model, xmhash_model_digest(0) AS nothing, xmhash_model_digest(NULL) AS unknown;
CREATE ROLE regress_xmhash_reader;
SET ROLE regress_xmhash_reader;
SELECT xmhash_model_digest('wide') AS without_rights;
RESET ROLE;
GRANT SELECT ON wide TO regress_xmhash_reader;
SET ROLE regress_xmhash_reader;
SELECT xmhash_model_digest('wide') AS with_rights;
SELECT model, digest IS NOT NULL AS digest FROM xmhash_models WHERE model IN ('wide'::regclass, 'narrow'::regclass);
RESET ROLE;

-- Queries of the view that do not name it do not read the weights.
CREATE FUNCTION names_digest(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  line text;
  found boolean := false;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
    found := found OR line ~ 'xmhash_model_digest';
  END LOOP;
  RETURN found;
END $$;
SELECT names_digest('SELECT model, status, bytes FROM xmhash_models') AS without, names_digest('SELECT count(*) FROM xmhash_models') AS counted,
       names_digest('SELECT model, digest FROM xmhash_models') AS with;

DROP TABLE pair, scenes, imported, copied, squeezed, wide, narrow, large, empty, double, short, beyond, absent, shapeless;
DROP FUNCTION digest_by_hand(regclass), names_digest(text);
DROP ROLE regress_xmhash_reader;

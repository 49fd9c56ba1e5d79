-- Kernel ridge hashing: with labels and without, by phases; codes, files, damage.
SET xmhash.progress = off;
CREATE SCHEMA kernel_test;
SET search_path = kernel_test, public;
CREATE TABLE pairs AS
SELECT g AS id, g % 5 AS class, 'class ' || g % 5 AS label,
       (SELECT array_agg((sin(i * (1 + g % 5)) + hashint4(g * 64 + i) / 3e9)::real ORDER BY i) FROM generate_series(1, 12) i) AS image,
       (SELECT array_agg(((i + g) % 5 = 0 AND hashint4(g * 64 - i) % 3 <> 0 OR hashint4(g * 128 + i) % 20 = 0 OR i = 1 + g % 40)::integer::real ORDER BY i)
        FROM generate_series(1, 40) i) AS words
FROM generate_series(1, 600) g;
CREATE VIEW seen AS SELECT * FROM pairs WHERE id % 3 > 0;

CALL xmhash_train('plain', 'seen', 'image', 'words', 32, method => 'kernel_ridge');
CALL xmhash_train('guided', 'seen', 'image', 'words', 32, 'kernel_ridge', 'label');
CALL xmhash_train('linear', 'seen', 'image', 'words', 32, 'kernel_ridge', 'class', '{"anchors": 0, "validation_fraction": 0.2}');
CALL xmhash_train('short', 'seen', 'image', 'words', 1, 'kernel_ridge', options => '{"anchors": 20, "dimensions": 3, "rotations": 0}');
CALL xmhash_train('long', 'seen', 'image', 'words', 4096, 'kernel_ridge', 'label', '{"anchors": 20, "label_mix": 0, "rotations": 2}');
SELECT model, method, bits, image_dimensions, image_hidden, text_dimensions, text_hidden, classes, status, epochs_done, pairs, bytes
FROM xmhash_models ORDER BY model::text;
SELECT epoch, epochs, (loss > 0) AS lost, loss_terms IS NOT NULL AS terms, learning_rate, validation_map > 0.5 AS validated
FROM xmhash_training WHERE model = 'linear'::regclass ORDER BY epoch;
SELECT options FROM xmhash_models WHERE model = 'plain'::regclass;

-- The same again, whatever the order of the rows; another with another seed.
CREATE TABLE shuffled AS SELECT * FROM seen ORDER BY hashint4(id);
CALL xmhash_train('again', 'shuffled', 'image', 'words', 32, 'kernel_ridge', 'label');
CALL xmhash_train('other', 'shuffled', 'image', 'words', 32, 'kernel_ridge', 'label', '{"seed": 2}');
SELECT xmhash_export_model('guided') = xmhash_export_model('again') AS same, xmhash_export_model('guided') = xmhash_export_model('other') AS other_is_same;

-- Pairs that it has not seen are found.  By chance it would be .2.
CREATE TABLE unseen (id integer, label text, image real[], words real[], image_code bitcode(32), text_code bitcode(32));
INSERT INTO unseen (id, label, image, words) SELECT id, label, image, words FROM pairs WHERE id % 3 = 0;
CREATE FUNCTION precision_of(model regclass) RETURNS TABLE (image_text boolean, text_image boolean) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE unseen SET image_code = xmhash_encode_image(model, image), text_code = xmhash_encode_text(model, words);
    RETURN QUERY SELECT (SELECT map > 0.6 FROM xmhash_evaluate('unseen', 'image_code', 'unseen', 'text_code', 'label')),
                        (SELECT map > 0.6 FROM xmhash_evaluate('unseen', 'text_code', 'unseen', 'image_code', 'label'));
END $$;
SELECT m, (precision_of(m::regclass)).* FROM unnest('{plain,guided,linear}'::text[]) m;

-- One row and a table's worth give the same codes; the length of a row tells nothing, nor do zeros in it.
CREATE TABLE encoded (id integer PRIMARY KEY, image real[], words real[], image_code bitcode(32), text_code bitcode(32));
INSERT INTO encoded SELECT id, image, words FROM pairs;
CREATE FUNCTION encode_alike(model regclass) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE encoded SET image_code = NULL, text_code = NULL;
    CALL xmhash_encode_table(model, 'encoded', 'image', 'image_code', 'words', 'text_code');
    RETURN bool_and(image_code = xmhash_encode_image(model, image) AND text_code = xmhash_encode_text(model, words) AND
                    image_code = xmhash_encode_image(model, ARRAY(SELECT (4096 * x)::real FROM unnest(image) x)) AND
                    text_code = xmhash_encode_text(model, ARRAY(SELECT (x / 1024)::real FROM unnest(words) x))) FROM encoded;
END $$;
SELECT m, encode_alike(m::regclass) FROM unnest('{plain,guided,linear}'::text[]) m;
SELECT xmhash_encode_image('plain', array_fill(0::real, '{12}')) IS NOT NULL AS zeros;
SELECT xmhash_encode_image('plain', '{1,2}');

-- Out and in again.
SELECT xmhash_import_model(m || '_in', xmhash_export_model(m::regclass)) FROM unnest('{plain,guided,linear,short,long}'::text[]) m;
SELECT m, xmhash_export_model(m::regclass) = xmhash_export_model((m || '_in')::regclass) AS same_file,
       (SELECT bool_and(xmhash_encode_image(m::regclass, image) = xmhash_encode_image((m || '_in')::regclass, image) AND
                        xmhash_encode_text(m::regclass, words) = xmhash_encode_text((m || '_in')::regclass, words)) FROM pairs) AS same_codes
FROM unnest('{plain,guided,linear,short,long}'::text[]) m;
SELECT get_byte(file, 0) + 256 * get_byte(file, 1) AS length FROM (SELECT xmhash_export_model('short') AS file) f \gset
SELECT rtrim(convert_from(substring(xmhash_export_model('short') FROM 9 FOR :length), 'UTF8')) AS header;
SELECT get_byte(file, 0) + 256 * get_byte(file, 1) AS length FROM (SELECT xmhash_export_model('linear') AS file) f \gset
SELECT rtrim(convert_from(substring(xmhash_export_model('linear') FROM 9 FOR :length), 'UTF8')) AS header;

-- A file from elsewhere, and what it says worked out in SQL.
CREATE FUNCTION little_endian(number bigint) RETURNS bytea LANGUAGE sql AS $$
SELECT string_agg(substring(int8send(number) FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, 8) i
$$;
CREATE FUNCTION little_endian(numbers real[]) RETURNS bytea LANGUAGE sql AS $$
SELECT COALESCE(string_agg(substring(float4send(x) FROM i FOR 1), '' ORDER BY n, i DESC), '')
FROM unnest(numbers) WITH ORDINALITY AS u (x, n), generate_series(1, 4) i
$$;
CREATE FUNCTION file(tensors jsonb, metadata jsonb DEFAULT '{}') RETURNS bytea LANGUAGE sql AS $$
WITH tensor AS (SELECT key, value -> 0 AS shape, ARRAY(SELECT jsonb_array_elements_text(value -> 1)::real) AS numbers FROM jsonb_each(tensors)),
     placed AS (SELECT *, sum(4 * cardinality(numbers)) OVER (ORDER BY key) AS upto FROM tensor),
     header AS (SELECT (jsonb_build_object('__metadata__', metadata) || jsonb_object_agg(key, jsonb_build_object('dtype', 'F32', 'shape', shape,
                       'data_offsets', jsonb_build_array(upto - 4 * cardinality(numbers), upto))))::text AS text,
                       string_agg(little_endian(numbers), '' ORDER BY key) AS data FROM placed)
SELECT little_endian(octet_length(convert_to(text, 'UTF8'))::bigint) || convert_to(text, 'UTF8') || data FROM header
$$;
SELECT xmhash_import_model('known', file('{"image.0.anchors": [[2,2], [1,0, 0.6,0.8]], "image.0.width": [[1], [0.25]], "image.1.weight": [[3,2], [1,-1, 1,1, 0,2]],
    "image.1.bias": [[3], [0, -1, -0.5]], "text.1.weight": [[3,1], [1, -1, 2]], "text.1.bias": [[3], [0.5, -0.5, -3]]}'));
SELECT model, method, bits, image_dimensions, image_hidden, text_dimensions, text_hidden FROM xmhash_models WHERE model = 'known'::regclass;
WITH side AS (SELECT x, y, ARRAY[x, y]::real[] AS features FROM generate_series(-5, 5) x, generate_series(-5, 5) y WHERE x <> 0 OR y <> 0),
     kernel AS (SELECT *, exp((x / sqrt(x * x + y * y) - 1) / 0.25::float8) AS a,
                exp(((0.6::real * x + 0.8::real * y) / sqrt(x * x + y * y) - 1) / 0.25::float8) AS b FROM side)
SELECT count(*), bool_and(xmhash_encode_image('known', features) =
    ((a - b > 0)::integer::text || (a + b - 1 > 0)::integer || (2 * b - 0.5 > 0)::integer)::bitcode) AS as_computed FROM kernel;
SELECT x, xmhash_encode_text('known', ARRAY[x]) FROM unnest('{3, 0, -1e-3}'::real[]) x;
-- What is wrong with a file is said.
SELECT xmhash_import_model('bad', file('{"image.0.anchors": [[2,2], [1,0, 0.6,0.8]], "image.1.weight": [[1,2], [1,-1]]}'));
SELECT xmhash_import_model('bad', file('{"image.0.anchors": [[2,2], [1,0, 0.6,0.8]], "image.0.width": [[3], [1,1,1]], "image.1.weight": [[1,2], [1,-1]]}'));
SELECT xmhash_import_model('bad', file('{"image.0.anchors": [[2,2], [1,0, 0.6,0.8]], "image.0.width": [[2], [1,0]], "image.1.weight": [[1,2], [1,-1]]}'));
SELECT xmhash_import_model('bad', file('{"image.0.anchors": [[3,2], [1,0, 0.6,0.8, 0,1]], "image.0.width": [[1], [1]], "image.1.weight": [[1,2], [1,-1]]}'));
SELECT xmhash_import_model('bad', file('{"image.0.anchors": [[2,2], [1,0, 0.6,0.8]], "image.0.width": [[1], [1]]}'));
SELECT xmhash_import_model('bad', file('{"image.1.weight": [[1,2], [1,-1]], "image.scale": [[1], [2]]}'));
SELECT xmhash_import_model('bad', file('{"image.1.weight": [[1,2], [1,-1]], "image.0.weight": [[1,2], [1,-1]]}'));
SELECT xmhash_import_model('bad', file('{"image.1.weight": [[1,2], [1,-1]]}', '{"format": "xmhash 3"}'));

-- Rows that a hand has changed: codes, or what is wrong.
CREATE FUNCTION try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION damaged(path text[], value jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE said text;
BEGIN
    CREATE TABLE hurt OF public.xmhash_model (PRIMARY KEY (part, number));
    INSERT INTO hurt SELECT part, number, CASE part WHEN 'model' THEN jsonb_set(info, path, value) ELSE info END, data FROM short;
    said := try('SELECT xmhash_encode_image(''kernel_test.hurt'', array_fill(1::real, ''{12}''))');
    DROP TABLE hurt;
    RETURN said;
END $$;
SELECT * FROM (VALUES ('{image,kernel}'::text[], '"cubic"'::jsonb), ('{image,kernel}', '"linear"'), ('{image,kernel}', '7'), ('{image,scales}', '1'),
               ('{image,layers}', '[12, 20, 5, 1]'), ('{format}', '3')) v (path, value), LATERAL damaged(path, value);

-- What is refused.
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"epochs": 3}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"anchors": 16385}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"kernel_width": 0}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"text_weight": 1.5}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"dimensions": 513}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"label_mix": "half"}');
CALL xmhash_train('bad', 'seen', 'image', 'words', 16, 'kernel_ridge', options => '{"validation_fraction": 0.5}');
CREATE VIEW one AS SELECT * FROM pairs LIMIT 1;
CALL xmhash_train('bad', 'one', 'image', 'words', 16, 'kernel_ridge');
SET xmhash.train_max_memory = '8MB';
\set VERBOSITY sqlstate
CALL xmhash_train('bad', 'seen', 'image', 'words', 16384, 'kernel_ridge');
RESET xmhash.train_max_memory;
-- Within a block a failure leaves nothing; elsewhere what may be resumed.
CREATE VIEW alike AS SELECT array_fill((1 + id % 3)::real, '{12}') || image[1:1] AS image, words FROM pairs WHERE id < 9 UNION ALL SELECT array_fill(1::real, '{13}'), words FROM pairs WHERE id < 5;
CALL xmhash_train('unsolved', 'alike', 'image', 'words', 16, 'kernel_ridge', options => '{"anchors": 0, "ridge": 1e-300}');
\set VERBOSITY default
SELECT model, status, epochs_done FROM xmhash_models WHERE model::text = 'unsolved';
SELECT xmhash_encode_image('unsolved', array_fill(1::real, '{13}'));

-- Pairs without a label count by their features; one class, or none, tells nothing and does no harm.
CREATE VIEW half AS SELECT image, words, CASE WHEN id % 2 = 0 THEN label END AS label, 'one' AS same FROM seen;
CALL xmhash_train('half_labelled', 'half', 'image', 'words', 32, 'kernel_ridge', 'label');
CALL xmhash_train('one_class', 'half', 'image', 'words', 32, 'kernel_ridge', 'same');
SELECT m, (precision_of(m::regclass)).* FROM unnest('{half_labelled,one_class}'::text[]) m;
SET client_min_messages = warning;
DROP SCHEMA kernel_test CASCADE;

-- Models out and in as safetensors files.
SET xmhash.progress = off;
CREATE SCHEMA exchange_test;
SET search_path = exchange_test, public;
CREATE TABLE pairs (id integer PRIMARY KEY, image real[], words real[], label text);
INSERT INTO pairs
SELECT g, (SELECT array_agg(sin(i * g)::real) FROM generate_series(1, 6) i),
       (SELECT array_agg(((i + g) % 9 = 0)::integer::real) FROM generate_series(1, 10) i), 'c' || g % 3
FROM generate_series(1, 200) g;
CALL xmhash_train('linear', 'pairs', 'image', 'words', 19, options => '{"epochs": 2}');
CALL xmhash_train('hidden', 'pairs', 'image', 'words', 8, 'dmsh_ln', 'label',
                  '{"epochs": 2, "image_hidden": 5, "text_hidden": 7, "scale": "standard", "batch_size": 32}');

-- What comes in is what went out.
SELECT xmhash_import_model(model || '_again', xmhash_export_model(model)) FROM xmhash_models;
SELECT model, method, bits, image_dimensions, text_dimensions, image_hidden, text_hidden, classes, options IS NULL AS no_options,
       status, epochs_done, pairs, bytes FROM xmhash_models ORDER BY model::text;
SELECT name, bool_and(xmhash_encode_image(name, image) = xmhash_encode_image(name || '_again', image)
                      AND xmhash_encode_text(name, words) = xmhash_encode_text(name || '_again', words)) AS same_codes,
       xmhash_export_model(name) = xmhash_export_model(name || '_again') AS same_file
FROM pairs, (VALUES ('linear'), ('hidden')) v (name)
GROUP BY name ORDER BY name;

-- The file: a length, a header, the numbers.
CREATE FUNCTION little_endian(number bigint) RETURNS bytea LANGUAGE sql AS $$
SELECT string_agg(substring(int8send(number) FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(1, 8) i
$$;
CREATE FUNCTION little_endian(numbers real[]) RETURNS bytea LANGUAGE sql AS $$
SELECT COALESCE(string_agg(substring(float4send(x) FROM i FOR 1), '' ORDER BY n, i DESC), '')
FROM unnest(numbers) WITH ORDINALITY AS u (x, n), generate_series(1, 4) i
$$;
SELECT get_byte(file, 0) + 256 * get_byte(file, 1) AS length FROM (SELECT xmhash_export_model('hidden') AS file) f \gset
SELECT (:length % 8) = 0 AS aligned, rtrim(convert_from(substring(xmhash_export_model('hidden') FROM 9 FOR :length), 'UTF8')) AS header;

-- A file from elsewhere, by its header and its numbers.
CREATE FUNCTION file(header text, numbers real[]) RETURNS bytea LANGUAGE sql AS $$
SELECT little_endian(octet_length(convert_to(header, 'UTF8'))::bigint) || convert_to(header, 'UTF8') || little_endian(numbers)
$$;
CREATE FUNCTION tensor(name text, shape integer[], at integer, type text DEFAULT 'F32') RETURNS text LANGUAGE sql AS $$
SELECT format('"%s":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}', name, type, to_json(shape), 4 * at,
              4 * (at + (SELECT COALESCE(exp(sum(ln(x))), 1)::integer FROM unnest(shape) x)))
$$;
-- Two bits of two image and one text dimensions: signs that are known.
SELECT xmhash_import_model('known', file('{' || tensor('image.0.weight', '{2,2}', 0) || ',' || tensor('image.0.bias', '{2}', 4) || ','
    || tensor('text.0.weight', '{2,1}', 6) || ',' || tensor('text.0.bias', '{2}', 8) || ',' || tensor('text.shift', '{1}', 10) || '}',
    '{1,2, 3,-4, 0,0.5, 1,-1, 0,0, 10}'));
SELECT xmhash_encode_image('known', '{2,-1}') AS "01", xmhash_encode_image('known', '{1,1}') AS "10",
       xmhash_encode_text('known', '{11}') AS "10", xmhash_encode_text('known', '{9}') AS "01", xmhash_encode_text('known', '{10}') AS "00";
SELECT model, method, bits, classes FROM xmhash_models WHERE model = 'known'::regclass;
-- Missing biases are zero, a scale may have no dimension, metadata may be numbers.
SELECT xmhash_import_model('sloppy', file('{"__metadata__":{"bits":2,"image_dim":2.0,"text_dim":"1","classes":"[1, \"b\", -2]","epochs":1e2,"method":7},'
    || tensor('image.0.weight', '{2,2}', 0) || ',' || tensor('text.0.weight', '{2,1}', 4) || ',' || tensor('text.scale', '{}', 6) || ','
    || tensor('image.shift', '{}', 7) || '}', '{1,2, 3,-4, 1,-1, 0.5, 1}'));
SELECT xmhash_encode_image('sloppy', '{2,-1}') AS "01", xmhash_encode_image('sloppy', '{3,1}') AS "11",
       xmhash_encode_text('sloppy', '{2}') AS "10", xmhash_encode_text('sloppy', '{-1}') AS "01";
SELECT model, method, bits, classes FROM xmhash_models WHERE model = 'sloppy'::regclass;
-- One network only; the other is missed by name, by every function.
SELECT xmhash_import_model('text_only', file('{' || tensor('text.0.weight', '{3,2}', 0) || ',' || tensor('text.2.weight', '{2,3}', 6) || ','
    || tensor('text.2.bias', '{2}', 12) || '}', '{1,0, 0,1, -1,-1, 1,-1,0, 0,0,1, 0,-1}'));
SELECT xmhash_encode_text('text_only', '{1,0}') AS "10", xmhash_encode_text('text_only', '{-1,-1}') AS "01", xmhash_encode_text('text_only', '{0,1}') AS "00";
SELECT image_dimensions, image_hidden, text_dimensions, text_hidden FROM xmhash_models WHERE model = 'text_only'::regclass;
DO $$
DECLARE
  query text;
  state text;
  message text;
BEGIN
  FOREACH query IN ARRAY ARRAY[
    'SELECT xmhash_encode_image(''text_only'', ''{1,0}'')', 'SELECT xmhash_encode_image(''text_only'', ''{}'')',
    'CALL xmhash_encode_table(''text_only'', ''pairs'', ''image'', ''code'', NULL, NULL)',
    'INSERT INTO encoded VALUES (''{1,0}'')',
    'SELECT xmhash_compare_models(''{text_only}'', ''pairs'', ''image'', ''words'')'] LOOP
    BEGIN
      CREATE TEMP TABLE encoded (image real[], code bitcode);
      CREATE TRIGGER encode BEFORE INSERT ON encoded FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('text_only', 'image', 'image', 'code');
      ALTER TABLE pairs ADD code bitcode;
      EXECUTE query;
      RAISE 'no error: %', query;
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
      GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
      RAISE NOTICE '%: %', state, message;
    END;
  END LOOP;
END $$;
SELECT xmhash_import_model('text_only_again', xmhash_export_model('text_only'));
SELECT xmhash_export_model('text_only') = xmhash_export_model('text_only_again') AS same_file;

-- Files that are refused, each with its reason.
CREATE FUNCTION try(file bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  more text;
BEGIN
  PERFORM xmhash_import_model('bad', file);
  RETURN 'imported';
EXCEPTION WHEN invalid_binary_representation THEN
  GET STACKED DIAGNOSTICS more = PG_EXCEPTION_DETAIL;
  RETURN more;
END
$$;
CREATE VIEW good AS
SELECT tensor('image.0.weight', '{2,2}', 0) AS iw, tensor('image.0.bias', '{2}', 4) AS ib,
       tensor('text.0.weight', '{2,1}', 6) AS tw, tensor('text.0.bias', '{2}', 8) AS tb,
       '{1,2, 3,-4, 0,0.5, 1,-1, 0,0}'::real[] AS numbers;
SELECT try(''), try('\x00');
SELECT try(substring(xmhash_export_model('linear') FROM 1 FOR 300));
SELECT try(substring(xmhash_export_model('linear') FROM 1 FOR octet_length(xmhash_export_model('linear')) - 1));
SELECT try(xmhash_export_model('linear') || '\x00');
SELECT try(set_byte(xmhash_export_model('linear'), 6, 1));
SELECT try(file('{}', '{}'));
SELECT try(file('{' || tensor('image.0.bias', '{2}', 0) || '}', '{1,2}'));
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('text.2.weight', '{2,1}', 6), tensor('text.2.bias', '{2}', 8)) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('text.shift', '{4}', 6)) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('image.2.weight', '{2,1}', 6), tensor('image.2.bias', '{2}', 8)) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('image.4.weight', '{2,2}', 6)) || '}', numbers)) FROM good;
SELECT try(file('{' || (SELECT string_agg(tensor('image.' || 2 * i || '.weight', '{1,1}', i), ',') FROM generate_series(0, 8) i) || '}', array_fill(1::real, '{9}')));
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('image.scale', '{1,1}', 6), tensor('image.shift', '{3}', 7)) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tb, tensor('more', '{1}', 10)) || '}', numbers || 1::real)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tensor('text.0.bias', '{2}', 8, 'I32')) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tensor('text.0.bias', '{1,2}', 8)) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tensor('text.0.bias', '{3}', 8)) || '}', numbers || 1::real)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tensor('text.0.weight', '{1,2}', 6), tensor('text.0.bias', '{1}', 8)) || '}', numbers[1:9])) FROM good;
SELECT try(file('{' || concat_ws(',', iw, tensor('image.0.bias', '{2}', 2), tw, tb) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tb, tensor('text.scale', '{3}', 10)) || '}', numbers || '{1,1,1}'::real[])) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tb) || '}', numbers[1:3] || 'NaN'::real || numbers[5:])) FROM good;
SELECT try(file('{' || concat_ws(',', iw, ib, tw, tb) || '}', numbers[1:9] || 'Infinity'::real)) FROM good;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"bits":"3"}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"bits":' || n || '}', iw, ib, tw, tb) || '}', numbers)) FROM good, unnest('{3,2.5,-2,02,true}'::text[]) n;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"bits":"' || n || '"}', iw, ib, tw, tb) || '}', numbers)) FROM good, unnest('{0x2," 2","2 ","",inf,2e}'::text[]) n;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"format":"xmhash 3"}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"classes":"{}"}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"classes":"[true]"}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT classes, try(file('{' || concat_ws(',', format('"__metadata__":{"classes":%s}', to_json(classes)), iw, ib, tw, tb) || '}', numbers))
FROM good, unnest(ARRAY['', ' ', '[', '[1', '["a"', '["a",]', '["a" "b"]', '["a"]]', '["a"] x', '[a]', '[null]', '[["a"]]', '[{"a": 1}]', '["\u0000"]', '["\ud800"]', '[01]', '"a"', '7', 'null']) AS classes;
SELECT try(little_endian(octet_length(h)) || h || little_endian(numbers))
FROM (SELECT convert_to('{"__metadata__":{"method":"', 'UTF8') || '\xff' || convert_to('"},' || concat_ws(',', iw, ib, tw, tb) || '}', 'UTF8') AS h, numbers FROM good) g;
SELECT try(file('{' || concat_ws(',', '"__metadata__":{"format":"pt","method":"mine","classes":"[\"a\",\"b\"]"}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT model, method, classes FROM xmhash_models WHERE model = 'bad'::regclass;
SELECT xmhash_import_model('bad', xmhash_export_model('linear'));
SELECT xmhash_import_model('"Bad too"', file('{' || concat_ws(',', '"__metadata__":{"classes":"[\"a\","}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT xmhash_import_model('named', file('{' || concat_ws(',', '"__metadata__":{"classes":" [ \"\\u0061\\n\", 1e2,-0.5 ,\"\" ] "}', iw, ib, tw, tb) || '}', numbers)) FROM good;
SELECT classes FROM xmhash_models WHERE model = 'named'::regclass;
SELECT xmhash_import_model('', xmhash_export_model('linear'));
SELECT xmhash_export_model('no_such');

-- Narrow numbers take more memory than their file: 24 MB of float32 for 12 MB.
CREATE FUNCTION narrow(rows integer, columns integer) RETURNS bytea LANGUAGE sql AS $$
SELECT little_endian(octet_length(header)::bigint) || convert_to(header, 'UTF8') || decode(repeat('003c', rows * columns), 'hex')
FROM format('{"image.0.weight":{"dtype":"F16","shape":[%s,%s],"data_offsets":[0,%s]}}', rows, columns, 2 * rows * columns) AS header
$$;
SET xmhash.train_max_memory = '20MB';
SELECT xmhash_import_model('narrow', narrow(1024, 6000));
SET xmhash.train_max_memory = '200MB';
SELECT xmhash_import_model('narrow', narrow(1024, 6000));
SELECT length(xmhash_encode_image('narrow', array_fill(1::real, '{6000}')));
SET xmhash.train_max_memory = '20MB';
SELECT length(xmhash_export_model('narrow'));
RESET xmhash.train_max_memory;

-- An import that is undone leaves nothing in this session's memory either.
BEGIN;
SELECT xmhash_import_model('undone', xmhash_export_model('linear'));
SELECT length(xmhash_encode_image('undone', image)) FROM pairs WHERE id = 1;
ROLLBACK;
SELECT length(xmhash_encode_image('undone', image)) FROM pairs WHERE id = 1;

SET client_min_messages = warning;
DROP SCHEMA exchange_test CASCADE;

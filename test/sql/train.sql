-- Training by JDSH: what is stored, what is seen, what does not matter.
-- Losses and codes differ between processors: only their properties are shown.
SET xmhash.progress = off;
CREATE SCHEMA train_test;
SET search_path = train_test, public;

-- Ten topics; a pair's features lie about its topic's.
CREATE TABLE pairs (
    id integer PRIMARY KEY,
    topic integer,
    image real[],
    words real[]);
INSERT INTO pairs
SELECT g, g % 10,
       (SELECT array_agg((sin(i * (1 + g % 10)) + 0.3 * sin(g * 7.3 + i * 1.7))::real ORDER BY i)
        FROM generate_series(1, 24) i),
       (SELECT array_agg((i % 10 = g % 10 OR (i * 31 + g * 17) % 41 = 0)::integer::real ORDER BY i)
        FROM generate_series(1, 40) i)
FROM generate_series(1, 640) g;

CALL xmhash_train('first', 'pairs', 'image', 'words', 32, options => '{"epochs": 8}');
SELECT model, owner = current_user::regrole AS mine, method, bits, image_dimensions, text_dimensions,
       image_hidden, text_hidden, classes, options -> 'epochs' AS epochs, options -> 'scale' AS scale,
       status, epochs_done, pairs, loss IS NOT NULL AS loss, seconds > 0 AS seconds
FROM xmhash_models;
SELECT count(*), min(epoch), max(epoch), bool_and(epochs = 8) AS epochs,
       bool_and(loss_terms ?& ARRAY['cross', 'image', 'text', 'pair']) AS terms,
       bool_and(learning_rate > 0) AS rates, count(validation_map) AS maps,
       (array_agg(loss ORDER BY epoch))[1] > (array_agg(loss ORDER BY epoch))[8] AS falls
FROM xmhash_training WHERE model = 'first'::regclass;

-- It learns: a picture's nearest texts are of its topic.
CREATE TABLE codes AS
SELECT id, topic, xmhash_encode_image('first', image) AS image, xmhash_encode_text('first', words) AS words
FROM pairs;
SELECT count(*), min(length(image)), max(length(words)) FROM codes;
SELECT avg((n.topic = c.topic)::integer) > 0.9 AS learned
FROM codes c
     CROSS JOIN LATERAL (SELECT topic FROM codes ORDER BY words <~> c.image, id LIMIT 5) n;

-- The same data, seed and threads give the same weights: whatever the physical
-- order, the type of the columns, a view in between, memory or temporary file.
CREATE FUNCTION same_weights(a regclass, b regclass) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  same boolean;
BEGIN
  EXECUTE format('SELECT count(*) > 0 AND bool_and(p.data = q.data) FROM %s p LEFT JOIN %s q USING (part, number) WHERE p.part = ''weights''', a, b) INTO same;
  RETURN same;
END
$$;
CREATE TABLE shuffled AS
SELECT id, image::double precision[] AS image, words::text AS words FROM pairs ORDER BY (id * 37) % 641;
CREATE VIEW joined AS SELECT p.image, q.words FROM pairs p JOIN pairs q USING (id) ORDER BY p.id DESC;
CREATE TABLE parts (LIKE pairs) PARTITION BY LIST (topic);
CREATE TABLE parts_even PARTITION OF parts FOR VALUES IN (0, 2, 4, 6, 8);
CREATE TABLE parts_odd PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT * FROM pairs;
CALL xmhash_train('of_shuffled', 'shuffled', 'image', 'words', 32, options => '{"epochs": 8}');
CALL xmhash_train('of_view', 'joined', 'image', 'words', 32, options => '{"epochs": 8}');
CALL xmhash_train('of_parts', 'parts', 'image', 'words', 32, options => '{"epochs": 8}');
SET xmhash.train_work_mem = '64kB';
CALL xmhash_train('of_file', 'pairs', 'image', 'words', 32, options => '{"epochs": 8}');
RESET xmhash.train_work_mem;
CALL xmhash_train('of_seed_2', 'pairs', 'image', 'words', 32, options => '{"epochs": 8, "seed": 2}');
SELECT model, same_weights('first', model) FROM xmhash_models ORDER BY model::text COLLATE "C";

-- Within a transaction block a training is one step.
BEGIN;
CALL xmhash_train('undone', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT status, epochs_done, length(xmhash_encode_image('undone', image))
FROM xmhash_models, pairs WHERE model = 'undone'::regclass AND id = 1;
ROLLBACK;
SELECT count(*) FROM xmhash_models WHERE model::text = 'undone';
SELECT xmhash_encode_image('undone', image) FROM pairs WHERE id = 1;
DO $$
BEGIN
  CALL xmhash_train('caught', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
  RAISE NOTICE 'models of this name: %', (SELECT count(*) FROM xmhash_models WHERE model::text = 'caught');
END
$$;

-- It works with any search path, an empty one included.
SET search_path = '';
CALL public.xmhash_train('qualified', 'train_test.pairs', 'image', 'words', 16, options => '{"epochs": 2}');
CALL public.xmhash_train('train_test."a Model"', 'train_test.pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT pg_catalog.length(public.xmhash_encode_text('train_test."a Model"', words)::bit varying)
FROM train_test.pairs WHERE id = 1;
SELECT model, status FROM public.xmhash_models WHERE bits = 16;
DROP TABLE train_test."a Model";
SET search_path = train_test, public;

-- Options: hidden layers, scales, lengths that are no multiple of 8.
CALL xmhash_train('hidden', 'pairs', 'image', 'words', 13,
                  options => '{"epochs": 2, "image_hidden": 7, "text_hidden": 9, "scale": "standard"}');
CALL xmhash_train('unscaled', 'pairs', 'image', 'words', 1,
                  options => '{"epochs": 1, "scale": "none", "batch_size": 64, "clip_targets": true}');
SELECT model, image_hidden, text_hidden, options ->> 'scale' AS scale,
       length(xmhash_encode_image(model, image)) AS image, length(xmhash_encode_text(model, words)) AS words
FROM xmhash_models, pairs WHERE model IN ('hidden', 'unscaled') AND id = 1 ORDER BY model::text;

-- Pairs with a side missing or zero are left out, and counted.
CREATE TABLE gaps AS SELECT * FROM pairs;
UPDATE gaps SET image = NULL WHERE id <= 3;
UPDATE gaps SET words = NULL WHERE id BETWEEN 3 AND 5;
UPDATE gaps SET words = array_fill(0::real, ARRAY[40]) WHERE id BETWEEN 10 AND 13;
UPDATE gaps SET image = array_fill('-0'::real, ARRAY[24]) WHERE id = 20;
CALL xmhash_train('of_gaps', 'gaps', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT pairs FROM xmhash_models WHERE model = 'of_gaps'::regclass;

-- Labels in jdsh: held-out pairs, mean average precision, best epoch, patience.
CALL xmhash_train('validated', 'pairs', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 6, "validation_fraction": 0.25, "keep_best": true}');
CREATE VIEW labelled AS SELECT image, words, 'topic ' || topic AS label FROM pairs;
CALL xmhash_train('validated', 'labelled', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 6, "validation_fraction": 0.25, "keep_best": true}');
SELECT pairs, classes[1] AS first_class, array_length(classes, 1) AS classes FROM xmhash_models WHERE model = 'validated'::regclass;
SELECT count(validation_map), bool_and(validation_map BETWEEN 0 AND 1) AS in_range, max(validation_map) > 0.8 AS learned
FROM xmhash_training WHERE model = 'validated'::regclass;
CALL xmhash_train('patient', 'labelled', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 200, "validation_fraction": 0.25, "patience": 3, "learning_rate_image": 0.0, "learning_rate_text": 0.0}');
SELECT epochs_done, status FROM xmhash_models WHERE model = 'patient'::regclass;

-- DMsH-LN, with every kind of label.
CREATE VIEW vectors AS
SELECT image, words, topic,
       (SELECT array_agg(i = topic ORDER BY i) FROM generate_series(0, 9) i) AS flags,
       (1::bit(10) << topic) AS bits,
       (topic * 4000000000 - 15000000000)::bigint AS number,
       CASE WHEN id > 600 THEN NULL ELSE (topic * 7 - 30)::smallint END AS some_number,
       CASE WHEN id > 600 THEN NULL ELSE 'topic ' || topic END AS some_name,
       CASE WHEN id > 600 THEN '{}' ELSE ARRAY['t' || topic, CASE WHEN topic < 5 THEN 'low' ELSE 'high' END] END AS names
FROM pairs;
CALL xmhash_train('by_name', 'labelled', 'image', 'words', 16, 'dmsh_ln', 'label', '{"epochs": 6}');
CALL xmhash_train('by_flag', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'flags', '{"epochs": 6}');
CALL xmhash_train('by_bit', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'bits', '{"epochs": 6}');
CALL xmhash_train('by_names', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'names', '{"epochs": 6, "init": "fan_out", "symmetric": true}');
CALL xmhash_train('by_number', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'number', '{"epochs": 6}');
CALL xmhash_train('by_topic', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'topic', '{"epochs": 6}');
CALL xmhash_train('some_named', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'some_name', '{"epochs": 2, "validation_fraction": 0.2}');
CALL xmhash_train('some_numbered', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'some_number', '{"epochs": 2, "validation_fraction": 0.2}');
SELECT same_weights('some_named', 'some_numbered'), count(*) AS epochs, count(DISTINCT validation_map) AS maps, count(validation_map) AS validated
FROM xmhash_training WHERE model IN ('some_named', 'some_numbered');
SELECT model, pairs, classes, same_weights('by_name', model) FROM xmhash_models
WHERE method = 'dmsh_ln' ORDER BY model::text COLLATE "C";
SELECT array_agg(DISTINCT k ORDER BY k) FROM xmhash_training, jsonb_object_keys(loss_terms) k WHERE model = 'by_name'::regclass;

-- Options are stored as they are, whatever this session writes numbers like.
SET extra_float_digits = -14;
CALL xmhash_train('digits', 'pairs', 'image', 'words', 16,
                  options => '{"epochs": 1, "learning_rate_image": 0.0375, "momentum": 0.8765, "weight_decay": 0.1234567890123456}');
RESET extra_float_digits;
SELECT options -> 'learning_rate_image' AS learning_rate_image, options -> 'momentum' AS momentum,
       options -> 'weight_decay' AS weight_decay FROM xmhash_models WHERE model = 'digits'::regclass;
SELECT bool_or(value::float8 <> round(value::float8::numeric, 2)) AS terms_in_full
FROM xmhash_training, jsonb_each_text(loss_terms) WHERE model = 'digits'::regclass;

-- A class without any row: a word, no error.
CREATE VIEW eleven AS SELECT image, words, flags || ARRAY[false] AS flags FROM vectors;
CALL xmhash_train('of_eleven', 'eleven', 'image', 'words', 16, 'dmsh_ln', 'flags', '{"epochs": 1}');

-- Its networks have hidden layers unless that is said; the paper's have none.
CALL xmhash_train('linear', 'labelled', 'image', 'words', 16, 'dmsh_ln', 'label', '{"epochs": 1, "image_hidden": 0, "text_hidden": 0}');
CALL xmhash_train('half_linear', 'labelled', 'image', 'words', 16, 'dmsh_ln', 'label', '{"epochs": 1, "text_hidden": 0}');
SELECT model, image_hidden, text_hidden FROM xmhash_models
WHERE model IN ('by_name', 'linear', 'half_linear') ORDER BY model::text COLLATE "C";

-- What a training leaves: a row for the model, one an epoch, the weights in pieces.
SELECT part, count(*), count(info) AS described, count(data) AS with_data FROM first GROUP BY part ORDER BY part;
SELECT a.attname, a.attstorage, col_description(a.attrelid, a.attnum) IS NOT NULL AS described
FROM pg_attribute a WHERE a.attrelid = 'first'::regclass AND a.attnum > 0 ORDER BY a.attnum;
SET client_min_messages = warning;
DROP SCHEMA train_test CASCADE;

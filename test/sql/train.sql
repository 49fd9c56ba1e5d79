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
SELECT name, owner = current_user::regrole AS mine, method, bits, image_dimensions, text_dimensions,
       image_hidden, text_hidden, classes, options -> 'epochs' AS epochs, options -> 'scale' AS scale,
       status, epochs_done, pairs, loss IS NOT NULL AS loss, seconds > 0 AS seconds
FROM xmhash_models;
SELECT count(*), min(epoch), max(epoch), bool_and(epochs = 8) AS epochs,
       bool_and(loss_terms ?& ARRAY['cross', 'image', 'text', 'pair']) AS terms,
       bool_and(learning_rate > 0) AS rates, count(validation_map) AS maps,
       (array_agg(loss ORDER BY epoch))[1] > (array_agg(loss ORDER BY epoch))[8] AS falls
FROM xmhash_training WHERE model = 'first';

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
CREATE FUNCTION same_weights(a text, b text) RETURNS boolean LANGUAGE sql AS $$
SELECT count(*) > 0 AND bool_and(p.data = q.data)
FROM xmhash_model m
     JOIN xmhash_model_part p ON p.model = m.id
     CROSS JOIN xmhash_model n
     LEFT JOIN xmhash_model_part q ON q.model = n.id AND q.part = p.part
WHERE m.name = a AND n.name = b
$$;
CREATE TABLE shuffled AS
SELECT id, image::double precision[] AS image, words::text AS words FROM pairs ORDER BY (id * 37) % 641;
CREATE VIEW joined AS SELECT p.image, q.words FROM pairs p JOIN pairs q USING (id) ORDER BY p.id DESC;
CREATE TABLE parts (LIKE pairs) PARTITION BY LIST (topic);
CREATE TABLE parts_even PARTITION OF parts FOR VALUES IN (0, 2, 4, 6, 8);
CREATE TABLE parts_odd PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT * FROM pairs;
CALL xmhash_train('of shuffled', 'shuffled', 'image', 'words', 32, options => '{"epochs": 8}');
CALL xmhash_train('of view', 'joined', 'image', 'words', 32, options => '{"epochs": 8}');
CALL xmhash_train('of parts', 'parts', 'image', 'words', 32, options => '{"epochs": 8}');
SET xmhash.train_work_mem = '64kB';
CALL xmhash_train('of file', 'pairs', 'image', 'words', 32, options => '{"epochs": 8}');
RESET xmhash.train_work_mem;
CALL xmhash_train('of seed 2', 'pairs', 'image', 'words', 32, options => '{"epochs": 8, "seed": 2}');
SELECT name, same_weights('first', name) FROM xmhash_models ORDER BY name COLLATE "C";

-- Within a transaction block a training is one step.
BEGIN;
CALL xmhash_train('undone', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT status, epochs_done, length(xmhash_encode_image('undone', image))
FROM xmhash_models, pairs WHERE name = 'undone' AND id = 1;
ROLLBACK;
SELECT count(*) FROM xmhash_models WHERE name = 'undone';
SELECT xmhash_encode_image('undone', image) FROM pairs WHERE id = 1;
DO $$
BEGIN
  CALL xmhash_train('caught', 'pairs', 'image', 'words', 16, options => '{"epochs": 2}');
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
  RAISE NOTICE 'models of this name: %', (SELECT count(*) FROM xmhash_models WHERE name = 'caught');
END
$$;

-- It works with any search path, an empty one included.
SET search_path = '';
CALL public.xmhash_train('qualified', 'train_test.pairs', 'image', 'words', 16, options => '{"epochs": 2}');
SELECT pg_catalog.length(public.xmhash_encode_text('qualified', words)::bit varying)
FROM train_test.pairs WHERE id = 1;
SELECT name, status FROM public.xmhash_models WHERE name = 'qualified';
SELECT public.xmhash_drop_model('qualified');
SET search_path = train_test, public;

-- Options: hidden layers, scales, lengths that are no multiple of 8.
CALL xmhash_train('hidden', 'pairs', 'image', 'words', 13,
                  options => '{"epochs": 2, "image_hidden": 7, "text_hidden": 9, "scale": "standard"}');
CALL xmhash_train('unscaled', 'pairs', 'image', 'words', 1,
                  options => '{"epochs": 1, "scale": "none", "batch_size": 64, "clip_targets": true}');
SELECT name, image_hidden, text_hidden, options ->> 'scale' AS scale,
       length(xmhash_encode_image(name, image)) AS image, length(xmhash_encode_text(name, words)) AS words
FROM xmhash_models, pairs WHERE name IN ('hidden', 'unscaled') AND id = 1 ORDER BY name;

-- Pairs with a side missing or zero are left out, and counted.
CREATE TABLE gaps AS SELECT * FROM pairs;
UPDATE gaps SET image = NULL WHERE id <= 3;
UPDATE gaps SET words = NULL WHERE id BETWEEN 3 AND 5;
UPDATE gaps SET words = array_fill(0::real, ARRAY[40]) WHERE id BETWEEN 10 AND 13;
UPDATE gaps SET image = array_fill('-0'::real, ARRAY[24]) WHERE id = 20;
CALL xmhash_train('gaps', 'gaps', 'image', 'words', 16, options => '{"epochs": 1}');
SELECT pairs FROM xmhash_models WHERE name = 'gaps';

-- Labels in jdsh: held-out pairs, mean average precision, best epoch, patience.
CALL xmhash_train('validated', 'pairs', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 6, "validation_fraction": 0.25, "keep_best": true}');
CREATE VIEW labelled AS SELECT image, words, 'topic ' || topic AS label FROM pairs;
CALL xmhash_train('validated', 'labelled', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 6, "validation_fraction": 0.25, "keep_best": true}');
SELECT pairs, classes[1] AS first_class, array_length(classes, 1) AS classes FROM xmhash_models WHERE name = 'validated';
SELECT count(validation_map), bool_and(validation_map BETWEEN 0 AND 1) AS in_range, max(validation_map) > 0.8 AS learned
FROM xmhash_training WHERE model = 'validated';
CALL xmhash_train('patient', 'labelled', 'image', 'words', 32, label_column => 'label',
                  options => '{"epochs": 200, "validation_fraction": 0.25, "patience": 3, "learning_rate_image": 0.0, "learning_rate_text": 0.0}');
SELECT epochs_done, status FROM xmhash_models WHERE name = 'patient';

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
CALL xmhash_train('by name', 'labelled', 'image', 'words', 16, 'dmsh_ln', 'label', '{"epochs": 6}');
CALL xmhash_train('by flag', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'flags', '{"epochs": 6}');
CALL xmhash_train('by bit', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'bits', '{"epochs": 6}');
CALL xmhash_train('by names', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'names', '{"epochs": 6, "init": "fan_out", "symmetric": true}');
CALL xmhash_train('by number', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'number', '{"epochs": 6}');
CALL xmhash_train('by topic', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'topic', '{"epochs": 6}');
CALL xmhash_train('some named', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'some_name', '{"epochs": 2, "validation_fraction": 0.2}');
CALL xmhash_train('some numbered', 'vectors', 'image', 'words', 16, 'dmsh_ln', 'some_number', '{"epochs": 2, "validation_fraction": 0.2}');
SELECT same_weights('some named', 'some numbered'), count(*) AS epochs, count(DISTINCT validation_map) AS maps, count(validation_map) AS validated
FROM xmhash_training WHERE model IN ('some named', 'some numbered');
SELECT name, pairs, classes, same_weights('by name', name) FROM xmhash_models
WHERE method = 'dmsh_ln' ORDER BY name COLLATE "C";
SELECT array_agg(DISTINCT k ORDER BY k) FROM xmhash_training, jsonb_object_keys(loss_terms) k WHERE model = 'by name';

-- Options are stored as they are, whatever this session writes numbers like.
SET extra_float_digits = -14;
CALL xmhash_train('digits', 'pairs', 'image', 'words', 16,
                  options => '{"epochs": 1, "learning_rate_image": 0.0375, "momentum": 0.8765, "weight_decay": 0.1234567890123456}');
RESET extra_float_digits;
SELECT options -> 'learning_rate_image' AS learning_rate_image, options -> 'momentum' AS momentum,
       options -> 'weight_decay' AS weight_decay FROM xmhash_models WHERE name = 'digits';
SELECT bool_or(value::float8 <> round(value::float8::numeric, 2)) AS terms_in_full
FROM xmhash_training, jsonb_each_text(loss_terms) WHERE model = 'digits';

-- A class without any row: a word, no error.
CREATE VIEW eleven AS SELECT image, words, flags || ARRAY[false] AS flags FROM vectors;
CALL xmhash_train('eleven', 'eleven', 'image', 'words', 16, 'dmsh_ln', 'flags', '{"epochs": 1}');

SELECT xmhash_drop_model(name) FROM xmhash_models;
SELECT (SELECT count(*) FROM xmhash_model), (SELECT count(*) FROM xmhash_model_part),
       (SELECT count(*) FROM xmhash_training_log), (SELECT count(*) FROM xmhash_checkpoint);
SET client_min_messages = warning;
DROP SCHEMA train_test CASCADE;

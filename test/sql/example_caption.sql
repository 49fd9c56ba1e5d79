-- Retrieval by example: pictures for a caption, and captions for a picture.
-- From feature tables to answers; the recipes of sql/README.md show the same.
SET xmhash.progress = off;
CREATE SCHEMA example_caption;
SET search_path = example_caption, public;

-- 200 pictures of five subjects.  The features of a picture come from a vision
-- network; here a subject is a direction of its own, with some noise.
CREATE TABLE picture (
    id int PRIMARY KEY, subject text, caption text,
    features real[], words real[],
    code bitcode(32), caption_code bitcode(32));
INSERT INTO picture (id, subject, caption, features)
SELECT id, subject, caption,
       ARRAY(SELECT (CASE WHEN i % 5 = topic THEN 3 ELSE 0 END + ((id * 31 + i * 17) % 21 - 10) / 20.0)::real
             FROM generate_series(0, 19) AS i)
FROM generate_series(1, 200) AS id,
     LATERAL (SELECT id % 5 AS topic) AS topics,
     LATERAL (SELECT (ARRAY['car', 'boat', 'dog', 'cake', 'mountain'])[topic + 1] AS subject,
                     (ARRAY['a car parked in the street', 'a boat sails on the sea', 'the dog runs over grass',
                            'a birthday cake with candles', 'snow on the mountain'])[topic + 1] AS caption) AS subjects;

-- Words become features inside the database.
UPDATE picture SET words = xmhash_bag_of_words(to_tsvector('english', caption), 256);

-- Train, encode, index.
CALL xmhash_train('scenes', 'picture', 'features', 'words', 32);
CALL xmhash_encode_table('scenes', 'picture', 'features', 'code', 'words', 'caption_code');
CREATE INDEX picture_code ON picture USING xmhash (code);
CREATE INDEX picture_caption_code ON picture USING xmhash (caption_code);
ANALYZE picture;

-- The five pictures nearest to a caption.
SELECT subject FROM picture
ORDER BY code <~> xmhash_encode_text('scenes', xmhash_bag_of_words(to_tsvector('english', 'a dog on the grass'), 256))
LIMIT 5;

-- The five captions nearest to a picture.
SELECT caption FROM picture
ORDER BY caption_code <~> (SELECT xmhash_encode_image('scenes', features) FROM picture WHERE id = 76)
LIMIT 5;

-- Pictures by the words of others: a caption that no picture has.
SELECT DISTINCT subject
FROM (SELECT subject FROM picture
      ORDER BY code <~> xmhash_encode_text('scenes', xmhash_bag_of_words(to_tsvector('english', 'candles and cakes'), 256))
      LIMIT 10) AS nearest;

-- New pictures get their codes from a trigger.
CREATE TRIGGER picture_code BEFORE INSERT OR UPDATE ON picture
    FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('scenes', 'image', 'features', 'code');
INSERT INTO picture (id, subject, features)
SELECT 1000, 'a boat seen later', features FROM picture WHERE id = 1;
SELECT a.code = b.code AS same_code FROM picture AS a, picture AS b WHERE a.id = 1000 AND b.id = 1;

-- The index answers as the sequential scan does.
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE nearest (bitcode) AS SELECT subject FROM picture ORDER BY code <~> $1 LIMIT 5;
EXPLAIN (COSTS OFF) EXECUTE nearest (xmhash_encode_text('scenes', xmhash_bag_of_words(to_tsvector('english', 'a dog on the grass'), 256)));
EXECUTE nearest (xmhash_encode_text('scenes', xmhash_bag_of_words(to_tsvector('english', 'a dog on the grass'), 256)));
SELECT caption FROM picture
ORDER BY caption_code <~> (SELECT xmhash_encode_image('scenes', features) FROM picture WHERE id = 76)
LIMIT 5;

SET client_min_messages = warning;
DROP SCHEMA example_caption CASCADE;

-- Retrieval by example: a table of similar items that triggers keep current.
CREATE SCHEMA example_similar;
SET search_path = example_similar, public;
SET xmhash.bitcode_output = 'hex';

CREATE TABLE picture (id int PRIMARY KEY, title text, code bitcode(16));
CREATE INDEX picture_code ON picture USING xmhash (code);

-- Every pair within three bits, both ways round, so that reading is one look-up:
--     SELECT other, distance FROM similar_picture WHERE id = 42 ORDER BY distance LIMIT 5;
-- Being near is mutual: a new row changes nothing but pairs that it is part of.
-- (The k nearest aren't mutual: there a new row can change anybody's list.)
CREATE TABLE similar_picture (id int, other int, distance int NOT NULL, PRIMARY KEY (id, other));

-- Two writers that don't see each other's rows would both miss the pair of them.
-- So they write one after the other, each until its transaction ends; readers are
-- never held up.  The lock is taken before any row is, hence in the same order by
-- all.  A writer that has waited must see what the one before it wrote: READ
-- COMMITTED does; SERIALIZABLE finds the conflict and fails with 40001, to be
-- retried; REPEATABLE READ would miss it, and is refused.
CREATE FUNCTION similar_picture_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') = 'repeatable read' THEN
        RAISE EXCEPTION 'table picture can''t be written at isolation level repeatable read'
            USING ERRCODE = 'feature_not_supported', HINT = 'Use read committed or serializable.';
    END IF;
    LOCK TABLE similar_picture IN SHARE ROW EXCLUSIVE MODE;
    RETURN NULL;
END $$;

-- One call a statement, whatever number of rows it writes.  ON CONFLICT: an
-- INSERT … ON CONFLICT DO UPDATE calls it twice, for two halves of one change.
CREATE FUNCTION similar_picture_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    removed int[] := ARRAY[]::int[];
    added int[] := ARRAY[]::int[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        added := ARRAY(SELECT id FROM come);
    ELSIF TG_OP = 'DELETE' THEN
        removed := ARRAY(SELECT id FROM gone);
    ELSE
        removed := ARRAY(SELECT id FROM (SELECT id, code FROM gone EXCEPT SELECT id, code FROM come) AS changed);
        added := ARRAY(SELECT id FROM (SELECT id, code FROM come EXCEPT SELECT id, code FROM gone) AS changed);
    END IF;
    DELETE FROM similar_picture WHERE id = ANY (removed);
    DELETE FROM similar_picture WHERE other = ANY (removed);
    INSERT INTO similar_picture (id, other, distance)
    SELECT pair.id, pair.other, item.code <~> near.code
    FROM picture AS item
         JOIN picture AS near ON hamming_within(near.code, item.code, 3) AND near.id <> item.id
         CROSS JOIN LATERAL (VALUES (item.id, near.id), (near.id, item.id)) AS pair (id, other)
    WHERE item.id = ANY (added)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE INDEX similar_picture_other ON similar_picture (other);

CREATE FUNCTION similar_picture_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE similar_picture;
    RETURN NULL;
END $$;

CREATE TRIGGER similar_lock BEFORE INSERT OR UPDATE OR DELETE ON picture
    FOR EACH STATEMENT EXECUTE FUNCTION similar_picture_lock();
CREATE TRIGGER similar_insert AFTER INSERT ON picture
    REFERENCING NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION similar_picture_keep();
CREATE TRIGGER similar_update AFTER UPDATE ON picture
    REFERENCING OLD TABLE AS gone NEW TABLE AS come FOR EACH STATEMENT EXECUTE FUNCTION similar_picture_keep();
CREATE TRIGGER similar_delete AFTER DELETE ON picture
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION similar_picture_keep();
CREATE TRIGGER similar_truncate AFTER TRUNCATE ON picture
    FOR EACH STATEMENT EXECUTE FUNCTION similar_picture_truncate();

-- What the table should hold, computed anew; how many rows differ.
CREATE VIEW difference AS
WITH expected AS (
    SELECT a.id, b.id AS other, a.code <~> b.code AS distance
    FROM picture AS a JOIN picture AS b ON a.code <~> b.code <= 3 AND a.id <> b.id)
SELECT (SELECT count(*) FROM similar_picture) AS pairs,
       (SELECT count(*) FROM (TABLE expected EXCEPT TABLE similar_picture) AS missing) AS missing,
       (SELECT count(*) FROM (TABLE similar_picture EXCEPT TABLE expected) AS wrong) AS wrong;

INSERT INTO picture VALUES (1, 'ferry', 'x0000'), (2, 'harbour', 'x0001'), (3, 'beach', 'x0007'), (4, 'night sky', 'xFFFF'), (5, 'not yet encoded', NULL);
SELECT other, distance FROM similar_picture WHERE id = 1 ORDER BY distance, other LIMIT 5;
SELECT * FROM difference;

-- A new row, one that changes, one that only changes its title, one that goes.
INSERT INTO picture VALUES (6, 'ferry again', 'x0000');
SELECT other, distance FROM similar_picture WHERE id = 1 ORDER BY distance, other LIMIT 5;
UPDATE picture SET code = 'xFFFE' WHERE id = 5;
SELECT other, distance FROM similar_picture WHERE id = 4 ORDER BY distance, other LIMIT 5;
UPDATE picture SET title = 'quay' WHERE id = 2;
DELETE FROM picture WHERE id = 6;
SELECT other, distance FROM similar_picture WHERE id = 1 ORDER BY distance, other LIMIT 5;
SELECT * FROM difference;

-- A code that is lost, an id that changes, two ids that are exchanged.
UPDATE picture SET code = NULL WHERE id = 3;
UPDATE picture SET id = 30 WHERE id = 2;
ALTER TABLE picture DROP CONSTRAINT picture_pkey, ADD PRIMARY KEY (id) DEFERRABLE;
UPDATE picture SET id = 5 - id WHERE id IN (1, 4);
SELECT * FROM difference;
SELECT * FROM similar_picture ORDER BY id, other;
ALTER TABLE picture DROP CONSTRAINT picture_pkey, ADD PRIMARY KEY (id);

-- Many rows at once: COPY, INSERT … ON CONFLICT, UPDATE and DELETE of thousands.
COPY picture FROM stdin;
101	by COPY	x0003
102	by COPY	x0002
\.
SELECT * FROM difference;
INSERT INTO picture
SELECT id, 'one of many', substr(sha256(convert_to(id::text, 'UTF8')), 1, 2)::bitcode FROM generate_series(100, 1100) AS id
ON CONFLICT (id) DO UPDATE SET code = excluded.code;
SELECT pairs > 5000 AS many, missing, wrong FROM difference;
UPDATE picture SET code = code # 'x0180' WHERE id % 3 = 0;
SELECT pairs > 5000 AS many, missing, wrong FROM difference;
DELETE FROM picture WHERE id % 7 = 0;
SELECT pairs > 3000 AS many, missing, wrong FROM difference;

-- Filled at first, or again: no writer comes between.
TRUNCATE similar_picture;
BEGIN;
LOCK TABLE similar_picture IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO similar_picture (id, other, distance)
SELECT item.id, near.id, item.code <~> near.code
FROM picture AS item JOIN picture AS near ON hamming_within(near.code, item.code, 3) AND near.id <> item.id;
COMMIT;
SELECT pairs > 3000 AS many, missing, wrong FROM difference;

-- What fails leaves nothing behind; the isolation level that could not be kept is refused.
BEGIN;
INSERT INTO picture VALUES (9999, 'taken back', 'x0000');
ROLLBACK;
SELECT count(*) FROM similar_picture WHERE 9999 IN (id, other);
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO picture VALUES (9999, 'refused', 'x0000');
ROLLBACK;
TRUNCATE picture;
SELECT * FROM difference;

-- Without the index it is the same, only slower.
DROP INDEX picture_code;
INSERT INTO picture VALUES (1, 'ferry', 'x0000'), (2, 'harbour', 'x0001'), (3, 'night sky', 'xFFFF');
SELECT * FROM similar_picture ORDER BY id, other;

SET client_min_messages = warning;
DROP SCHEMA example_similar CASCADE;

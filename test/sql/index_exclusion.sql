-- Codes that may not lie within a radius of each other: an exclusion constraint
-- on balls about them, against the same decisions by a sequential scan.
SET client_min_messages = warning;
SET xmhash.progress = off;
CREATE SCHEMA exclusion;
SET search_path = exclusion, public;

-- The operator against its meaning, for negative and huge radii and lengths that differ too.
CREATE TABLE ball (code bitcode, radius integer);
INSERT INTO ball SELECT code, radius FROM (VALUES ('0000'::bitcode), ('0001'), ('0011'), ('0111'), ('1111'), ('00000')) c(code),
  (VALUES (-1), (0), (1), (2), (3), (2147483647)) r(radius);
SELECT count(*), count(*) FILTER (WHERE found), count(*) FILTER (WHERE found <> expected) AS wrong, count(*) FILTER (WHERE found <> back) AS uneven
  FROM (SELECT hamming_ball(a.code, a.radius) <@> hamming_ball(b.code, b.radius) AS found,
               hamming_ball(b.code, b.radius) <@> hamming_ball(a.code, a.radius) AS back,
               a.code <@ hamming_ball(b.code, b.radius) AND b.code <@ hamming_ball(a.code, a.radius) AS expected
          FROM ball a, ball b) pair;
SELECT hamming_ball('0101', 1) <@> NULL AS unknown, oprcom = oid AS commutes, oprname FROM pg_operator WHERE oid = '<@>(hamming_ball, hamming_ball)'::regoperator;

-- What is refused, and how it is said.
CREATE TABLE upload (id integer PRIMARY KEY, code bitcode(64), CONSTRAINT upload_new EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>));
INSERT INTO upload VALUES (1, 'x0000000000000000'), (2, 'x000000000000000F'), (3, NULL), (4, NULL);
SET xmhash.bitcode_output = hex;
INSERT INTO upload VALUES (5, 'x0000000000000007');
\set VERBOSITY sqlstate
INSERT INTO upload VALUES (5, 'x0000000000000007');
UPDATE upload SET code = 'x0000000000000001' WHERE id = 1;
INSERT INTO upload VALUES (5, 'x0000000000000007') ON CONFLICT ON CONSTRAINT upload_new DO UPDATE SET code = excluded.code;
\set VERBOSITY default
INSERT INTO upload VALUES (5, 'x0000000000000007') ON CONFLICT DO NOTHING;
INSERT INTO upload VALUES (5, 'x0000000000000007') ON CONFLICT ON CONSTRAINT upload_new DO NOTHING;
INSERT INTO upload VALUES (6, 'x0F00000000000000'), (7, 'x0F00000000000001') ON CONFLICT DO NOTHING;
-- A row may come nearer to where it was, and into the place of one that is gone.
UPDATE upload SET code = 'x8000000000000000' WHERE id = 1;
UPDATE upload SET id = 8 WHERE id = 2;
DELETE FROM upload WHERE id = 1;
INSERT INTO upload VALUES (9, 'x0000000000000000');
SELECT * FROM upload ORDER BY id;
SELECT xmhash_index_check('upload_new', true);

-- Its index serves searches by the same operator.
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x0000000000000001', 4);
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x0000000000000001', 4) ORDER BY id;
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x0000000000000001', 0) ORDER BY id;
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x00000000000003FF', 9) ORDER BY id;
SET enable_indexscan = off;
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x00000000000003FF', 9) ORDER BY id;
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x0000000000000001', -1) ORDER BY id;
SELECT id FROM upload WHERE hamming_ball(code, 3) <@> hamming_ball('x00', 9) ORDER BY id;
RESET enable_indexscan;
RESET enable_seqscan;

-- Deferred: looked at when the transaction ends.
CREATE TABLE swap (id integer, code bitcode(16), EXCLUDE USING xmhash (hamming_ball(code, 2) WITH <@>) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO swap VALUES (1, 'x0000'), (2, 'xFF00');
BEGIN;
UPDATE swap SET code = 'xFF01' WHERE id = 1;
UPDATE swap SET code = 'x0000' WHERE id = 2;
COMMIT;
SELECT * FROM swap ORDER BY id;
\set VERBOSITY sqlstate
BEGIN;
INSERT INTO swap VALUES (3, 'x0003');
SELECT count(*) FROM swap;
COMMIT;
BEGIN;
SET CONSTRAINTS ALL IMMEDIATE;
INSERT INTO swap VALUES (3, 'x0003');
COMMIT;
\set VERBOSITY default
SELECT count(*) FROM swap;

-- Rows that are there already: the constraint tells what it finds first.
CREATE TABLE old AS SELECT i AS id, CASE i WHEN 1777 THEN 'xc4ca4238a0b92383' ELSE ('x' || substr(md5(i::text), 1, 16)) END::bitcode(64) AS code FROM generate_series(1, 2000) AS i;
\set VERBOSITY sqlstate
ALTER TABLE old ADD CONSTRAINT old_new EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>);
\set VERBOSITY default
SELECT id FROM xmhash_duplicate_groups('old', 'id', 'code', 3);
DELETE FROM old WHERE id = 1777;
ALTER TABLE old ADD CONSTRAINT old_new EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>) WHERE (id > 0);
INSERT INTO old VALUES (-1, 'xc4ca4238a0b92383');
INSERT INTO old VALUES (2001, 'xc4ca4238a0b92383');
\set VERBOSITY sqlstate
INSERT INTO old VALUES (2001, 'xc4ca4238a0b923');
\set VERBOSITY default

-- Each row with a radius of its own, in any order, beside updates, deletions, flushes, merges and VACUUM.
CREATE TABLE chosen (id integer, code bitcode(24), radius integer, CONSTRAINT chosen_far EXCLUDE USING xmhash (hamming_ball(code, radius) WITH <@>) WITH (pending_list_limit = 8));
CREATE TABLE expected (id integer, code bitcode(24), radius integer);
CREATE FUNCTION chance(i integer, what text, below integer) RETURNS integer LANGUAGE sql IMMUTABLE AS $$
  SELECT (('x' || substr(md5(what || i), 1, 7))::bit(28)::integer % below) $$;
CREATE PROCEDURE change(first integer, last integer) LANGUAGE plpgsql AS $$
DECLARE
  c bitcode(24); r integer;
BEGIN
  FOR i IN first .. last LOOP
    c := (chance(i, 'code', 64) * 257 # (1 << chance(i, 'bit', 24)))::bit(24);
    r := chance(i, 'radius', 5) - 1;
    IF i % 7 = 0 THEN
      DELETE FROM chosen WHERE id = i - 100;
      DELETE FROM expected WHERE id = i - 100;
    ELSIF i % 5 = 0 THEN
      BEGIN
        UPDATE chosen SET code = c, radius = r WHERE id = (SELECT min(id) FROM chosen WHERE id > i - 200);
      EXCEPTION WHEN exclusion_violation THEN NULL;
      END;
      UPDATE expected SET code = c, radius = r WHERE id = (SELECT min(id) FROM expected WHERE id > i - 200)
        AND NOT EXISTS (SELECT FROM expected e WHERE e.id <> expected.id AND e.code <~> c <= least(e.radius, r));
    ELSE
      INSERT INTO chosen VALUES (i, c, r) ON CONFLICT DO NOTHING;
      INSERT INTO expected SELECT i, c, r WHERE NOT EXISTS (SELECT FROM expected e WHERE e.code <~> c <= least(e.radius, r));
    END IF;
  END LOOP;
END $$;
CALL change(1, 1000);
VACUUM chosen;
CALL change(1001, 2000);
SELECT xmhash_index_merge('chosen_far') >= 0 AS merged;
CALL change(2001, 3000);
SELECT count(*) > 500 AS many, (SELECT max(id) > 2990 FROM chosen) AS last FROM chosen;
SELECT * FROM chosen EXCEPT ALL SELECT * FROM expected;
SELECT * FROM expected EXCEPT ALL SELECT * FROM chosen;
SELECT count(*) FROM chosen a JOIN chosen b ON a.id < b.id AND a.code <~> b.code <= least(a.radius, b.radius);
SELECT xmhash_index_check('chosen_far', true);
REINDEX INDEX chosen_far;
\set VERBOSITY sqlstate
INSERT INTO chosen SELECT 0, code, 0 FROM chosen WHERE radius >= 0 LIMIT 1;
\set VERBOSITY default

-- Of each tenant, by number or by name, alone.
CREATE TABLE apart (id int, tenant int, name text, code bitcode(64),
  CONSTRAINT apart_tenant EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>, tenant WITH =),
  CONSTRAINT apart_name EXCLUDE USING xmhash (hamming_ball(code, 3) WITH <@>, name WITH =));
INSERT INTO apart VALUES (1, 1, 'one', 'xCAFEBABE01234567'), (2, 2, 'two', 'xCAFEBABE01234567'), (3, 1, 'one', 'x0123456789ABCDEF');
INSERT INTO apart VALUES (4, 1, 'four', 'xCAFEBABE01234566'), (5, 5, 'two', 'xCAFEBABE01234560'), (6, 2, 'two', 'x0123456789ABCDEE'),
  (7, NULL, NULL, 'xCAFEBABE01234560'), (8, NULL, NULL, 'xCAFEBABE01234560') ON CONFLICT DO NOTHING;
SELECT id FROM apart ORDER BY id;
-- Days and microseconds are no common numbers.
BEGIN;
ALTER OPERATOR FAMILY date_filter_ops USING xmhash ADD OPERATOR 5 < (date, timestamp);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'date_filter_ops';
ROLLBACK;
-- A class without an operator that anything could be found by.
CREATE OPERATOR CLASS nothing FOR TYPE hamming_ball USING xmhash AS STORAGE hamming_ball;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'nothing';
SELECT opcname, amvalidate(oid) FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'xmhash') AND opcname !~ '^nothing$|_filter_ops$' ORDER BY 1;
DROP SCHEMA exclusion CASCADE;

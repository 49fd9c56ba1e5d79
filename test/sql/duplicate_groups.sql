-- Groups of near-duplicates against connected components computed in SQL.
SET client_min_messages = warning;
SET xmhash.progress = off;
CREATE SCHEMA groups;
SET search_path = groups, public;

-- Components by lowering labels along all pairs until nothing changes.
CREATE FUNCTION components(source regclass, radius integer) RETURNS TABLE (smallest bigint, id bigint)
LANGUAGE plpgsql AS $$
BEGIN
  DROP TABLE IF EXISTS label;
  EXECUTE format('CREATE TEMP TABLE label AS SELECT id, id AS smallest, code FROM %s WHERE code IS NOT NULL', source);
  LOOP
    UPDATE label SET smallest = near.smallest
      FROM (SELECT a.id, min(b.smallest) AS smallest FROM label a JOIN label b ON (a.code <~> b.code) <= radius GROUP BY a.id) near
      WHERE near.id = label.id AND near.smallest < label.smallest;
    EXIT WHEN NOT FOUND;
  END LOOP;
  RETURN QUERY SELECT l.smallest, l.id FROM label l
    WHERE l.smallest IN (SELECT k.smallest FROM label k GROUP BY k.smallest HAVING count(*) > 1);
END $$;

-- Empty when both say the same groups, numbered from 1 in the order of their first rows.
CREATE FUNCTION differences(source regclass, radius integer) RETURNS TABLE (what text, group_id bigint, id bigint) LANGUAGE sql AS $$
  WITH expected AS (SELECT dense_rank() OVER (ORDER BY smallest) AS group_id, id FROM components(source, radius)),
       found AS (SELECT * FROM xmhash_duplicate_groups(source, 'id', 'code', radius, NULL::bigint))
  (SELECT 'missing', * FROM (SELECT * FROM expected EXCEPT ALL SELECT * FROM found) a)
  UNION ALL
  (SELECT 'wrong', * FROM (SELECT * FROM found EXCEPT ALL SELECT * FROM expected) b)
$$;

-- A number from 0 to 1 that is the same on every server.
CREATE FUNCTION chance(key text) RETURNS float LANGUAGE sql IMMUTABLE AS $$
  SELECT ('x' || substr(md5(key), 1, 8))::bit(32)::bigint / 4294967296.0 $$;

-- Clusters, duplicates and loners of a given length; every ninth code is NULL.
CREATE FUNCTION fill(bits integer, rows integer, clusters integer, flips float) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('DROP TABLE IF EXISTS picture; CREATE TABLE picture (id bigint, code bitcode(%s))', bits);
  CREATE TEMP TABLE seed AS SELECT c, ARRAY(SELECT chance(c || ',' || b) < .5 FROM generate_series(1, bits) b) AS bit FROM generate_series(0, clusters - 1) c;
  INSERT INTO picture
    SELECT r, CASE WHEN r % 9 <> 0 THEN
      (SELECT string_agg(CASE WHEN bit[b] <> (chance(r || ':' || b) < flips) THEN '1' ELSE '0' END, '' ORDER BY b)
         FROM generate_series(1, bits) b)::bitcode END
    FROM generate_series(1, rows) r JOIN seed ON c = r % clusters ORDER BY r;
  DROP TABLE seed;
END $$;

SELECT fill(64, 400, 60, .02);
SELECT radius, (SELECT count(*) FROM xmhash_duplicate_groups('picture', 'id', 'code', radius)) > 0 AS any,
  count(difference.what) AS differences
  FROM generate_series(0, 12, 2) radius
  LEFT JOIN LATERAL differences('picture', radius) AS difference ON true
  GROUP BY radius ORDER BY radius;
SELECT count(DISTINCT group_id), count(*) FROM xmhash_duplicate_groups('picture', 'id', 'code', 64);
SELECT count(DISTINCT group_id), count(*) FROM xmhash_duplicate_groups('picture', 'id', 'code', 2147483647);

SELECT fill(1, 40, 3, .5);
SELECT * FROM differences('picture', 0) AS difference;
SELECT fill(7, 300, 40, .1);
SELECT * FROM differences('picture', 1) AS difference;
SELECT fill(200, 60, 20, .01);
SELECT * FROM differences('picture', 3) AS difference;

SELECT group_id, array_agg(id ORDER BY id) AS ids
FROM xmhash_duplicate_groups('picture', 'id', 'code', 3, NULL::bigint) GROUP BY group_id ORDER BY group_id;

-- Enough pages for centres; the answer by sort and hash: rows of one cluster are linked, clusters are far apart.
SET work_mem = '64kB';
CREATE TABLE many AS
  SELECT r AS id, CASE r % 3 WHEN 0 THEN base ELSE base # (1::bigint << (r % 61)) END::bit(64)::bitcode(64) AS code
  FROM (SELECT r, ('x' || substr(md5((r / 4)::text), 1, 16))::bit(64)::bigint AS base FROM generate_series(0, 39999) r) s;
SELECT count(*), count(DISTINCT group_id), count(*) FILTER (WHERE same) AS right
  FROM (SELECT group_id, id / 4 = min(id / 4) OVER w AND count(*) OVER w = 4 AS same
    FROM xmhash_duplicate_groups('many', 'id', 'code', 2, NULL::integer) WINDOW w AS (PARTITION BY group_id)) g;
-- A large radius joins all of them, and ends as soon as it has.
SELECT count(*), count(DISTINCT group_id) FROM xmhash_duplicate_groups('many', 'id', 'code', 40);
RESET work_mem;

-- Codes without clusters, where centres exclude little, meet by bands: the server says so.  Each
-- hundredth row has a copy, and three more, each made from the one before with one bit changed, anywhere.
-- Some 4,800 begin with 16 zeros: in one order of the bands they fill pages that begin alike.
CREATE TABLE loose AS
  SELECT r AS id, ((('x' || substr(md5((CASE WHEN r % 100 < 5 THEN r / 100 ELSE r END)::text || (r % 100 < 5)), 1, 16))::bit(64)::bigint
      & CASE WHEN CASE WHEN r % 100 < 5 THEN r / 100 % 3 ELSE r % 30 END = 0 THEN 281474976710655 ELSE -1 END)
      # CASE WHEN r % 100 < 4 THEN (SELECT coalesce(bit_or(1::bigint << (21 * step + r / 100 * (step + 5) % 21)), 0) FROM generate_series(0, r % 100 - 1) AS step) ELSE 0 END)::bit(64)::bitcode(64) AS code
  FROM generate_series(0, 99999) AS r;
CREATE TABLE found (radius integer, group_id bigint, id integer);
SET client_min_messages = debug1;
INSERT INTO found SELECT 1, * FROM xmhash_duplicate_groups('loose', 'id', 'code', 1, NULL::integer);
SET work_mem = '64kB';
INSERT INTO found SELECT 2, * FROM xmhash_duplicate_groups('loose', 'id', 'code', 2, NULL::integer);
RESET work_mem;
SET client_min_messages = warning;
SELECT radius, count(*), count(DISTINCT group_id), count(*) FILTER (WHERE same) AS right
  FROM (SELECT radius, group_id, group_id = id / 100 + 1 AND id % 100 < 5 AND count(*) OVER (PARTITION BY radius, group_id) = 5 AS same FROM found) g GROUP BY radius ORDER BY radius;
SELECT count(*), max(a.code <~> b.code) FROM loose a JOIN loose b ON b.id = a.id + 1 WHERE a.id % 100 < 3;

-- Pages grow with the codes, so that what is kept of each of them does not: here 8 kB would be 4 codes.
CREATE TABLE long AS
  SELECT r AS id, set_bit(('x' || repeat(md5((r / 4)::text), 128))::bit(16384), r % 4 * 77, 1)::bitcode(16384) AS code FROM generate_series(0, 11999) AS r;
SET work_mem = '64kB';
SET client_min_messages = debug1;
CREATE TABLE long_found AS SELECT * FROM xmhash_duplicate_groups('long', 'id', 'code', 2, NULL::integer);
SET client_min_messages = warning;
RESET work_mem;
SELECT count(*), count(*) FILTER (WHERE group_id = id / 4 + 1) AS right FROM long_found;

-- Identifiers of any type, NULL too; text unless another type is asked for.
CREATE TABLE name_of (name varchar, code bitcode);
INSERT INTO name_of VALUES ('b', '0000'), (NULL, '0001'), ('c', '1110'), ('a', '1111'), ('alone', '0110'), ('none', NULL);
SELECT *, pg_typeof(id) FROM xmhash_duplicate_groups('name_of', 'name', 'code', 1);
SELECT *, pg_typeof(id) FROM xmhash_duplicate_groups('name_of', 'code', 'code', 0, NULL::bitcode);
SELECT *, pg_typeof(id) FROM xmhash_duplicate_groups('name_of', 'code', 'code', 1, NULL::bitcode);
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'code', 1, 0);
SELECT * FROM xmhash_duplicate_groups('name_of', 'code', 'code', 0, NULL);
-- A cast that somebody has made for a type of his does not run.
CREATE TYPE mine AS (x integer);
CREATE FUNCTION mine_text(mine) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a cast ran'; END $$;
CREATE CAST (mine AS text) WITH FUNCTION mine_text(mine);
CREATE TABLE trap (id mine, code bitcode(4), fixed char(3));
INSERT INTO trap VALUES ('(1)', '0000', 'abc'), ('(2)', '0000', 'de');
SELECT * FROM xmhash_duplicate_groups('trap', 'id', 'code', 0);
SELECT * FROM xmhash_duplicate_groups('trap', 'id', 'code', 0, NULL::mine);
SELECT * FROM xmhash_duplicate_groups('trap', 'fixed', 'code', 0, NULL::char(1));
-- However much memory there is.
SET work_mem = '2147483647kB';
SELECT * FROM xmhash_duplicate_groups('trap', 'fixed', 'code', 1);
RESET work_mem;
CREATE VIEW few AS SELECT * FROM name_of WHERE name = 'b';
SELECT * FROM xmhash_duplicate_groups('few', 'name', 'code', 4);
CREATE VIEW nobody AS SELECT * FROM name_of WHERE false;
SELECT * FROM xmhash_duplicate_groups('nobody', 'name', 'code', 4);

-- Mistakes.
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'code', -1);
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'code', NULL);
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'name', 1);
SELECT * FROM xmhash_duplicate_groups('name_of', 'nothing', 'code', 1);
INSERT INTO name_of VALUES ('long', '00000');
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'code', 1);
-- The rows are those that the caller may see.
DELETE FROM name_of WHERE name = 'long';
CREATE ROLE regress_groups;
GRANT USAGE ON SCHEMA groups TO regress_groups;
GRANT SELECT ON name_of TO regress_groups;
ALTER TABLE name_of ENABLE ROW LEVEL SECURITY;
CREATE POLICY most ON name_of USING (name <> 'a');
SET ROLE regress_groups;
SELECT * FROM xmhash_duplicate_groups('name_of', 'name', 'code', 1);
SELECT * FROM xmhash_duplicate_groups('picture', 'id', 'code', 1);
RESET ROLE;
DROP SCHEMA groups CASCADE;
DROP ROLE regress_groups;

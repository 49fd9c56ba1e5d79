-- Order, equality and hashing of bitcode: those of bit varying.
CREATE TABLE ordered_codes (id integer, code bitcode, bits bit varying) WITH (autovacuum_enabled = off);
-- all lengths from 1 to 256, codes that share their beginning, and repeated ones
INSERT INTO ordered_codes(id, bits)
SELECT n, left(('x' || md5((n / 3)::text) || md5(n::text))::bit(256)::text, n % 256 + 1)::bit varying FROM generate_series(1, 20000) n;
INSERT INTO ordered_codes(id, bits) SELECT 20000 + n, left(repeat('0', 200), n % 200 + 1)::bit varying FROM generate_series(1, 1000) n;
INSERT INTO ordered_codes(id, bits) SELECT 21000 + n, repeat('01', 64)::bit varying || (n % 7)::bit(3) FROM generate_series(1, 1000) n;
UPDATE ordered_codes SET code = bits;

-- every operator on all pairs of 200 of them
WITH chosen AS (SELECT * FROM ordered_codes WHERE id % 113 = 0)
SELECT count(*) > 35000 AS enough,
  count(*) FILTER (WHERE (a.code < b.code) IS DISTINCT FROM (a.bits < b.bits)) AS lt,
  count(*) FILTER (WHERE (a.code <= b.code) IS DISTINCT FROM (a.bits <= b.bits)) AS le,
  count(*) FILTER (WHERE (a.code = b.code) IS DISTINCT FROM (a.bits = b.bits)) AS eq,
  count(*) FILTER (WHERE (a.code >= b.code) IS DISTINCT FROM (a.bits >= b.bits)) AS ge,
  count(*) FILTER (WHERE (a.code > b.code) IS DISTINCT FROM (a.bits > b.bits)) AS gt,
  count(*) FILTER (WHERE (a.code <> b.code) IS DISTINCT FROM (a.bits <> b.bits)) AS ne,
  count(*) FILTER (WHERE sign(bitcode_cmp(a.code, b.code)) IS DISTINCT FROM sign(varbitcmp(a.bits, b.bits))) AS cmp
FROM chosen a, chosen b;
SELECT '01'::bitcode < '010', '01'::bitcode <> '010', '1'::bitcode > '0111', 'x5'::bitcode = '0101';

-- a sort, with abbreviated keys, in either direction
SELECT count(*) AS rows, count(*) FILTER (WHERE by_code <> by_bits OR down_code <> down_bits) AS different
FROM (SELECT row_number() OVER (ORDER BY code, id) AS by_code, row_number() OVER (ORDER BY bits, id) AS by_bits,
        row_number() OVER (ORDER BY code DESC, id) AS down_code, row_number() OVER (ORDER BY bits DESC, id) AS down_bits
      FROM ordered_codes) numbered;
-- where all abbreviated keys are equal the sort gives them up
SELECT count(*) AS rows, count(*) FILTER (WHERE by_code <> by_bits) AS different
FROM (SELECT row_number() OVER (ORDER BY code, id) AS by_code, row_number() OVER (ORDER BY bits, id) AS by_bits
      FROM (SELECT id, repeat('0', 64)::bitcode || code AS code, repeat('0', 64)::bit varying || bits AS bits FROM ordered_codes) long) numbered;
SELECT code FROM (VALUES ('1'::bitcode), (NULL), ('01'), ('0'), ('10')) v(code) ORDER BY code DESC NULLS LAST;

-- equal codes have equal hashes, however they are stored; the seed matters
CREATE TABLE hashed_codes (code bitcode) WITH (autovacuum_enabled = off);
INSERT INTO hashed_codes SELECT code FROM ordered_codes WHERE id % 100 = 0;
INSERT INTO hashed_codes SELECT repeat('01', 8000)::bitcode;
SELECT bool_and(bitcode_hash(code) = bitcode_hash(code::text::bitcode)) AS same,
  bool_and(bitcode_hash_extended(code, 0) = bitcode_hash_extended(code::text::bitcode, 0)) AS same_extended,
  bool_and((bitcode_hash_extended(code, 0) & 4294967295) = (bitcode_hash(code)::bigint & 4294967295)) AS seed_0_as_plain,
  bool_or(bitcode_hash_extended(code, 0) = bitcode_hash_extended(code, 1)) AS seed_ignored,
  count(DISTINCT bitcode_hash(code)) > 0.99 * count(DISTINCT code) AS spread FROM hashed_codes;
SELECT bitcode_hash('0') <> bitcode_hash('00') AS length_counts;

-- DISTINCT, GROUP BY by hashing and by sorting
SELECT count(DISTINCT code) = count(DISTINCT bits) AS same FROM ordered_codes;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT code, count(*) FROM ordered_codes GROUP BY code;
SELECT count(*) = (SELECT count(*) FROM (SELECT bits FROM ordered_codes GROUP BY bits) b) AS same FROM (SELECT code FROM ordered_codes GROUP BY code) c;
RESET enable_sort;
SET enable_hashagg = off;
EXPLAIN (COSTS OFF) SELECT code, count(*) FROM ordered_codes GROUP BY code;
SELECT count(*) = (SELECT count(*) FROM (SELECT bits FROM ordered_codes GROUP BY bits) b) AS same FROM (SELECT code FROM ordered_codes GROUP BY code) c;
RESET enable_hashagg;
SELECT code FROM (VALUES ('01'::bitcode), ('010'), (B'01'::bitcode), ('x4'), (NULL), ('0100'), (NULL)) v(code) GROUP BY code ORDER BY code;
SELECT '01'::bitcode UNION SELECT B'01'::bitcode UNION SELECT '010' ORDER BY 1;

-- joins by hashing and by merging
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ordered_codes a JOIN hashed_codes b ON a.code = b.code;
SELECT count(*) FROM ordered_codes a JOIN hashed_codes b ON a.code = b.code;
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ordered_codes a JOIN hashed_codes b ON a.code = b.code;
SELECT count(*) FROM ordered_codes a JOIN hashed_codes b ON a.code = b.code;
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT count(*) FROM ordered_codes a JOIN hashed_codes b ON a.bits = b.code::bit varying;

-- btree and hash indexes, unique constraints, partitions by hash and by range
CREATE INDEX ordered_codes_code ON ordered_codes(code);
CREATE INDEX hashed_codes_code ON hashed_codes USING hash (code);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ordered_codes WHERE code >= 'x55' AND code < 'x56';
SELECT (SELECT count(*) FROM ordered_codes WHERE code >= 'x55' AND code < 'x56') = count(*) AS same, count(*) > 20 AS enough
FROM ordered_codes WHERE bits >= X'55' AND bits < X'56';
EXPLAIN (COSTS OFF) SELECT count(*) FROM hashed_codes WHERE code = B'01';
SELECT count(*), bool_and((SELECT count(*) FROM hashed_codes h WHERE h.code = o.code) = (SELECT count(*) FROM hashed_codes h WHERE h.code::text = o.code::text)) AS found FROM hashed_codes o;
RESET enable_seqscan;
RESET enable_bitmapscan;
-- equal codes are stored once in a btree index
CREATE TABLE repeated_codes AS SELECT repeat('01', 100)::bitcode AS code FROM generate_series(1, 10000);
CREATE INDEX repeated_codes_code ON repeated_codes(code);
SELECT pg_relation_size('repeated_codes_code') < 10000 * 20 AS deduplicated;
CREATE TABLE unique_codes (code bitcode UNIQUE);
INSERT INTO unique_codes VALUES ('0101'), ('01010'), ('x5A'), (NULL), (NULL);
INSERT INTO unique_codes VALUES ('x5');
INSERT INTO unique_codes VALUES (B'0101') ON CONFLICT DO NOTHING;
CREATE TABLE hash_parts (code bitcode) PARTITION BY HASH (code);
CREATE TABLE hash_part_0 PARTITION OF hash_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hash_part_1 PARTITION OF hash_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hash_parts SELECT code FROM ordered_codes;
SELECT count(*), bool_and((SELECT count(*) FROM hash_parts p WHERE p.code = h.code) > 0) AS found FROM (SELECT * FROM hash_parts LIMIT 50) h;
SELECT count(*) > 5000 AS in_both FROM hash_part_0 UNION ALL SELECT count(*) > 5000 FROM hash_part_1;
CREATE TABLE range_parts (code bitcode) PARTITION BY RANGE (code);
CREATE TABLE range_part_0 PARTITION OF range_parts FOR VALUES FROM (MINVALUE) TO ('1');
CREATE TABLE range_part_1 PARTITION OF range_parts FOR VALUES FROM ('1') TO (MAXVALUE);
INSERT INTO range_parts SELECT code FROM ordered_codes;
SELECT (SELECT count(*) FROM range_part_0) = count(*) FILTER (WHERE bits < B'1') AS same FROM ordered_codes;

-- what the planner relies on
SELECT oprname, oprcom::regoperator, oprnegate::regoperator, oprcanhash, oprcanmerge, oprrest, oprjoin
FROM pg_operator WHERE oprleft = 'bitcode'::regtype AND oprname ~ '^[<>=]+$' AND oprright = oprleft ORDER BY 1;
ANALYZE ordered_codes;
SELECT null_frac, n_distinct <> 0 AS distinct_known, most_common_vals IS NOT NULL AS common_known, histogram_bounds IS NOT NULL AS histogram_known
FROM pg_stats WHERE tablename = 'ordered_codes' AND attname = 'code';

DROP TABLE ordered_codes, hashed_codes, unique_codes, repeated_codes, hash_parts, range_parts;

-- The oracle of the index's tests: random codes, and the comparison of what an
-- xmhash index answers with what the sequential scan and a sort answer.
--
-- The index is free in the order of equal distances, so answers are not
-- compared row by row.  They are right if and only if (1) the sequence of
-- distances is the sort's, (2) no row comes twice, and (3) every row is one of
-- the table that fulfils the conditions, with the distance stated: then all
-- rows nearer than the last distance are there, and of those at it as many as
-- there should be.
--
-- Tables have columns id (unique), n integer, code.  All that is random comes
-- from random(), so setseed() repeats it.
CREATE SCHEMA oracle;

CREATE FUNCTION oracle.bits(n integer) RETURNS bitcode LANGUAGE sql VOLATILE AS $$
  SELECT substring(('x' || string_agg(lpad(to_hex(floor(random() * 4294967296)::bigint), 8, '0'), ''))::bitcode, 1, n)
  FROM generate_series(1, (n + 31) / 32)
$$;

-- The same code for the same number.
CREATE FUNCTION oracle.centre(n integer, number integer) RETURNS bitcode LANGUAGE sql IMMUTABLE AS $$
  SELECT substring(('x' || string_agg(md5(number || ':' || i), ''))::bitcode, 1, n)
  FROM generate_series(1, (n + 127) / 128) AS i
$$;

CREATE FUNCTION oracle.flip(code bitcode, times integer) RETURNS bitcode LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  place integer;
BEGIN
  FOR i IN 1 .. times LOOP
    place := floor(random() * length(code));
    code := set_bit(code, place, 1 - get_bit(code, place));
  END LOOP;
  RETURN code;
END $$;

-- A code of one of the distributions.
CREATE FUNCTION oracle.draw(kind text, n integer) RETURNS bitcode LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  RETURN CASE kind
    WHEN 'uniform' THEN oracle.bits(n)
    -- a few crowded clusters and many thin ones, a bit in sixteen off the centre
    WHEN 'clustered' THEN oracle.centre(n, floor(40 * random() ^ 3)::integer)
                          # (oracle.bits(n) & oracle.bits(n) & oracle.bits(n) & oracle.bits(n))
    WHEN 'one' THEN oracle.centre(n, 1)
    WHEN 'few' THEN oracle.centre(n, floor(5 * random())::integer)
    WHEN 'near' THEN oracle.flip(oracle.centre(n, 2), floor(3 * random())::integer)
    -- all at the same distance from zero, and at most 2 from one another
    WHEN 'shell' THEN oracle.flip(repeat('0', n)::bitcode, 1)
    WHEN 'opposite' THEN CASE WHEN random() < .5 THEN oracle.centre(n, 3) ELSE ~ oracle.centre(n, 3) END
    -- only the last bits differ
    WHEN 'tail' THEN oracle.centre(n, 4) # lpad(to_bin(oracle.bits(least(n, 6))), n, '0')::bitcode
  END;
END $$;

CREATE FUNCTION oracle.any_kind() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT (ARRAY['uniform', 'clustered', 'one', 'few', 'near', 'shell', 'opposite', 'tail'])[1 + floor(8 * random())::integer]
$$;

-- A code to ask for: what is in the table, near it, or anything else.
CREATE FUNCTION oracle.question(tab regclass, expr text, n integer) RETURNS bitcode LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  what integer := floor(random() * 10);
  code bitcode;
BEGIN
  IF what < 7 THEN
    EXECUTE format('SELECT %s FROM %s WHERE code IS NOT NULL ORDER BY md5(id::text || %L) LIMIT 1', expr, tab, random())
      INTO code;
  END IF;
  IF code IS NULL THEN
    code := CASE WHEN what = 9 THEN repeat('0', n)::bitcode
                 WHEN what = 8 THEN repeat('1', n)::bitcode
                 ELSE oracle.draw(oracle.any_kind(), n) END;
  ELSIF what > 2 THEN
    code := oracle.flip(code, floor(random() * 6)::integer);
  END IF;
  RETURN code;
END $$;

-- From here on, until the transaction's end, plan only this way.
CREATE FUNCTION oracle.way(how text) RETURNS void LANGUAGE sql AS $$
  SELECT set_config('enable_seqscan', CASE how WHEN 'seq' THEN 'on' ELSE 'off' END, true),
         set_config('enable_indexscan', CASE how WHEN 'index' THEN 'on' ELSE 'off' END, true),
         set_config('enable_indexonlyscan', 'off', true),
         set_config('enable_bitmapscan', CASE how WHEN 'bitmap' THEN 'on' ELSE 'off' END, true),
         set_config('enable_sort', CASE how WHEN 'seq' THEN 'on' ELSE 'off' END, true),
         set_config('enable_material', 'off', true),
         set_config('enable_memoize', 'off', true)
$$;

CREATE FUNCTION oracle.way_back() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  setting text;
BEGIN
  FOREACH setting IN ARRAY ARRAY['enable_seqscan', 'enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan',
    'enable_sort', 'enable_material', 'enable_memoize'] LOOP
    PERFORM set_config(setting, 'on', true);
  END LOOP;
END $$;

-- Refuse a comparison of the sequential scan with itself.  The xmhash indexes
-- of the tests have names that begin with xm_, or part_ on partitions.
CREATE FUNCTION oracle.demand_index(query text, q bitcode, q2 bitcode, radius integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  line text;
  plan text := '';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query USING q, q2, radius LOOP
    plan := plan || line || E'\n';
  END LOOP;
  -- Conditions that exclude each other need no scan.
  IF plan !~ 'Index Scan (using|on) (xm|part)_|One-Time Filter: false' OR plan ~ 'Seq Scan' THEN
    RAISE EXCEPTION 'the index does not serve: %', query USING DETAIL = plan;
  END IF;
END $$;

-- Nearest neighbours of q under a condition, which may use $2 and $3; planned for
-- these parameters, or generic: for any, as prepared statements come to be.
CREATE FUNCTION oracle.nearest(tab regclass, expr text, q bitcode, k integer, condition text DEFAULT 'true',
                               q2 bitcode DEFAULT NULL, radius integer DEFAULT NULL, generic boolean DEFAULT false)
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT id, %s <~> $1 AS d FROM %s WHERE %s ORDER BY %s <~> $1 LIMIT %s', expr, tab, condition, expr,
                       coalesce(k::text, 'ALL'));
  collect text := format('SELECT coalesce(array_agg(id), ''{}''), coalesce(array_agg(d), ''{}'') FROM (%s) AS found', query);
  ids bigint[];
  distances integer[];
  truth integer[];
  real_rows bigint;
  distinct_rows bigint;
BEGIN
  PERFORM oracle.way('seq');
  EXECUTE collect INTO ids, truth USING q, q2, radius;
  PERFORM oracle.way('index');
  IF generic THEN
    -- an error may have left one, which no rollback removes
    IF EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'oracle_nearest') THEN
      DEALLOCATE oracle_nearest;
    END IF;
    EXECUTE 'PREPARE oracle_nearest (bitcode, bitcode, integer) AS ' || collect;
    query := format('EXECUTE oracle_nearest (%L, %L, %L)', q, q2, radius);
    PERFORM set_config('plan_cache_mode', 'force_generic_plan', true);
    PERFORM oracle.demand_index(query, NULL, NULL, NULL);
    EXECUTE query INTO ids, distances;
    DEALLOCATE oracle_nearest;
    PERFORM set_config('plan_cache_mode', 'auto', true);
  ELSE
    PERFORM oracle.demand_index(query, q, q2, radius);
    EXECUTE collect INTO ids, distances USING q, q2, radius;
  END IF;
  PERFORM oracle.way('seq');
  EXECUTE format('SELECT count(*), count(DISTINCT id) FROM unnest($4, $5) AS f(found_id, found_distance) JOIN %s ON id = found_id
                  WHERE (%s <~> $1) IS NOT DISTINCT FROM found_distance AND (%s)', tab, expr, condition)
    INTO real_rows, distinct_rows USING q, q2, radius, ids, distances;
  PERFORM oracle.way_back();
  IF distances IS DISTINCT FROM truth OR real_rows <> cardinality(ids) OR distinct_rows <> cardinality(ids) THEN
    RAISE EXCEPTION 'nearest neighbours differ: %', collect
      USING DETAIL = format('q=%s q2=%s radius=%s generic=%s rows=%s real=%s distinct=%s expected=%s first difference at %s',
                            q, q2, radius, generic, cardinality(ids), real_rows, distinct_rows, cardinality(truth),
                            (SELECT min(i) FROM generate_series(1, greatest(cardinality(ids), cardinality(truth))) AS i
                             WHERE distances[i] IS DISTINCT FROM truth[i]));
  END IF;
  RETURN cardinality(ids);
END $$;

-- Ordered by two distances, the second among equal first ones.
CREATE FUNCTION oracle.nearest_two(tab regclass, expr text, q bitcode, q2 bitcode, k integer, condition text DEFAULT 'true')
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT %1$s <~> $1 AS d, %1$s <~> $2 AS e FROM %2$s WHERE %3$s ORDER BY %1$s <~> $1, %1$s <~> $2 LIMIT %4$s',
                       expr, tab, condition, k);
  found text;
  truth text;
BEGIN
  PERFORM oracle.way('index');
  PERFORM oracle.demand_index(query, q, q2, NULL);
  EXECUTE format('SELECT array_agg(x)::text FROM (%s) AS x', query) INTO found USING q, q2;
  PERFORM oracle.way('seq');
  EXECUTE format('SELECT array_agg(x)::text FROM (%s) AS x', query) INTO truth USING q, q2;
  PERFORM oracle.way_back();
  IF found IS DISTINCT FROM truth THEN
    RAISE EXCEPTION 'orders by two distances differ: %', query
      USING DETAIL = format('q=%s q2=%s found=%s expected=%s', q, q2, left(found, 2000), left(truth, 2000));
  END IF;
  RETURN k;
END $$;

-- Rows that fulfil a condition on $1 and $2, by whichever scan of the index.
CREATE FUNCTION oracle.matching(tab regclass, condition text, q bitcode, radius integer, how text DEFAULT 'index')
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT id FROM %s WHERE %s', tab, replace(condition, '$2', '$3'));
  collect text := format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM (%s) AS found', query);
  ids bigint[];
  truth bigint[];
BEGIN
  PERFORM oracle.way(how);
  PERFORM oracle.demand_index(query, q, NULL, radius);
  EXECUTE collect INTO ids USING q, NULL::bitcode, radius;
  PERFORM oracle.way('seq');
  EXECUTE collect INTO truth USING q, NULL::bitcode, radius;
  PERFORM oracle.way_back();
  IF ids IS DISTINCT FROM truth THEN
    RAISE EXCEPTION 'rows differ: % by %', query, how
      USING DETAIL = format('q=%s radius=%s found=%s expected=%s missing=%s surplus=%s', q, radius, cardinality(ids),
                            cardinality(truth),
                            (SELECT array_agg(x) FROM (SELECT unnest(truth) EXCEPT SELECT unnest(ids) LIMIT 10) AS l(x)),
                            (SELECT array_agg(x) FROM (SELECT unnest(ids) EXCEPT SELECT unnest(truth) LIMIT 10) AS l(x)));
  END IF;
  RETURN cardinality(ids);
END $$;

-- Joins whose inner side is the index, with NULLs among the keys.
CREATE FUNCTION oracle.joins(tab regclass, expr text, n integer, keys integer, k integer, radius integer,
                             condition text DEFAULT 'true')
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  questions bitcode[] := ARRAY(SELECT CASE WHEN random() < .1 THEN NULL ELSE oracle.question(tab, expr, n) END
                               FROM generate_series(1, keys));
  neighbours text := format('SELECT c.number, array_agg(d) AS a FROM unnest($4) WITH ORDINALITY AS c(question, number) CROSS JOIN LATERAL
                             (SELECT %1$s <~> c.question AS d FROM %2$s AS t WHERE %4$s ORDER BY %1$s <~> c.question LIMIT %3$s) AS x
                             GROUP BY 1', expr, tab, k, condition);
  within text := format('SELECT c.number, array_agg(t.id ORDER BY t.id) AS a FROM unnest($4) WITH ORDINALITY AS c(question, number)
                         JOIN %2$s AS t ON hamming_within(%1$s, c.question, %3$s) AND (%4$s) GROUP BY 1', expr, tab, radius, condition);
  equal text := format('SELECT c.number, array_agg(t.id ORDER BY t.id) AS a FROM unnest($4) WITH ORDINALITY AS c(question, number)
                        JOIN %2$s AS t ON %1$s = c.question AND (%3$s) GROUP BY 1', expr, tab, condition);
  query text;
  found text;
  truth text;
BEGIN
  FOREACH query IN ARRAY ARRAY[neighbours, within, equal] LOOP
    PERFORM oracle.way('index'), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true);
    PERFORM oracle.demand_index(replace(query, '$4', quote_literal(questions::text) || '::bitcode[]'), NULL, NULL, NULL);
    EXECUTE format('SELECT array_agg((number, a)::text ORDER BY number) FROM (%s) AS found', query)
      INTO found USING NULL, NULL, NULL, questions;
    PERFORM oracle.way('seq');
    EXECUTE format('SELECT array_agg((number, a)::text ORDER BY number) FROM (%s) AS found', query)
      INTO truth USING NULL, NULL, NULL, questions;
    PERFORM oracle.way_back(), set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true);
    IF found IS DISTINCT FROM truth THEN
      RAISE EXCEPTION 'joins differ: %', query USING DETAIL = format('questions=%s found=%s expected=%s', questions, left(found, 2000), left(truth, 2000));
    END IF;
  END LOOP;
  RETURN keys;
END $$;

-- A scrollable cursor that goes about at random agrees with the sorted distances.
CREATE FUNCTION oracle.scrolls(tab regclass, expr text, q bitcode, moves integer, condition text DEFAULT 'true')
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT id, %s <~> $1 AS d FROM %s WHERE %s ORDER BY %s <~> $1', expr, tab, condition, expr);
  truth integer[];
  position integer := 0;
  target integer;
  row record;
  c refcursor;
BEGIN
  PERFORM oracle.way('seq');
  EXECUTE format('SELECT coalesce(array_agg(d), ''{}'') FROM (%s) AS found', query) INTO truth USING q;
  PERFORM oracle.way('index');
  PERFORM oracle.demand_index(query, q, NULL, NULL);
  OPEN c SCROLL FOR EXECUTE query USING q;
  FOR i IN 1 .. moves LOOP
    target := floor(random() * (cardinality(truth) + 2));
    IF random() < .5 THEN
      target := least(position + 1, cardinality(truth) + 1);
    ELSIF random() < .5 THEN
      target := greatest(position - 1, 0);
    END IF;
    FETCH ABSOLUTE target FROM c INTO row;
    IF (target BETWEEN 1 AND cardinality(truth)) <> FOUND OR (FOUND AND row.d IS DISTINCT FROM truth[target]) THEN
      RAISE EXCEPTION 'a cursor differs at row % of %: %', target, cardinality(truth), query
        USING DETAIL = format('q=%s found=%s expected=%s', q, row, truth[target]);
    END IF;
    position := target;
  END LOOP;
  CLOSE c;
  PERFORM oracle.way_back();
  RETURN moves;
END $$;

-- A cursor goes on with what its snapshot sees while its own transaction changes
-- the table and folds the changes into the index.
CREATE FUNCTION oracle.undisturbed(tab regclass, expr text, q bitcode, first integer, condition text, changes text[])
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT id, %s <~> $1 AS d FROM %s WHERE %s ORDER BY %s <~> $1', expr, tab, condition, expr);
  ids bigint[];
  truth integer[];
  found_ids bigint[];
  row record;
  position integer := 0;
  change text;
  c refcursor;
BEGIN
  PERFORM oracle.way('seq');
  EXECUTE format('SELECT coalesce(array_agg(id), ''{}''), coalesce(array_agg(d), ''{}'') FROM (%s) AS found', query)
    INTO ids, truth USING q;
  PERFORM oracle.way('index');
  PERFORM oracle.demand_index(query, q, NULL, NULL);
  OPEN c NO SCROLL FOR EXECUTE query USING q;
  PERFORM oracle.way_back();
  LOOP
    IF position = first THEN
      FOREACH change IN ARRAY changes LOOP
        EXECUTE change;
      END LOOP;
    END IF;
    FETCH c INTO row;
    EXIT WHEN NOT FOUND;
    position := position + 1;
    IF row.d IS DISTINCT FROM truth[position] THEN
      RAISE EXCEPTION 'a disturbed cursor differs at row % of %: %', position, cardinality(truth), query
        USING DETAIL = format('q=%s found=%s expected=%s', q, row, truth[position]);
    END IF;
    found_ids := found_ids || row.id::bigint;
  END LOOP;
  CLOSE c;
  IF position <> cardinality(truth) OR
     (SELECT array_agg(i ORDER BY i) FROM unnest(found_ids) AS i) IS DISTINCT FROM
     (SELECT array_agg(i ORDER BY i) FROM unnest(ids) AS i) THEN
    RAISE EXCEPTION 'a disturbed cursor gave % of % rows: %', position, cardinality(truth), query USING DETAIL = q::text;
  END IF;
  RETURN position;
END $$;

-- Random comparisons of every kind.  condition is what a partial index needs.
CREATE FUNCTION oracle.compare(tab regclass, expr text, n integer, times integer, condition text DEFAULT 'true')
  RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  filters text[] := ARRAY['true', 'true', 'n % 2 = 0', 'id % 97 = 5', 'n < 0', 'code IS NOT NULL',
    -- what filter columns serve, where the index has them
    'n = ' || floor(random() * 50), 'n < ' || floor(random() * 1000), 'n BETWEEN 100 AND ' || 100 + floor(random() ^ 3 * 900), 'n IS NULL', 'n IS NOT NULL',
    format('n = ANY (%L::integer[])', ARRAY(SELECT floor(random() * 1000) FROM generate_series(1, (random() * 40)::integer))),
    'n IN (1, 2, 3) AND id + 1 > 100', format('id + 1 <= %s AND n %% 7 = %s', floor(random() * 5000), floor(random() * 7)),
    format('(n %% 5)::text = %L', floor(random() * 6)), '(n % 5)::text = ANY (''{1,3}'') AND n > 10'];
  rows integer := 0;
  q bitcode;
  q2 bitcode;
  radius integer;
  filter text;
  how text;
BEGIN
  FOR i IN 1 .. times LOOP
    q := oracle.question(tab, expr, n);
    q2 := oracle.question(tab, expr, n);
    radius := CASE WHEN random() < .4 THEN floor(random() * 8) - 1 ELSE floor(random() ^ 2 * (n + 2)) END;
    filter := condition || ' AND ' || filters[1 + floor(random() * cardinality(filters))::integer];
    how := CASE WHEN random() < .5 THEN 'index' ELSE 'bitmap' END;
    rows := rows + CASE floor(random() * 15)::integer
      WHEN 0 THEN oracle.nearest(tab, expr, q, 1, filter)
      WHEN 1 THEN oracle.nearest(tab, expr, q, 10, filter)
      WHEN 2 THEN oracle.nearest(tab, expr, q, 10, condition)
      WHEN 3 THEN oracle.nearest(tab, expr, q, (random() * 700)::integer, filter)
      WHEN 4 THEN oracle.nearest(tab, expr, q, NULL, filter)
      WHEN 5 THEN oracle.nearest(tab, expr, CASE WHEN random() < .7 THEN q END, (random() * 20)::integer, filter, NULL, NULL, true)
      WHEN 6 THEN oracle.nearest(tab, expr, q, 10, filter || format(' AND hamming_within(%s, $2, $3)', expr), q2, radius, random() < .5)
      WHEN 7 THEN oracle.nearest(tab, expr, q, NULL, filter || format(' AND hamming_within(%s, $1, $3)', expr), NULL, radius)
      WHEN 8 THEN oracle.matching(tab, format('%s AND hamming_within(%s, $1, $2)', filter, expr), q, radius, how)
      WHEN 9 THEN oracle.matching(tab, format('%s AND hamming_within($1, %s, $2)', filter, expr), q, radius, how)
      WHEN 10 THEN oracle.matching(tab, format('%s AND %s = $1 AND $2 IS NOT DISTINCT FROM $2', filter, expr), q, radius, how)
      WHEN 11 THEN oracle.matching(tab, format('%s AND hamming_within(%s, $1, $2) AND hamming_within(%s, %L, %s)',
                                               filter, expr, expr, q2, n / 2), q, radius, how)
      WHEN 12 THEN oracle.joins(tab, expr, n, 5, 1 + floor(random() * 12)::integer, radius, filter)
      WHEN 13 THEN oracle.nearest_two(tab, expr, q, q2, 1 + (random() * 50)::integer, filter)
      ELSE oracle.scrolls(tab, expr, q, 20, filter) END;
  END LOOP;
  RETURN rows;
END $$;

-- Verify the structure and completeness of every xmhash index of a table.
CREATE FUNCTION oracle.check_indexes(tab regclass) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  index regclass;
  checked integer := 0;
BEGIN
  FOR index IN SELECT i.indexrelid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
               WHERE a.amname = 'xmhash' AND c.relkind = 'i' AND i.indisvalid
                 AND i.indrelid IN (SELECT tab UNION SELECT relid FROM pg_partition_tree(tab)) LOOP
    PERFORM xmhash_index_check(index, true);
    checked := checked + 1;
  END LOOP;
  RETURN checked;
END $$;

# What the tests of the index share: a server, random codes in tables, and the
# comparison of the index with the sequential scan.
package XmhashIndex;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT_OK = qw(seeded new_node without_checksums create_schema verify pgbench_script);

# A seed of its own for each run, printed, and taken from the environment to
# repeat one.
sub seeded
{
	my $seed = $ENV{SEED} // (time() ^ ($$ << 15)) % 1_000_000;
	srand($seed);
	note "SEED=$seed";
	return $seed;
}

sub new_node
{
	my ($name, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(%init);
	$node->append_conf('postgresql.conf', <<"CONF");
autovacuum = off
max_wal_size = 1GB
checkpoint_timeout = 1h
log_min_messages = warning
CONF
	return $node;
}

# To new_node(): no checksums of pages, the default since 18, which would find before us what a
# test changes in a file.
sub without_checksums
{
	my ($version) = `pg_config --version` =~ /(\d+)/;
	return $version >= 18 ? (extra => ['--no-data-checksums']) : ();
}

# random_code(bits, clusters): with clusters > 0 near one of so many centres;
# compare(table, queries): every distance that the index finds must be the
# sequential scan's, for orders, radii and equality.
sub create_schema
{
	my ($node) = @_;
	$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;

CREATE FUNCTION random_code(bits integer, clusters integer) RETURNS bitcode LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  seed text := CASE WHEN clusters > 0 THEN 'c' || floor(random() * clusters) ELSE random()::text END;
  code bit varying := B'';
BEGIN
  WHILE length(code) < bits LOOP
    code := code || ('x' || md5(seed || length(code)))::bit(128)::bit varying;
  END LOOP;
  code := substring(code FROM 1 FOR bits);
  IF clusters > 0 THEN
    FOR i IN 1 .. floor(random() * 4) LOOP
      DECLARE
        place integer := floor(random() * bits);
      BEGIN
        code := set_bit(code, place, 1 - get_bit(code, place));
      END;
    END LOOP;
  END IF;
  RETURN code;
END $$;

-- As arrays of distances (NULL last), so that ties may come in any order.
CREATE FUNCTION answers(statement text, query bitcode, indexed boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  answer text;
BEGIN
  PERFORM set_config('enable_seqscan', CASE WHEN indexed THEN 'off' ELSE 'on' END, true),
          set_config('enable_indexscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true),
          set_config('enable_bitmapscan', CASE WHEN indexed THEN 'on' ELSE 'off' END, true),
          set_config('enable_sort', CASE WHEN indexed THEN 'off' ELSE 'on' END, true);
  EXECUTE statement INTO answer USING query;
  RETURN answer;
END $$;

CREATE FUNCTION compare(target regclass, queries integer, bits integer, clusters integer)
  RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  statement text;
  query bitcode;
  one text;
  other text;
BEGIN
  FOR i IN 1 .. queries LOOP
    query := random_code(bits, clusters);
    IF random() < .3 THEN
      EXECUTE format('SELECT code FROM %s WHERE code IS NOT NULL OFFSET %s LIMIT 1', target, floor(random() * 20)) INTO one;
      query := coalesce(one::bitcode, query);
    END IF;
    FOREACH statement IN ARRAY ARRAY[
      format('SELECT array_agg(d) FROM (SELECT code <~> $1 AS d FROM %s ORDER BY code <~> $1 LIMIT %s) x',
             target, (ARRAY[1, 10, 100, 1000])[1 + floor(random() * 4)]),
      format('SELECT array_agg(d) FROM (SELECT code <~> $1 AS d FROM %s WHERE id %% 7 = 3 ORDER BY code <~> $1 LIMIT 20) x', target),
      format('SELECT array_agg(d) FROM (SELECT code <~> $1 AS d FROM %s WHERE hamming_within(code, $1, %s) ORDER BY code <~> $1 LIMIT 50) x',
             target, floor(random() * bits / 3)),
      format('SELECT count(*) || '' '' || coalesce(sum(id), 0) FROM %s WHERE hamming_within(code, $1, %s)',
             target, floor(random() * bits / 4)),
      format('SELECT count(*) || '' '' || coalesce(sum(id), 0) FROM %s WHERE code = $1', target)]
    LOOP
      one := answers(statement, query, true);
      other := answers(statement, query, false);
      IF one IS DISTINCT FROM other THEN
        RAISE EXCEPTION 'index and sequential scan differ for % with %: % instead of %', statement, query,
          left(one, 300), left(other, 300);
      END IF;
    END LOOP;
  END LOOP;
END $$;
SQL
	return;
}

# Structure, completeness and answers of an index, as one test.
sub verify
{
	my ($node, $table, $index, $bits, $clusters, $name) = @_;
	my ($status, $out, $err) =
	  $node->psql('postgres', "SELECT xmhash_index_check('$index', true); SELECT compare('$table', 5, $bits, $clusters)");
	is($err, '', "$name: index is sound and agrees with the sequential scan");
	return $status == 0 && $err eq '';
}

# Write a script for pgbench into the test's folder.
sub pgbench_script
{
	my ($node, $name, $text) = @_;
	my $path = $node->basedir . "/$name.sql";
	append_to_file($path, $text);
	return $path;
}

1;

# Neither trainings nor encodings, and no errors in the middle of them, make a
# backend grow; and a training keeps no more rows in memory than it may.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.progress = off\nxmhash.threads = 1\njit = off\nsynchronous_commit = off");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, 'c' || id % 4 AS label,
         ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 64) AS n) AS image,
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 100) AS n) AS words
  FROM generate_series(1, 150) AS id;
CREATE VIEW broken AS SELECT image, CASE WHEN id = 150 THEN '{1}' ELSE words END AS words FROM pair;
CREATE TABLE wide AS
  SELECT id, ARRAY(SELECT (hashint4(id * 500 + n) / 2147483648.0)::real FROM generate_series(1, 500) AS n) AS features
  FROM generate_series(1, 6000) AS id;
CREATE FUNCTION resident() RETURNS bigint LANGUAGE sql AS $$
  SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'RssAnon:\s+(\d+)')::bigint
$$;
CREATE FUNCTION peak() RETURNS bigint LANGUAGE sql AS $$
  SELECT substring(pg_read_file('/proc/' || pg_backend_pid() || '/status') FROM 'VmHWM:\s+(\d+)')::bigint
$$;
CREATE PROCEDURE trainings(n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    CALL xmhash_train('m', 'pair', 'image', 'words', 32, CASE i % 2 WHEN 0 THEN 'jdsh' ELSE 'dmsh_ln' END, 'label',
                      '{"epochs": 2, "image_hidden": 0, "text_hidden": 0}');
    PERFORM xmhash_encode_image('m', image), xmhash_encode_text('m', words) FROM pair;
    DROP TABLE m;
    COMMIT;
  END LOOP;
END
$$;
-- What the server itself remembers of tables that are made and dropped.
CREATE PROCEDURE tables(n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    CREATE TABLE m OF xmhash_model (PRIMARY KEY (part, number));
    DROP TABLE m;
    COMMIT;
  END LOOP;
END
$$;
CREATE PROCEDURE errors(n integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. n LOOP
    BEGIN
      CALL xmhash_train('m', 'broken', 'image', 'words', 32);
    EXCEPTION WHEN array_subscript_error THEN NULL;
    END;
    BEGIN
      CALL xmhash_train('m', 'pair', 'image', 'words', 32, options => '{"learning_rate_image": 1e30, "scale": "none"}');
    EXCEPTION WHEN numeric_value_out_of_range THEN NULL;
    END;
    BEGIN
      PERFORM xmhash_encode_image('kept', '{1}');
    EXCEPTION WHEN array_subscript_error THEN NULL;
    END;
  END LOOP;
END
$$;
CALL xmhash_train('kept', 'pair', 'image', 'words', 32, options => '{"epochs": 1}');
});

# Kilobytes that a backend grows by when it does for the second time what it
# has done once.
sub growth
{
	my ($once, $often) = @_;
	my $output = $node->safe_psql('postgres', "SET client_min_messages = error;\n$once;\nSELECT resident();\n$often;\nSELECT resident()");
	my @sizes = grep { /^\d{4,}$/ } split /\n/, $output;
	return $sizes[-1] - $sizes[-2];
}

# What leaks does so each time; the server's caches and the allocator take more now and then.
sub is_below
{
	my ($limit, $measure, $name) = @_;
	my $grown;
	for (1 .. 4)
	{
		$grown = $measure->();
		last if $grown < $limit;
		note "$name: $grown kB";
	}
	cmp_ok($grown, '<', $limit, $name);
	return;
}

SKIP:
{
	skip 'no /proc', 4 unless -r '/proc/self/status';

	is_below(3000, sub { growth('CALL trainings(50)', 'CALL trainings(1000)') - growth('CALL tables(50)', 'CALL tables(1000)') },
		'a thousand trainings, beyond as many tables');
	is_below(3000, sub { growth('CALL errors(50)', 'CALL errors(500)') }, 'fifteen hundred errors');
	my $encode = q{SELECT 1 WHERE 0 = (SELECT count(xmhash_encode_image('kept', image)) + count(xmhash_encode_text('kept', words)) FROM pair, generate_series(1, %d))};
	is_below(1000, sub { growth(sprintf($encode, 30), sprintf($encode, 3400)) }, 'a million encodings');

	# 24 MB of features with 2 MB of memory for them: the same weights, and less memory.
	my $train = q{SET client_min_messages = error; SET xmhash.train_work_mem = '%s';
		CALL xmhash_train('%s', 'wide', 'features', 'features', 16, options => '{"epochs": 2}'); SELECT peak()};
	my $whole = $node->safe_psql('postgres', sprintf($train, '1GB', 'in_memory'));
	my $spilled = $node->safe_psql('postgres', sprintf($train, '2MB', 'spilled'));
	note "peak: in memory $whole kB, spilled $spilled kB";
	cmp_ok($whole - $spilled, '>', 15000, 'rows beyond train_work_mem take no memory');
}
is($node->safe_psql('postgres', q{SELECT count(DISTINCT data) FROM (TABLE in_memory UNION ALL TABLE spilled) m WHERE part = 'weights'}),
	1, 'and give the same weights');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_ls_tmpdir()}), 0, 'no temporary file is left');
my (undef, undef, $said) = $node->psql('postgres', q{SET xmhash.progress = on; SET xmhash.train_work_mem = '2MB';
	CALL xmhash_train('sizes', 'wide', 'features', 'features', 16, options => '{"epochs": 1}')});
like($said, qr/networks, optimizer and batches take \d+\.\d MB; 2\d\.\d MB of rows in a temporary file/, 'sizes are said at the start');

$node->stop;
done_testing();

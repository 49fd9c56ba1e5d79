# Rows on several servers, asked through postgres_fdw: each form of a query that the
# reference recommends answers as one table with all rows does, by as many index
# scans on each server as it should take; a model arrives by logical replication
# and is the same there; when a server goes, a query ends with an error.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded);

my $seed = seeded();
my @rows = map { PostgreSQL::Test::Cluster->new("node$_") } (1, 2);
my $head = PostgreSQL::Test::Cluster->new('head');
for my $node ($head, @rows)
{
	$node->init(allows_streaming => 'logical');
	# The form is what matters here, not what it costs to ask tables of this size.
	$node->append_conf('postgresql.conf', "xmhash.progress = off\nenable_seqscan = off\nautovacuum = off\nmax_parallel_workers_per_gather = 0");
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
}
if (!$head->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'}))
{
	$_->stop for $head, @rows;
	plan skip_all => 'no postgres_fdw';
}

sub head { return $head->safe_psql('postgres', shift); }

# ------------------------------------------------------------------- the model

head(qq{
	CREATE EXTENSION postgres_fdw;
	SELECT setseed($seed / 1e7);
	CREATE TABLE everything AS
	  SELECT id, id % 5 AS label, id % 2 + 1 AS node,
	         ARRAY(SELECT (floor(random() * 3) + 3 * (id % 7 = n)::integer)::real FROM generate_series(1, 8) AS n) AS features,
	         ARRAY(SELECT ((id + n) % 5 = 0)::integer::real FROM generate_series(1, 8) AS n) AS words
	  FROM generate_series(1, 4000) AS id;
	CALL xmhash_train('scenes', 'everything', 'features', 'words', 64, options => '{"epochs": 1}');
	CREATE PUBLICATION models FOR TABLE scenes;
});
for my $node (@rows)
{
	my $from = $head->connstr('postgres');
	$node->safe_psql('postgres', q{
		CREATE TABLE scenes OF xmhash_model (PRIMARY KEY (part, number));
		CREATE VIEW model_digest AS SELECT model::text, digest FROM xmhash_models;
	});
	$node->safe_psql('postgres', 'CREATE SUBSCRIPTION ' . $node->name . " CONNECTION \$\$$from\$\$ PUBLICATION models");
}
$_->wait_for_subscription_sync($head, $_->name) for @rows;

for my $i (1, 2)
{
	my ($host, $port) = ($rows[ $i - 1 ]->host, $rows[ $i - 1 ]->port);
	head(qq{
		CREATE SERVER node$i FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
		ALTER SERVER node$i OPTIONS (ADD fetch_size '50');
		CREATE USER MAPPING FOR CURRENT_USER SERVER node$i});
}
head(q{
	ALTER SERVER node1 OPTIONS (ADD extensions 'xmhash', ADD async_capable 'true');
	ALTER SERVER node2 OPTIONS (ADD extensions 'xmhash', ADD async_capable 'true');
	CREATE FOREIGN TABLE model_digest_1 (model text, digest text) SERVER node1 OPTIONS (table_name 'model_digest');
	CREATE FOREIGN TABLE model_digest_2 (model text, digest text) SERVER node2 OPTIONS (table_name 'model_digest');
});
my $compare = q{
SELECT 'here' AS node, xmhash_model_digest('scenes') AS digest
UNION ALL SELECT 'node1', digest FROM model_digest_1 WHERE model = 'public.scenes'
UNION ALL SELECT 'node2', digest FROM model_digest_2 WHERE model = 'public.scenes'};
is(head("SELECT count(*), count(digest), count(DISTINCT digest) FROM ($compare) AS d"), '3|3|1', 'a model that was replicated has the digest it has here');

# Another model of this name on one server is found out.
$rows[1]->safe_psql('postgres', q{
	CREATE SCHEMA other;
	CREATE TABLE other.scenes OF xmhash_model (CONSTRAINT other_pkey PRIMARY KEY (part, number));
	INSERT INTO other.scenes SELECT part, number, info, CASE part WHEN 'weights' THEN set_byte(data, 3, 0) ELSE data END FROM scenes;
	ALTER TABLE scenes RENAME TO right_scenes;
	ALTER TABLE other.scenes SET SCHEMA public;
});
is(head("SELECT count(*), count(digest), count(DISTINCT digest) FROM ($compare) AS d"), '3|3|2', 'so is one with another content');
$rows[1]->safe_psql('postgres', 'DROP TABLE scenes; ALTER TABLE right_scenes RENAME TO scenes');

# -------------------------------------------------------------------- the rows

my $columns = 'id bigint, features real[], words real[], label integer, code bitcode(64)';
for my $i (1, 2)
{
	$rows[ $i - 1 ]->safe_psql('postgres', "CREATE TABLE picture ($columns)");
	head(qq{
		CREATE FOREIGN TABLE picture_$i ($columns) SERVER node$i OPTIONS (table_name 'picture');
		INSERT INTO picture_$i (id, features, words, label) SELECT id, features, words, label FROM everything WHERE node = $i});
}

# Encoded where they are: from here it is refused, for a partitioned table too.
my (undef, undef, $error) = $head->psql('postgres', q{CALL xmhash_encode_table('scenes', 'picture_1', 'features', 'code', NULL, NULL)});
like($error, qr/cannot encode table "picture_1": it is a foreign table.*HINT:  Call xmhash_encode_table\(\) on the server that has its rows/s, 'not from here');
head(q{
	CREATE TABLE picture (id bigint, features real[], words real[], label integer, code bitcode(64)) PARTITION BY LIST ((id % 2));
	ALTER TABLE picture ATTACH PARTITION picture_1 FOR VALUES IN (0);
	ALTER TABLE picture ATTACH PARTITION picture_2 FOR VALUES IN (1)});
(undef, undef, $error) = $head->psql('postgres', q{CALL xmhash_encode_table('scenes', 'picture', 'features', 'code', NULL, NULL)});
like($error, qr/cannot encode table "picture_1": it is a foreign table/, 'nor as partitions');
is(head('SELECT count(code) FROM picture'), 0, 'and nothing was written');
for my $node (@rows)
{
	$node->safe_psql('postgres', q{
		CALL xmhash_encode_table('scenes', 'picture', 'features', 'code', NULL, NULL);
		CREATE INDEX picture_code ON picture USING xmhash (code);
		ANALYZE picture});
}
head(q{
	ALTER TABLE everything ADD code bitcode(64);
	CALL xmhash_encode_table('scenes', 'everything', 'features', 'code', NULL, NULL);
	CREATE INDEX everything_code ON everything USING xmhash (code);
	CREATE TABLE query AS SELECT id, code FROM everything WHERE id IN (3, 1500, 2750);
	ANALYZE});
is(head('SELECT count(*) FROM picture JOIN everything USING (id) WHERE picture.code <> everything.code OR picture.code IS NULL'), 0,
	'the codes are those that this server gives');

# A trigger of the foreign table runs here, with the model that is here.
head(q{
	CREATE TRIGGER encode BEFORE INSERT OR UPDATE ON picture_1 FOR EACH ROW
	  EXECUTE FUNCTION xmhash_encode_trigger('scenes', 'image', 'features', 'code');
	INSERT INTO picture_1 (id, features) SELECT 10000, features FROM everything WHERE id = 3;
	UPDATE picture_1 SET features = (SELECT features FROM everything WHERE id = 5) WHERE id = 10000});
is(head('SELECT p.code = e.code FROM picture_1 p, everything e WHERE p.id = 10000 AND e.id = 5'), 't', 'a trigger of a foreign table encodes');
head('DELETE FROM picture_1 WHERE id = 10000; DROP TRIGGER encode ON picture_1');

# --------------------------------------------------------------------- queries

# How often each server has searched its index, and read its table; a session that
# has ended has said so.
sub scans
{
	return map { $_->safe_psql('postgres', q{SELECT i.idx_scan, t.seq_scan FROM pg_stat_user_tables t JOIN pg_stat_user_indexes i USING (relid) WHERE i.indexrelname = 'picture_code'}) } @rows;
}

# A query as documented, the same of one table, and the scans that each server makes for it.
sub compare
{
	my ($name, $query, $same, $expected, %option) = @_;
	my @before = map { [ split /\|/ ] } scans();
	my $answer = head($query);
	my $here = head($same);

	isnt($answer, '', "$name: there is something to compare");
	is($answer, $here, "$name: as from one table");
	for my $i (grep { $expected->[$_] > 0 } 0, 1)
	{
		my $target = $before[$i][0] + $expected->[$i];
		$rows[$i]->poll_query_until('postgres', qq{SELECT idx_scan >= $target FROM pg_stat_user_indexes WHERE indexrelname = 'picture_code'})
		  or diag "$name: fewer than $target scans";
	}
	my @after = map { [ split /\|/ ] } scans();
	is(join(' ', map { $after[$_][0] - $before[$_][0] } 0, 1), "@$expected", "$name: searches of the index of each server");
	is(join(' ', map { $after[$_][1] - $before[$_][1] } 0, 1), $option{tables} // '0 0', "$name: readings of whole tables");
	return;
}

# Of rows at the same distance any may come, so distances are compared, and each with its row's.
sub compare_nearest
{
	my ($name, $query, $same, @rest) = @_;
	compare($name, "SELECT string_agg(concat_ws(' ', query, distance), ',' ORDER BY query, distance), count(DISTINCT (query, id)),
		bool_and(distance = (SELECT e.code <~> coalesce(q.code, xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}'))
		                     FROM everything e LEFT JOIN query q ON q.id = near.query WHERE e.id = near.id))
		FROM ($query) AS near(query, id, distance)",
		"SELECT string_agg(concat_ws(' ', query, distance), ',' ORDER BY query, distance), count(*), true FROM ($same) AS near(query, distance)", @rest);
	return;
}
sub with_query { return 'SELECT NULL::bigint, * FROM (' . shift . ') AS n' }

my $text = q{xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')};
compare_nearest('nearest of one server', with_query(q{
SELECT id, code <~> (SELECT xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')) AS distance
FROM picture_1 ORDER BY distance LIMIT 10}),
	"SELECT NULL::bigint, code <~> $text AS distance FROM everything WHERE node = 1 ORDER BY distance LIMIT 10", [ 1, 0 ]);

my $nearest = q{
SELECT id, distance
FROM ((SELECT id, code <~> (SELECT xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')) AS distance
       FROM picture_1 ORDER BY distance LIMIT 10)
      UNION ALL
      (SELECT id, code <~> (SELECT xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')) AS distance
       FROM picture_2 ORDER BY distance LIMIT 10)
      OFFSET 0) AS near
ORDER BY distance, id LIMIT 10};
my $nearest_here = "SELECT NULL::bigint, code <~> $text AS distance FROM everything ORDER BY distance LIMIT 10";
compare_nearest('nearest of all', with_query($nearest), $nearest_here, [ 1, 1 ]);
my $plan = head("EXPLAIN (VERBOSE, COSTS OFF) $nearest");
is(scalar(() = $plan =~ /Async Foreign Scan/g), 2, 'nearest of all: both servers are asked at once') or diag $plan;
is(scalar(() = $plan =~ /Remote SQL: .* ORDER BY .* LIMIT (?:10|'10')::bigint/g), 2, 'nearest of all: for ten rows each') or diag $plan;

compare_nearest('nearest of a partitioned table',
	with_query(q{SELECT id, code <~> (SELECT xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')) AS distance FROM picture ORDER BY distance LIMIT 10}),
	$nearest_here, [ 1, 1 ]);

compare_nearest('nearest of each of several codes', q{
SELECT query.id, near.id, near.distance
FROM query CROSS JOIN LATERAL
     (SELECT picture_1.id, picture_1.code <~> query.code AS distance FROM picture_1 ORDER BY distance LIMIT 3) AS near},
	q{SELECT q.id, n.distance FROM query q CROSS JOIN LATERAL
		(SELECT e.code <~> q.code AS distance FROM everything e WHERE node = 1 ORDER BY distance LIMIT 3) n},
	[ 3, 0 ]);

compare('within a radius',
	q{
SELECT id FROM picture
WHERE hamming_within(code, (SELECT xmhash_encode_text('scenes', '{0,1,0,0,0,0,1,0}')), 24) ORDER BY id},
	qq{SELECT id FROM everything WHERE hamming_within(code, $text, 24) ORDER BY id}, [ 1, 1 ]);

compare('a join within a radius',
	q{
SELECT query.id, near.id
FROM query CROSS JOIN LATERAL
     (SELECT picture.id FROM picture WHERE hamming_within(picture.code, query.code, 6) OFFSET 0) AS near} . ' ORDER BY query.id, near.id',
	q{SELECT q.id, e.id FROM query q JOIN everything e ON hamming_within(e.code, q.code, 6) ORDER BY q.id, e.id}, [ 3, 3 ]);

compare('equal codes', q{SELECT id FROM picture WHERE code = (SELECT code FROM query WHERE id = 3) ORDER BY id},
	q{SELECT id FROM everything WHERE code = (SELECT code FROM query WHERE id = 3) ORDER BY id}, [ 1, 1 ]);

compare('a majority by server', q{SELECT bit_majority(code) FROM picture_1}, q{SELECT bit_majority(code) FROM everything WHERE node = 1},
	[ 0, 0 ], tables => '1 0');
like(head('EXPLAIN (VERBOSE) SELECT bit_majority(code) FROM picture_1'), qr/Remote SQL: SELECT public.bit_majority\(code\)/, 'it is computed there');

# Evaluation and training read foreign tables as others; ties stand as rows come.
compare('evaluation', q{SELECT map, precision_at_k FROM xmhash_evaluate('everything', 'code', 'picture', 'code', 'label', 50)},
	q{SELECT map, precision_at_k FROM xmhash_evaluate('everything', 'code', 'everything', 'code', 'label', 50)}, [ 0, 0 ], tables => '1 1');
$rows[1]->safe_psql('postgres', q{UPDATE picture SET words[2] = 'NaN' WHERE id = 7});
(undef, undef, $error) = $head->psql('postgres', q{CALL xmhash_train('other', 'picture', 'features', 'words', 16, options => '{"epochs": 1}')});
like($error, qr/column "words" has NaN as element 2.*DETAIL:  This is row \d+ of relation public.picture, as read\.$/ms, 'a bad row there is told, and no place of it');

# ------------------------------------------------------------ a server that goes

my $session = $head->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{
	BEGIN;
	DECLARE c CURSOR FOR SELECT id FROM picture ORDER BY code <~> (SELECT code FROM query WHERE id = 3), id});
is(scalar(() = $session->query_safe('FETCH 10 FROM c') =~ /^\d+$/mg), 10, 'a query has begun');
$rows[1]->stop('immediate');
my $rest = $session->query('FETCH ALL FROM c');
is($rest, '', 'nothing comes after a server has gone');
like($session->{stderr}, qr/ERROR/, 'but an error');
$session->quit;
my ($status, $out);
($status, $out, $error) = $head->psql('postgres', $nearest);
is("$status $out", '3 ', 'a new query has no partial answer');
like($error, qr/ERROR:  could not connect to server "node2"/, 'but an error too');
is(head(q{SELECT count(*) FROM (SELECT id FROM picture_1 ORDER BY code <~> (SELECT code FROM query WHERE id = 3) LIMIT 10) AS n}), 10, 'the other server answers');
$rows[1]->start;
is(head("SELECT string_agg(distance::text, ',' ORDER BY distance) FROM ($nearest) AS n"),
	head("SELECT string_agg(distance::text, ',' ORDER BY distance) FROM ($nearest_here) AS n"), 'and both when it is back');

$_->safe_psql('postgres', 'DROP SUBSCRIPTION ' . $_->name) for @rows;
$_->stop for $head, @rows;
done_testing();

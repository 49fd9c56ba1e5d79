# Beside pgvector: a bit(n) column becomes a code by two statements, and its queries
# stay as they are; embeddings are binary-quantised, searched by their codes and
# rescored by themselves.  Skipped where pgvector is not installed.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
my $psql = sub { return $node->safe_psql('postgres', shift); };
if ($psql->("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") eq '0')
{
	$node->stop;
	plan skip_all => 'pgvector is not installed';
}
note 'pgvector ' . $psql->("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'");
$psql->('CREATE EXTENSION vector; CREATE EXTENSION xmhash');

# A column of pgvector's, as one has it: with its index, and queries on it.
$psql->(q[CREATE TABLE item (id int PRIMARY KEY, bits bit(64));
	INSERT INTO item SELECT id, ('x' || left(md5(id::text), 16))::bit(64) FROM generate_series(1, 3000) AS id;
	INSERT INTO item VALUES (3001, NULL);
	CREATE INDEX item_bits_idx ON item USING hnsw (bits bit_hamming_ops)]);
my $bits = $psql->('SELECT bits FROM item WHERE id = 77');
my @queries = (
	"SELECT string_agg(distance::int::text, ' ') FROM (SELECT bits <~> B'$bits' AS distance FROM item ORDER BY bits <~> B'$bits' LIMIT 20) AS near",
	"SELECT string_agg(distance::int::text, ' ') FROM (SELECT bits <~> '$bits' AS distance FROM item ORDER BY bits <~> '$bits' LIMIT 20) AS near",
	"SELECT count(*) FROM item WHERE bits <~> B'$bits' < 24",
	"SELECT id FROM item WHERE bits = B'$bits'",
	'SELECT md5(string_agg(bits::text, chr(10) ORDER BY id)) FROM item');
# pgvector's index is not exact: what is true is what a sequential scan says.
my @before = map { $psql->("SET enable_indexscan = off; $_") } @queries;
my $file = $psql->("SELECT pg_relation_filepath('item')");

$psql->('DROP INDEX item_bits_idx;');
$psql->('ALTER TABLE item ALTER bits TYPE bitcode(64);');
$psql->('CREATE INDEX ON item USING xmhash (bits);');
is($psql->("SELECT pg_relation_filepath('item')"), $file, 'the table is not written again');
is($psql->("SET enable_seqscan = off; $queries[$_]"), $before[$_], "the same query says the same: $queries[$_]") for 0 .. $#queries;
like($psql->("SET enable_seqscan = off; EXPLAIN SELECT id FROM item ORDER BY bits <~> B'$bits' LIMIT 20"), qr/item_bits_idx/, 'by the index');
is($psql->("SELECT bits::bit(64) <~> B'$bits' FROM item WHERE id = 77"), '0', "pgvector's operator is still pgvector's");

# Back again.
$psql->('DROP INDEX item_bits_idx; ALTER TABLE item ALTER bits TYPE bit(64); CREATE INDEX ON item USING hnsw (bits bit_hamming_ops)');
is($psql->("SET enable_indexscan = off; $queries[$_]"), $before[$_], "and back: $queries[$_]") for 0 .. $#queries;

# Embeddings: 2,000 in 25 clusters, and queries near them.
$psql->(q[CREATE TABLE doc (id int PRIMARY KEY, embedding vector(128), features real[]);
	SELECT setseed(0.5);
	CREATE TABLE centre AS SELECT c, array_agg(random() - 0.5) AS v FROM generate_series(1, 25) AS c, generate_series(1, 128) GROUP BY c;
	INSERT INTO doc (id, features)
	SELECT id, (SELECT array_agg((x + (random() - 0.5) * 0.8)::real ORDER BY n) FROM unnest(v) WITH ORDINALITY AS u (x, n))
	FROM generate_series(1, 2000) AS id JOIN centre ON c = 1 + id % 25;
	UPDATE doc SET embedding = features::vector;
	CREATE TABLE query AS SELECT id, embedding FROM doc WHERE id % 40 = 1]);
is($psql->('SELECT count(*) FROM doc WHERE binary_quantize(embedding)::bitcode = features::bitcode'), '2000',
	'binary_quantize and the cast from real[] give one code');
$psql->('CREATE INDEX doc_code ON doc USING xmhash ((binary_quantize(embedding)::bitcode(128)));
	CREATE INDEX doc_features_code ON doc USING xmhash ((features::bitcode(128))); ANALYZE doc');

# How many of the true ten nearest are among the first ten of so many candidates.
sub recall
{
	my ($candidates) = @_;

	return $psql->("SET enable_seqscan = off;
		SELECT round(avg(cardinality(ARRAY(SELECT unnest(truth) INTERSECT SELECT unnest(found)))) / 10, 3)
		FROM (SELECT ARRAY(SELECT id FROM doc ORDER BY embedding <=> query.embedding LIMIT 10) AS truth,
				ARRAY(SELECT id FROM (
					SELECT id, embedding FROM doc
					ORDER BY binary_quantize(embedding)::bitcode(128) <~> binary_quantize(query.embedding)::bitcode(128) LIMIT $candidates
				) AS candidate ORDER BY embedding <=> query.embedding LIMIT 10) AS found
			FROM query) AS answers");
}
my @recall = map { recall($_) } 10, 40, 200;
note "recall of the ten nearest by 10, 40 and 200 candidates: @recall";
cmp_ok($recall[0], '<=', $recall[1], 'more candidates find more');
cmp_ok($recall[1], '<=', $recall[2], 'and more');
cmp_ok($recall[2], '>=', 0.99, 'of clustered embeddings 200 candidates hold the ten nearest');
for my $order ('binary_quantize(embedding)::bitcode(128) <~> binary_quantize((SELECT embedding FROM doc WHERE id = 7))::bitcode(128)',
	'features::bitcode(128) <~> (SELECT features::bitcode(128) FROM doc WHERE id = 7)')
{
	like($psql->("SET enable_seqscan = off; EXPLAIN SELECT id FROM doc ORDER BY $order LIMIT 10"), qr/Index Scan using doc_/, "by the index: $order");
}

# As the reference has it, from the mean of all.
$psql->('CREATE TABLE doc_mean AS SELECT avg(embedding) AS mean FROM doc;');
$psql->('ALTER TABLE doc ADD code bitcode(128);');
$psql->('UPDATE doc SET code = binary_quantize(embedding - mean)::bitcode FROM doc_mean;');
$psql->('CREATE INDEX ON doc USING xmhash (code);');
my $nearest = 'PREPARE nearest(vector) AS
	SELECT id FROM (
		SELECT id, embedding FROM doc
		ORDER BY code <~> (SELECT binary_quantize($1 - mean)::bitcode FROM doc_mean) LIMIT 200
	) AS candidate ORDER BY embedding <=> $1 LIMIT 10;';
my $of_seven = "('" . $psql->('SELECT embedding FROM doc WHERE id = 7') . "')";
is((split /\n/, $psql->("$nearest EXECUTE nearest $of_seven"))[0], '7', 'centred codes, rescored');
like($psql->("SET enable_seqscan = off; $nearest EXPLAIN EXECUTE nearest $of_seven"), qr/Index Scan using doc_code_idx/, 'by the index');

$node->stop;
done_testing();

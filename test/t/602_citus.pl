# Tables that Citus distributes: what the reference recommends answers as one table
# does; what would take rows of one server for those of another is refused, with a
# statement that works; moving shards and losing a node changes no answer.  Skipped
# where Citus is not installed.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $head = PostgreSQL::Test::Cluster->new('coordinator');
$head->init;
$head->start;
my (undef, undef, $error) = $head->psql('postgres', q{LOAD 'citus'});
if ($error =~ /could not access file "citus"/)
{
	$head->stop;
	plan skip_all => 'Citus is not installed';
}
my @workers = map { PostgreSQL::Test::Cluster->new("worker$_") } (1, 2);
$_->init for @workers;
for my $node ($head, @workers)
{
	# Rows of two servers are to be under the same numbers: workers are set up alike.
	$node->append_conf('postgresql.conf', <<'CONF');
shared_preload_libraries = 'citus'
listen_addresses = '127.0.0.1'
citus.node_conninfo = 'sslmode=disable'
citus.shard_count = 4
citus.enable_unsafe_triggers = on
citus.enable_statistics_collection = off
wal_level = logical
max_prepared_transactions = 20
autovacuum = off
xmhash.progress = off
CONF
	$node->restart if $node == $head;
	$node->start if $node != $head;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus; CREATE EXTENSION xmhash');
}
sub head { return $head->safe_psql('postgres', shift); }
note head('SELECT citus_version()');
head("SELECT citus_set_coordinator_host('127.0.0.1', " . $head->port . ')');
head("SELECT citus_add_node('127.0.0.1', " . $_->port . ')') for @workers;

head(q{
	CREATE TABLE plain AS
	  SELECT id, id % 3 AS label, ARRAY[sin(id), cos(id), 1]::real[] AS features, ARRAY[id % 2, id % 5, 1]::real[] AS words
	  FROM generate_series(1, 3000::bigint) AS id;
	CALL xmhash_train('scenes', 'plain', 'features', 'words', 64, options => '{"epochs": 1}');
	CREATE TABLE picture (id bigint PRIMARY KEY, label integer, features real[], words real[], code bitcode(64));
	INSERT INTO picture (id, label, features, words) SELECT id, label, features, words FROM plain;
	CREATE TABLE shared (id bigint PRIMARY KEY, label integer, features real[], words real[], code bitcode(64));
	INSERT INTO shared SELECT * FROM picture WHERE id <= 100;
	ALTER TABLE plain ADD code bitcode(64);
	CALL xmhash_encode_table('scenes', 'plain', 'features', 'code', NULL, NULL);
	SELECT create_distributed_table('picture', 'id');
	SELECT create_reference_table('shared');
	CREATE INDEX picture_code ON picture USING xmhash (code);
	CREATE INDEX shared_code ON shared USING xmhash (code);
});

# The statement of a hint.
sub hint
{
	my $call = shift;
	my (undef, undef, $said) = $head->psql('postgres', $call);
	like($said, qr/distributed by Citus/, "refused: $call");
	my ($statement) = $said =~ /^HINT:  .*?(SELECT \* FROM run_command_on_.*;)$/m;
	return $statement // 'SELECT NULL, false, NULL';
}
sub run_hint
{
	my ($call, $count, $pattern) = @_;
	my $statement = hint($call);
	my @answers = split /\n/, head($statement);
	is(scalar(@answers), $count, 'the statement of the hint runs on each shard');
	is(scalar(grep { /$pattern/ } @answers), $count, 'and does what it should') or diag "@answers";
	return;
}

# Rows that distributing has left behind here are not touched, nor others by their numbers.
my $encode = hint(q{CALL xmhash_encode_table('scenes', 'picture', 'features', 'code', NULL, NULL)});
like(head($encode), qr/ERROR:  relation "public.scenes" does not exist/, 'a worker says that it has no such model');
is(head('SELECT count(*), count(code) FROM picture'), '3000|0', 'nothing was written');

# ------------------------------------------------------------------- the model

my $import = q{
SELECT run_command_on_workers(format($$SELECT xmhash_import_model('scenes', decode(%L, 'hex'))$$,
                                     encode(xmhash_export_model('scenes'), 'hex')))};
is(scalar(() = head($import) =~ /,t,/g), 2, 'the model goes to all workers');
my $same = q{
SELECT nodeid, success, result = xmhash_model_digest('scenes') AS same
FROM run_command_on_all_nodes($$SELECT xmhash_model_digest('scenes')$$)};
is(scalar(() = head($same) =~ /\|t\|t$/mg), 3, 'and is the same everywhere');
$workers[1]->safe_psql('postgres', q{SET citus.override_table_visibility = off; UPDATE scenes SET data = set_byte(data, 3, 0) WHERE part = 'weights'});
is(scalar(() = head($same) =~ /\|t\|t$/mg), 2, 'another is found out');
$workers[1]->safe_psql('postgres', 'DROP TABLE scenes');
head($import);
is(scalar(() = head($same) =~ /\|t\|t$/mg), 3, 'and mended');

run_hint(q{CALL xmhash_encode_table('scenes', 'picture', 'features', 'code', NULL, NULL)}, 4, qr/\|t\|CALL/);
is(head('SELECT count(*) FROM (SELECT id, code FROM picture EXCEPT SELECT id, code FROM plain) AS wrong'), 0, 'encoded on the shards: all codes are right');
run_hint(q{CALL xmhash_encode_table('scenes', 'shared', 'features', 'code', NULL, NULL)}, 3, qr/\|t\|CALL/);
is(head(q{SELECT count(DISTINCT result) FROM run_command_on_placements('shared', $$SELECT md5(string_agg(code::text, ',' ORDER BY id)) FROM %s$$)}), 1,
	'all replicas of a reference table have the same codes');

# --------------------------------------------------------------------- indexes

run_hint(q{SELECT xmhash_index_check('picture_code', true)}, 4, qr/\|t\|1$/);
run_hint(q{SELECT xmhash_index_stats('picture_code')}, 4, qr/\|t\|.*\(1,64,/);
run_hint(q{SELECT xmhash_index_merge('picture_code')}, 4, qr/\|t\|\{\d+\}$/);
run_hint(q{SELECT xmhash_index_check('shared_code')}, 3, qr/\|t\|1$/);

# Shells are an error; a query of all indexes leaves them out by Citus's own list.
head('CREATE INDEX plain_code ON plain USING xmhash (code)');
is(head(q{
	SELECT c.oid::regclass, i.rows FROM pg_class AS c JOIN pg_am ON pg_am.oid = c.relam AND amname = 'xmhash'
	JOIN pg_index ON indexrelid = c.oid AND indisready AND indrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)
	CROSS JOIN LATERAL xmhash_index_stats(c.oid::regclass) AS i}), "plain_code|3000", 'numbers of the other indexes');
is($workers[0]->safe_psql('postgres', q{
	SET citus.override_table_visibility = off;
	SELECT count(*) > 0, min(i.rows) > 0 FROM pg_class AS c JOIN pg_am ON pg_am.oid = c.relam AND amname = 'xmhash'
	JOIN pg_index ON indexrelid = c.oid AND indisready AND indrelid NOT IN (SELECT logicalrelid FROM pg_dist_partition)
	CROSS JOIN LATERAL xmhash_index_stats(c.oid::regclass) AS i}), 't|t', 'and of the shards on a worker');

# --------------------------------------------------------------------- queries

my $text = q{xmhash_encode_text('scenes', '{1,0,1}')};
my $nearest = q{
WITH query AS MATERIALIZED (SELECT xmhash_encode_text('scenes', '{1,0,1}') AS code)
SELECT id, code <~> (SELECT code FROM query) AS distance
FROM picture ORDER BY distance, id LIMIT 10};
my $nearest_here = "SELECT id, code <~> $text AS distance FROM plain ORDER BY distance, id LIMIT 10";
my $limited = q{
SELECT id, code <~> (SELECT xmhash_encode_text('scenes', '{1,0,1}') LIMIT 1) AS distance
FROM picture ORDER BY distance, id LIMIT 10};
my $radius = q{
SELECT id FROM picture
WHERE hamming_within(code, (SELECT xmhash_encode_text('scenes', '{1,0,1}') LIMIT 1), 20)};
my $join = q{
SELECT shared.id, picture.id
FROM shared JOIN picture ON hamming_within(picture.code, shared.code, 4)};

sub check_queries
{
	my $when = shift;
	is(head($nearest), head($nearest_here), "$when: nearest, the code from a CTE");
	is(head($limited), head($nearest_here), "$when: nearest, the code from a sub-select");
	isnt(head("SELECT count(*) FROM ($radius) AS n"), 0, "$when: there is something within the radius");
	is(head("$radius ORDER BY id"), head("SELECT id FROM plain WHERE hamming_within(code, $text, 20) ORDER BY id"), "$when: within the radius");
	is(head("$join ORDER BY 1, 2"), head('SELECT a.id, b.id FROM plain a JOIN plain b ON hamming_within(b.code, a.code, 4) WHERE a.id <= 100 ORDER BY 1, 2'), "$when: a join");
	is(head(q{SELECT bit_majority(code) FROM picture}), head('SELECT bit_majority(code) FROM plain'), "$when: the majority");
	is(head(q{SELECT label, bit_majority(code) FROM picture GROUP BY label ORDER BY label}),
		head('SELECT label, bit_majority(code) FROM plain GROUP BY label ORDER BY label'), "$when: by group");
	return;
}
check_queries('at first');
like(head('EXPLAIN (VERBOSE) SELECT bit_majority(code) FROM picture'), qr/worker_partial_agg\('public.bit_majority/, 'the majority is computed on the shards');
like(head("EXPLAIN $limited"),
	qr/Subplan/, 'the code is computed once, on the coordinator');

# Evaluation and training read all rows; a bad one has no place here.
is(head(q{SELECT map, precision_at_k FROM xmhash_evaluate('plain', 'code', 'picture', 'code', 'label', 10)}),
	head(q{SELECT map, precision_at_k FROM xmhash_evaluate('plain', 'code', 'plain', 'code', 'label', 10)}), 'evaluation of a distributed table');
head(q{CALL xmhash_train('of_shards', 'picture', 'features', 'words', 64, options => '{"epochs": 1}')});
is(head(q{SELECT xmhash_model_digest('of_shards') = xmhash_model_digest('scenes')}), 't', 'training on a distributed table gives the weights of one table');
head(q{UPDATE picture SET words = ARRAY[1, 'NaN', 1]::real[] WHERE id = 77});
(undef, undef, $error) = $head->psql('postgres', q{CALL xmhash_train('bad', 'picture', 'features', 'words', 64, options => '{"epochs": 1}')});
like($error, qr/column "words" has NaN as element 2.*DETAIL:  This is row \d+ of relation public.picture, as read\.$/ms, 'a bad row is told');
head(q{UPDATE picture SET words = '{1,2,1}' WHERE id = 77});

# A trigger runs on the shards, with the model of the worker.
head(q{
	CREATE TRIGGER encode BEFORE INSERT OR UPDATE ON picture FOR EACH ROW
	  EXECUTE FUNCTION xmhash_encode_trigger('scenes', 'image', 'features', 'code');
	INSERT INTO picture (id, label, features) SELECT id + 10000, label, features FROM plain});
is(head('SELECT count(*) FROM (SELECT id - 10000, code FROM picture WHERE id > 10000 EXCEPT SELECT id, code FROM plain) AS wrong'), 0, 'a trigger encodes on the shards');
head('DELETE FROM picture WHERE id > 10000');

# ------------------------------------------------------------- shards that move

my ($from, $to) = map { $_->port } @workers;
for my $shard (split /\n/, head("SELECT shardid FROM citus_shards WHERE table_name = 'picture'::regclass AND nodeport = $from LIMIT 1"))
{
	head("SELECT citus_move_shard_placement($shard, '127.0.0.1', $from, '127.0.0.1', $to, 'block_writes')");
	check_queries('a shard moved');
}
run_hint(q{SELECT xmhash_index_check('picture_code', true)}, 4, qr/\|t\|1$/);

# A node that is gone is an error, not fewer rows.
$workers[0]->stop('immediate');
my ($status, $out);
($status, $out, $error) = $head->psql('postgres', $nearest);
is("$status $out", '3 ', 'without a node there is no partial answer');
like($error, qr/ERROR:  connection to the remote node/, 'but an error');
$workers[0]->start;
check_queries('the node is back');

$_->stop for $head, @workers;
done_testing();

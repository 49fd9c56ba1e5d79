# An index arrives sound wherever its table is taken: through a dump in each
# format, logical replication, a base backup, pg_upgrade, CREATE DATABASE from a
# template; with an extension in a schema that no search_path names.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node);

seeded();
my $oracle = slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql");

my $node = new_node('origin', allows_streaming => 'logical');
# Autovacuum runs with an empty search_path: let it come often.
$node->append_conf('postgresql.conf', <<'CONF');
xmhash.pending_list_limit = 16
autovacuum = on
autovacuum_naptime = 1
autovacuum_vacuum_threshold = 100
autovacuum_vacuum_scale_factor = 0
autovacuum_vacuum_insert_threshold = 100
autovacuum_vacuum_insert_scale_factor = 0
CONF
$node->start;
# The extension lies in a schema of its own, the table in another one.
my $tables = <<'SQL';
CREATE SCHEMA hidden;
CREATE EXTENSION xmhash SCHEMA hidden;
CREATE SCHEMA data;
SET search_path = data, hidden;
CREATE FUNCTION data.inverse(hidden.bitcode) RETURNS hidden.bitcode LANGUAGE sql IMMUTABLE AS 'SELECT OPERATOR(hidden.~) $1';
CREATE TABLE data.t (id bigint PRIMARY KEY, n integer, code hidden.bitcode(64));
CREATE INDEX xm_t ON data.t USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (pending_list_limit = 16);
CREATE INDEX xm_inverse ON data.t USING xmhash (data.inverse(code)) WHERE n % 2 = 0;
CREATE TABLE data.part (id bigint, n integer, code hidden.bitcode(100)) PARTITION BY HASH (id);
CREATE TABLE data.part_0 PARTITION OF data.part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE data.part_1 PARTITION OF data.part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX xm_part ON data.part USING xmhash (code);
CREATE TABLE data.t_single (id serial, n integer, code hidden.bitcode(32), CONSTRAINT xm_single EXCLUDE USING xmhash (code WITH OPERATOR(hidden.=)));
SQL
$node->safe_psql('postgres', $tables);
$node->safe_psql('postgres', "SET search_path = hidden; $oracle");
my $path = 'SET client_min_messages = warning; SET search_path = data, hidden;';
$node->safe_psql('postgres', <<"SQL");
$path
INSERT INTO t SELECT i, i % 100, CASE WHEN i % 30 > 0 THEN oracle.draw('clustered', 64) END FROM generate_series(1, 6000) AS i;
INSERT INTO part SELECT i, i % 100, oracle.draw('clustered', 100) FROM generate_series(1, 3000) AS i;
INSERT INTO t_single (n, code) SELECT i, oracle.bits(32) FROM generate_series(1, 500) AS i ON CONFLICT DO NOTHING;
DELETE FROM t WHERE n = 7;
SQL

my $verify = <<"SQL";
$path
SELECT oracle.check_indexes('t'), oracle.check_indexes('part'), oracle.check_indexes('t_single');
SELECT oracle.compare('t', 'code', 64, 12), oracle.compare('t', 'data.inverse(code)', 64, 6, 'n % 2 = 0'),
  oracle.compare('part', 'code', 100, 8), oracle.compare('t_single', 'code', 32, 4);
SQL
my $content = <<"SQL";
$path
SELECT md5(string_agg(x::text, ' ' ORDER BY x::text)) FROM (SELECT * FROM t UNION ALL SELECT id, n, substring(code, 1, 64) FROM part UNION ALL SELECT id, n, code FROM t_single) AS x;
SQL

sub arrived
{
	my ($there, $database, $name) = @_;
	my ($status, $out, $err) = $there->psql($database, $verify);
	is($err, '', "$name: sound and exact");
	is($there->safe_psql($database, $content), $node->safe_psql('postgres', $content), "$name: the same rows");
	return;
}
sub writable
{
	my ($there, $database, $name) = @_;
	my ($status, $out, $err) = $there->psql($database, <<"SQL");
$path
INSERT INTO t SELECT i, i % 100, oracle.draw('near', 64) FROM generate_series(100001, 103000) AS i;
DELETE FROM t WHERE n % 3 = 0;
VACUUM t;
SELECT xmhash_index_merge('xm_t');
$verify
SQL
	is($err, '', "$name: goes on being written to");
	return;
}

# ------------------------------------------------ where it is: no search_path
my ($status, $out, $err) = $node->psql('postgres', <<'SQL');
SET search_path = '';
SELECT hidden.xmhash_index_check('data.xm_t', true), hidden.xmhash_index_merge('data.xm_t') >= 0;
INSERT INTO data.t VALUES (0, 0, hidden.bitcode_in('x0123456789abcdef', 0, 64)), (-1, 1, NULL);
SET enable_seqscan = off;
SELECT count(*) FROM data.t WHERE hidden.hamming_within(code, hidden.bitcode_in('x0123456789abcdef', 0, -1), 3);
SELECT id FROM data.t ORDER BY code OPERATOR(hidden.<~>) hidden.bitcode_in('x0123456789abcdef', 0, -1) LIMIT 1;
REINDEX TABLE CONCURRENTLY data.t;
VACUUM FULL data.t;
ANALYZE data.t;
SQL
is($err, '', 'everything works with an empty search_path');
like($out, qr/^0$/m, 'and finds what it should');
$node->poll_query_until('postgres', "SELECT autovacuum_count > 0 FROM pg_stat_all_tables WHERE relid = 'data.t'::regclass")
  or fail('autovacuum never came');
arrived($node, 'postgres', 'at home');

# ---------------------------------------------------------------------- dumps
for my $format ('plain', 'custom', 'directory')
{
	my $file = $node->basedir . "/dump_$format";
	my $database = "restored_$format";
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, '-d', $node->connstr('postgres') ], "$format: dumped");
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$node->command_ok(
		$format eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ]
		: [ 'pg_restore', '-e', '-j', 2, '-d', $node->connstr($database), $file ],
		"$format: restored");
	arrived($node, $database, "$format dump");
}
writable($node, 'restored_custom', 'restored dump');

# ------------------------------------------------------------------- template
$node->safe_psql('restored_plain', 'CHECKPOINT');
for my $strategy ('wal_log', 'file_copy')
{
	$node->safe_psql('postgres', "CREATE DATABASE copied_$strategy TEMPLATE restored_plain STRATEGY $strategy");
	arrived($node, "copied_$strategy", "database copied by $strategy");
	writable($node, "copied_$strategy", "database copied by $strategy");
}

# -------------------------------------------------------- logical replication
my $subscriber = new_node('subscriber', allows_streaming => 'logical');
$subscriber->append_conf('postgresql.conf', 'xmhash.pending_list_limit = 16');
$subscriber->start;
$subscriber->safe_psql('postgres', $tables);
$subscriber->safe_psql('postgres', "SET search_path = hidden; $oracle");
$node->safe_psql('postgres', "ALTER TABLE data.part REPLICA IDENTITY FULL; ALTER TABLE data.part_0 REPLICA IDENTITY FULL;
  ALTER TABLE data.part_1 REPLICA IDENTITY FULL; ALTER TABLE data.t_single REPLICA IDENTITY FULL; CREATE PUBLICATION all_tables FOR TABLES IN SCHEMA data");
my $from = $node->connstr . ' dbname=postgres';
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION of_origin CONNECTION '$from' PUBLICATION all_tables WITH (streaming = on)");
$subscriber->wait_for_subscription_sync($node, 'of_origin');
arrived($subscriber, 'postgres', 'first copy of a subscription');
$node->safe_psql('postgres', <<"SQL");
$path
INSERT INTO t SELECT i, i % 100, oracle.draw('clustered', 64) FROM generate_series(20001, 24000) AS i;
UPDATE t SET code = oracle.draw('clustered', 64) WHERE n % 10 = 3;
UPDATE t SET n = n + 1 WHERE n % 10 = 4;
UPDATE t SET code = NULL WHERE n % 10 = 6;
DELETE FROM t WHERE n % 10 = 5;
BEGIN;
INSERT INTO part SELECT i, i % 100, oracle.draw('clustered', 100) FROM generate_series(20001, 21000) AS i;
SAVEPOINT s;
INSERT INTO part SELECT i, i % 100, oracle.draw('clustered', 100) FROM generate_series(30001, 31000) AS i;
ROLLBACK TO s;
COMMIT;
DELETE FROM t_single WHERE n % 7 = 0;
INSERT INTO t_single (n, code) SELECT i, oracle.bits(32) FROM generate_series(1, 100) AS i ON CONFLICT DO NOTHING;
SQL
$node->wait_for_catchup('of_origin');
arrived($subscriber, 'postgres', 'changes applied by a subscription');
$node->safe_psql('postgres', "$path TRUNCATE t_single; INSERT INTO t_single (n, code) SELECT i, oracle.bits(32) FROM generate_series(1, 100) AS i ON CONFLICT DO NOTHING;");
$node->wait_for_catchup('of_origin');
arrived($subscriber, 'postgres', 'TRUNCATE applied by a subscription');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION of_origin');
writable($subscriber, 'postgres', 'the subscriber');
$subscriber->stop;

# ---------------------------------------------------- base backup under load
append_to_file($node->basedir . '/load.sql', join '', map {
		"$path INSERT INTO t SELECT i, i % 100, oracle.draw('near', 64) FROM generate_series($_ * 1000000, $_ * 1000000 + 400) AS i; DELETE FROM t WHERE n = $_; VACUUM t;\n"
} 1 .. 30);
my $load = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('restored_directory'), '-f', $node->basedir . '/load.sql' ],
	'<', \undef, '&>', $node->basedir . '/load.log');
$node->backup('busy');
$load->finish;
is(slurp_file($node->basedir . '/load.log'), '', 'the load met no error');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($node, 'busy');
$copy->append_conf('postgresql.conf', 'autovacuum = off');
$copy->start;
arrived($copy, 'postgres', 'base backup');
($status, $out, $err) = $copy->psql('restored_directory', "$path SELECT oracle.check_indexes('t'), oracle.compare('t', 'code', 64, 8)");
is($err, '', 'base backup of a busy database');
writable($copy, 'restored_directory', 'base backup of a busy database');
$copy->stop;

# ----------------------------------------------------------------- pg_upgrade
# To the same release: it goes through the same dump of the schema and the same
# copying of files as to a later one, transaction counters included.
$node->safe_psql('postgres', 'DROP PUBLICATION all_tables');
my $before = $node->safe_psql('postgres', $content);
$node->stop;
my $upgraded = new_node('upgraded');
my ($old_bin, $new_bin) = ($node->config_data('--bindir')) x 2;
my $work = $node->basedir . '/upgrade';
mkdir $work or die "$work: $!";
chdir $work or die "$work: $!";
$node->command_ok(
	[ 'pg_upgrade', '--no-sync', '-d', $node->data_dir, '-D', $upgraded->data_dir, '-b', $old_bin, '-B', $new_bin,
		'-s', $upgraded->host, '-p', $node->port, '-P', $upgraded->port ],
	'pg_upgrade');
$upgraded->start;
is($upgraded->safe_psql('postgres', $content), $before, 'upgraded: the same rows');
($status, $out, $err) = $upgraded->psql('postgres', $verify);
is($err, '', 'upgraded: sound and exact');
writable($upgraded, 'postgres', 'upgraded');
$upgraded->stop;
done_testing();

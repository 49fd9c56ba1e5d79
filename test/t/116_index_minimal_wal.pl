# With wal_level = minimal, what is built in the transaction that made the file
# is not logged but synced at its end: builds, insertions, flushes, merges,
# TRUNCATE and rebuilds of such a file survive a crash right after the commit,
# and leave nothing behind when the crash comes before it.  Page checksums are on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node);

seeded();
my $node = new_node('minimal', extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', <<'CONF');
wal_level = minimal
max_wal_senders = 0
xmhash.pending_list_limit = 16
shared_buffers = 2MB
max_prepared_transactions = 2
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql"));
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t_kept (id serial, n integer, code bitcode(64));
CREATE INDEX xm_kept ON t_kept USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (bands = 2);
INSERT INTO t_kept (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 8000) AS i;
CREATE TABLE t_unlogged (id serial, n integer, code bitcode(64));
CREATE INDEX xm_unlogged ON t_unlogged USING xmhash (code, n);
INSERT INTO t_unlogged (n, code) SELECT i, oracle.draw('clustered', 64) FROM generate_series(1, 3000) AS i;
SQL

my $insert = "INSERT INTO t (n, code) SELECT i, CASE WHEN i % 10 > 0 THEN oracle.draw('clustered', 64) END FROM generate_series(1, 6000) AS i;";
my %work = (
	'built and inserted into' => "CREATE TABLE t (id serial, n integer, code bitcode(64)); $insert CREATE INDEX xm_t ON t USING xmhash (code) WITH (bands = 2); $insert",
	'inserted into and merged' => "CREATE TABLE t (id serial, n integer, code bitcode(64)); CREATE INDEX xm_t ON t USING xmhash (code); $insert $insert SELECT xmhash_index_merge('xm_t');",
	'truncated in place' => "CREATE TABLE t (id serial, n integer, code bitcode(64)); CREATE INDEX xm_t ON t USING xmhash (code); $insert TRUNCATE t; $insert",
	'truncated' => 'TRUNCATE t_kept; ' . $insert =~ s/INTO t /INTO t_kept /r,
	'rebuilt' => "REINDEX INDEX xm_kept; DELETE FROM t_kept WHERE n % 2 = 0; " . $insert =~ s/INTO t /INTO t_kept /r,
	'altered' => 'ALTER TABLE t_kept ALTER code TYPE bitcode(64) USING ~ code; ' . $insert =~ s/INTO t /INTO t_kept /r,
	'made unlogged and logged' => 'ALTER TABLE t_unlogged SET UNLOGGED; ALTER TABLE t_unlogged SET LOGGED; ' . $insert =~ s/INTO t /INTO t_unlogged /r,
	'moved by a savepoint' => "CREATE TABLE t (id serial, n integer, code bitcode(64)); SAVEPOINT s; CREATE INDEX xm_t ON t USING xmhash (code); $insert ROLLBACK TO s; CREATE INDEX xm_t ON t USING xmhash (code); $insert");

sub verify
{
	my ($name) = @_;
	my ($status, $out, $err) = $node->psql('postgres', <<'SQL');
SET client_min_messages = warning;
SELECT oracle.check_indexes(oid), oracle.compare(oid, 'code', 64, 5) FROM pg_class WHERE relname IN ('t', 't_kept', 't_unlogged') AND relkind = 'r';
SQL
	is($err, '', $name);
	return;
}

for my $name (sort keys %work)
{
	for my $skip ('0', '1TB')
	{
		# Small files are logged after all at the end, large ones are synced.
		$node->safe_psql('postgres', "DROP TABLE IF EXISTS t; SET wal_skip_threshold = '$skip'; BEGIN; $work{$name} COMMIT;");
		$node->stop('immediate');
		$node->start;
		verify("$name, committed, then crashed (wal_skip_threshold $skip)");
	}
	$node->safe_psql('postgres', 'DROP TABLE IF EXISTS t');
	my $session = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', "BEGIN; $work{$name}", '-c', 'SELECT pg_sleep(600)' ],
		'<', \undef, '&>', $node->basedir . '/session.log');
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'") or die 'the session did not get there';
	$node->stop('immediate');
	$session->finish;
	$node->start;
	verify("$name, crashed before the commit");
}
$node->safe_psql('postgres', "BEGIN; CREATE TABLE t (id serial, n integer, code bitcode(64)); CREATE INDEX xm_t ON t USING xmhash (code); $insert PREPARE TRANSACTION 'p';");
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', "COMMIT PREPARED 'p'");
verify('prepared, crashed, then committed');
unlike(slurp_file($node->logfile), qr/PANIC|page verification failed|terminated by signal/, 'nothing worse was logged');
$node->stop;
done_testing();

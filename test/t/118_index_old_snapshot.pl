# Where old_snapshot_threshold lets VACUUM remove rows that an old snapshot still
# sees (up to PostgreSQL 16), a search by such a snapshot fails where the index
# has changed since; it must not answer without them.  At a threshold of 0 the
# server takes snapshots of more than 5 seconds for old.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node create_schema verify);

seeded();
my $node = new_node('old_snapshot');
$node->start;
plan skip_all => 'this server has no old_snapshot_threshold'
  if $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
create_schema($node);
$node->append_conf('postgresql.conf', 'old_snapshot_threshold = 0');
$node->restart;
$node->safe_psql('postgres', <<"SQL");
CREATE TABLE t (id integer, code bitcode(64));
CREATE TABLE still (id integer, code bitcode(64));
INSERT INTO t SELECT i, CASE WHEN i % 10 > 0 THEN random_code(64, 0) END FROM generate_series(1, 1000) i;
INSERT INTO still SELECT * FROM t;
CREATE INDEX t_code ON t USING xmhash (code);
CREATE INDEX still_code ON still USING xmhash (code);
SQL

# Each search in a subtransaction, all by one snapshot from before the changes.
my $zero = "repeat('0', 64)::bit(64)::bitcode";
my $other = "psql -X -q -d '" . $node->connstr('postgres') . "'";
my %search = (
	nearest => "FROM (SELECT 1 FROM t ORDER BY code <~> $zero LIMIT 5) nearest",
	radius => "FROM t WHERE hamming_within(code, $zero, 64)",
	unchanged => "FROM (SELECT 1 FROM still ORDER BY code <~> $zero) nearest");
my $script = join '', map { "SAVEPOINT s;\n\\echo $_\nSELECT count(*) $search{$_};\nROLLBACK TO s;\n" } sort keys %search;
my ($status, $out, $err) = $node->psql('postgres', <<"SQL", on_error_stop => 0);
SET enable_seqscan = off;
SET enable_sort = off;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT;
\\! $other -c "DELETE FROM t" -c "VACUUM t" -c "INSERT INTO t SELECT 0, random_code(64, 0)" -c "SELECT pg_sleep(6)" >/dev/null
$script
COMMIT;
SQL
like($out, qr/^nearest\nradius\nunchanged\n1000$/m, 'only the search of a table that was left alone is answered');
is(scalar(() = $err =~ /ERROR:  snapshot too old/g), 2, 'the others fail') or diag($err);
verify($node, 't', 't_code', 64, 0, 'afterwards');
$node->stop;
done_testing();

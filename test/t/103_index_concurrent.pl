# Writers, VACUUM and merges beside readers: in one snapshot, the index gives
# the rows of the sequential scan, at any moment.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node create_schema verify pgbench_script);

my $seconds = $ENV{FUZZ_SECONDS} // 10;
seeded();

my $node = new_node('concurrent');
$node->append_conf('postgresql.conf', "xmhash.pending_list_limit = 16\n");
$node->start;
create_schema($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id serial, code bitcode(128));
CREATE INDEX t_code ON t USING xmhash (code, id, ((id % 7)::text));
INSERT INTO t (code) SELECT random_code(128, 30) FROM generate_series(1, 3000);
SQL

my $writer = pgbench_script($node, 'writer', <<'SQL');
\set n random(1, 200)
\set k random(1, 40)
\set what random(1, 20)
INSERT INTO t (code) SELECT CASE WHEN random() < .05 THEN NULL ELSE random_code(128, 30) END FROM generate_series(1, :n);
BEGIN;
DELETE FROM t WHERE id % 40 = :k AND id < 5000;
SAVEPOINT s;
INSERT INTO t (code) SELECT random_code(128, 30) FROM generate_series(1, 20);
ROLLBACK TO s;
\if :what <= 10
COMMIT;
\else
ROLLBACK;
\endif
\if :what <= 3
VACUUM t;
\elif :what = 4
SELECT xmhash_index_merge('t_code');
\elif :what = 5
SELECT xmhash_index_check('t_code', true);
\endif
SQL
my $reader = pgbench_script($node, 'reader', <<'SQL');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT compare('t', 1, 128, 30);
COMMIT;
SQL

my @common = ('pgbench', '-n', '-h', $node->host, '-p', $node->port, '-T', $seconds);
my ($writes, $reads) = ('', '');
my $w = IPC::Run::start([ @common, '-c', 3, '--max-tries=1000', '-f', $writer, 'postgres' ], '<', \undef, '>&', \$writes);
my $r = IPC::Run::start([ @common, '-c', 2, '-f', $reader, 'postgres' ], '<', \undef, '>&', \$reads);
$_->finish for $w, $r;
# Deadlocks of deletions among writers, none of the index's business, are tried again.
unlike($writes, qr/ERROR|aborted/, 'no writer met an error');
unlike($reads, qr/ERROR|aborted/, 'no reader met an error');
like($reads, qr/number of transactions actually processed: [1-9]/, 'readers compared answers');
note $1 while $reads =~ /(number of transactions actually processed.*)/g;
verify($node, 't', 't_code', 128, 30, 'afterwards');
$node->safe_psql('postgres', 'VACUUM t');
verify($node, 't', 't_code', 128, 30, 'after VACUUM');
$node->stop;
done_testing();

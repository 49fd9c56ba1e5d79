# Replay makes of every kind of append the very page that the primary had, as
# core compares them (wal_consistency_checking): on a standby that is queried,
# and after a crash.  That a difference would be seen is shown by making one.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node without_checksums create_schema);

seeded();
my $node = new_node('primary', allows_streaming => 1, without_checksums());
$node->append_conf('postgresql.conf', "wal_consistency_checking = 'generic'\n");
$node->start;
create_schema($node);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

sub caught_up
{
	my ($name) = @_;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	my $query = "SET enable_seqscan = off; SELECT count(*) FROM (SELECT 1 FROM t ORDER BY code <~> repeat('01', 32)::bitcode) x; "
	  . "SELECT xmhash_index_check('t_code', true)";
	is($standby->safe_psql('postgres', $query), $node->safe_psql('postgres', $query), $name);
	return;
}

sub insert { $node->safe_psql('postgres', "INSERT INTO t (code) SELECT random_code(64, 5) FROM generate_series(1, $_[0])"); return; }

$node->safe_psql('postgres', 'CREATE TABLE t (id serial, code bitcode); CREATE INDEX t_code ON t USING xmhash (code, id, ((id % 7)::text)) WITH (pending_list_limit = 64)');
caught_up('an empty index');
$node->safe_psql('postgres', 'INSERT INTO t (code) VALUES (NULL)');
caught_up('a NULL, the first page');
$node->safe_psql('postgres', 'INSERT INTO t (code) VALUES (NULL)');
caught_up('a NULL on the same page');
insert(1);
caught_up('the first code, which seals that page');
insert(1);
caught_up('a code on the same page');
$node->safe_psql('postgres', 'INSERT INTO t (code) VALUES (NULL)');
caught_up('a NULL among codes');
insert(1100);
caught_up('pages that become full, and new ones');
$node->safe_psql('postgres', "SELECT xmhash_index_merge('t_code')");
insert(3);
caught_up('behind a flush, which seals the last page');
$node->safe_psql('postgres', 'CHECKPOINT');
insert(1);
caught_up('the first change after a checkpoint: an image of the whole page');
insert(2);
caught_up('and the next ones');
$node->safe_psql('postgres', 'ALTER SYSTEM SET full_page_writes = off');
$node->reload;
$node->safe_psql('postgres', 'CHECKPOINT');
insert(2);
caught_up('the same without full_page_writes');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET full_page_writes');
$node->reload;
$node->safe_psql('postgres', 'BEGIN; INSERT INTO t (code) SELECT random_code(64, 5) FROM generate_series(1, 5); ROLLBACK');
caught_up('rows that were rolled back');
insert(6000);
$node->safe_psql('postgres', "DELETE FROM t WHERE id % 3 = 0");
$node->safe_psql('postgres', 'VACUUM t');
insert(10);
caught_up('after flushes, merges and VACUUM');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE wide (id serial, code bitcode(16384));
CREATE INDEX wide_code ON wide USING xmhash (code, id, (id::bigint), ((id % 3)::text), (id % 2));
INSERT INTO wide (code) SELECT random_code(16384, 0) FROM generate_series(1, 9);
SQL
caught_up('codes of 16384 bits');
is($standby->safe_psql('postgres', "SELECT xmhash_index_check('wide_code', true)"), '', 'are there on the standby');

# An unlogged index writes no record.
$node->safe_psql('postgres', 'CREATE UNLOGGED TABLE u (code bitcode(64)); CREATE INDEX u_code ON u USING xmhash (code)');
my $explain = $node->safe_psql('postgres',
	"EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO u SELECT random_code(64, 5) FROM generate_series(1, 300)");
unlike($explain, qr/WAL: records/, 'an unlogged index writes no WAL');

# The page as replayed is the same after a crash: FATAL otherwise.
$node->safe_psql('postgres', 'CHECKPOINT');
insert(20);
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT xmhash_index_check('t_code', true)"), '', 'crash recovery replays it');
insert(5);
caught_up('and goes on');

# A byte of the last pending page is changed on the standby, beyond what the
# next append changes: replay must notice.  No image of the whole page mends it.
$node->safe_psql('postgres', 'ALTER SYSTEM SET full_page_writes = off');
$node->reload;
$node->safe_psql('postgres', 'CHECKPOINT');
insert(1);
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $path = $standby->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('t_code')");
$standby->safe_psql('postgres', 'CHECKPOINT');
$standby->stop;
my $bytes = slurp_file($path);
my ($last, $number) = (-1, -1);
for my $block (0 .. length($bytes) / 8192 - 1)
{
	my ($owner, $nonce, $bits, $checksum, $count, $kind) = unpack('Q< L< L< L< S< C', substr($bytes, $block * 8192 + 8192 - 24, 24));
	($last, $number) = ($block, $owner) if $kind == 3 && $count > 0 && $owner > $number;
}
isnt($last, -1, 'a pending page was found');
open my $file, '+<:raw', $path or die;
seek $file, $last * 8192 + 24, 0;
print $file chr(ord(substr($bytes, $last * 8192 + 24, 1)) ^ 1);
close $file;
my $before = -s $standby->logfile;
$standby->start(fail_ok => 1);
insert(1);
my $seen = 0;
for (1 .. 1800)
{
	$seen = slurp_file($standby->logfile, $before) =~ /FATAL:  inconsistent page found/ and last;
	select undef, undef, undef, .1;
}
ok($seen, 'a page that differs would have been seen');
$standby->stop('immediate', fail_ok => 1);
$node->stop;
done_testing();

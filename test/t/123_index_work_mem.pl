# Who merges in how much memory: inserters in work_mem, as there may be any
# number of them; autovacuum in autovacuum_work_mem; VACUUM and
# xmhash_index_merge() in maintenance_work_mem.  What does not fit is sorted in
# temporary files, which the server logs.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::Bin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(new_node);

my $node = new_node('main');
$node->append_conf('postgresql.conf', 'log_temp_files = 0');
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;
CREATE TABLE item (id integer, code bitcode(64) NOT NULL);
CREATE INDEX item_code ON item USING xmhash (code);
CREATE PROCEDURE load(batches integer) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. batches LOOP
    INSERT INTO item SELECT n, (('x' || md5((i * 10000 + n)::text))::bit(64))::bitcode FROM generate_series(1, 10000) AS n;
    COMMIT;
  END LOOP;
END
$$;
SQL

my $position = -s $node->logfile;

# Temporary files since the last look.
sub spills
{
	my $log = slurp_file($node->logfile, $position);
	$position = -s $node->logfile;
	return scalar(() = $log =~ /LOG:  temporary file: path/g);
}

sub segments { return $node->safe_psql('postgres', q{SELECT segments FROM xmhash_index_stats('item_code')}) }

# Empty, with merges of inserters (64 kB of list: each takes 4 segments or more), or with segments that only VACUUM will merge.
sub fill
{
	my ($settings, $list) = @_;
	$node->safe_psql('postgres', "TRUNCATE item; ALTER INDEX item_code SET (pending_list_limit = $list)");
	spills();
	$node->safe_psql('postgres', "SET maintenance_work_mem = '256MB'; $settings; CALL load(20)");
}

fill(q{SET work_mem = '64MB'}, 64);
is(spills(), 0, 'inserters merge within work_mem');
cmp_ok(segments(), '<', 60, 'and they do merge');
fill(q{SET maintenance_work_mem = '1MB'; SET work_mem = '64MB'}, 64);
is(spills(), 0, 'which maintenance_work_mem does not change');
fill(q{SET work_mem = '64kB'}, 64);
cmp_ok(spills(), '>', 0, 'and spill beyond work_mem');

for my $statement ('VACUUM item', q{SELECT xmhash_index_merge('item_code')})
{
	fill('', 512);
	cmp_ok(segments(), '>', 2, 'there is something to merge');
	spills();
	$node->safe_psql('postgres', "SET work_mem = '64kB'; SET maintenance_work_mem = '64MB'; $statement");
	is(spills(), 0, "$statement merges within maintenance_work_mem");
	fill('', 512);
	spills();
	$node->safe_psql('postgres', "SET work_mem = '64MB'; SET maintenance_work_mem = '1MB'; $statement");
	cmp_ok(spills(), '>', 0, 'and spills beyond it');
}

sub autovacuum
{
	my ($memory) = @_;
	$node->append_conf('postgresql.conf', "autovacuum = off\nautovacuum_work_mem = $memory\nmaintenance_work_mem = 64MB\nautovacuum_naptime = 1");
	$node->reload;
	fill('', 512);
	spills();
	my $count = $node->safe_psql('postgres', q{SELECT coalesce(sum(autovacuum_count), 0) FROM pg_stat_user_tables WHERE relname = 'item'});
	$node->append_conf('postgresql.conf', 'autovacuum = on');
	$node->reload;
	$node->poll_query_until('postgres', qq{SELECT autovacuum_count > $count FROM pg_stat_user_tables WHERE relname = 'item'}) or die 'no autovacuum';
	$node->append_conf('postgresql.conf', 'autovacuum = off');
	$node->reload;
	cmp_ok(segments(), '<', 3, 'autovacuum has merged');
	return spills();
}

cmp_ok(autovacuum('1MB'), '>', 0, 'beyond autovacuum_work_mem autovacuum spills');
is(autovacuum('-1'), 0, 'without that setting it takes maintenance_work_mem');

$node->stop;
done_testing();

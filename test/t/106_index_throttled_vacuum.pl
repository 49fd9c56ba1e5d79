# A VACUUM that takes for ever keeps merges away, but not insertions: segments
# come up to their limit, then the pending list grows past its own; afterwards
# all is merged.  A VACUUM that is cancelled midway leaves a sound index.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(seeded new_node create_schema verify);

seeded();
my $node = new_node('throttled');
$node->start;
create_schema($node);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (id serial, code bitcode(1024));
INSERT INTO t (code) SELECT random_code(1024, 30) FROM generate_series(1, 3000);
-- Its band runs make the index longer, and VACUUM's walk, than the table would.
CREATE INDEX t_code ON t USING xmhash (code) WITH (pending_list_limit = 8, bands = 3);
DELETE FROM t WHERE id % 3 = 0;
SQL

my $vacuum = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', 'SET vacuum_cost_delay = 100',
	  '-c', 'SET vacuum_cost_limit = 1', '-c', 'SET vacuum_cost_page_hit = 100', '-c', 'VACUUM t' ],
	'&>', $node->basedir . '/vacuum.log');
# It holds the lock of merges once it walks over the index.
$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'page' AND granted")
  or BAIL_OUT('VACUUM did not begin');

# 300 lists of one page of 59 rows.
$node->safe_psql('postgres', <<'SQL');
CREATE TEMP TABLE codes AS SELECT random_code(1024, 30) AS code FROM generate_series(1, 1000);
INSERT INTO t (code) SELECT code FROM codes, generate_series(1, 18);
SQL
is($node->safe_psql('postgres', "SELECT segments FROM xmhash_index_stats('t_code')"), '256', 'as many segments as there can be');
is($node->safe_psql('postgres', "SELECT pending_pages > 20 FROM xmhash_index_stats('t_code')"), 't', 'and a longer pending list');
is($node->safe_psql('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE query = 'VACUUM t'"), 't', 'VACUUM still runs');
$node->safe_psql('postgres', 'SELECT compare(\'t\', 5, 1024, 30)');

$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'VACUUM t'");
$vacuum->finish;
verify($node, 't', 't_code', 1024, 30, 'after a cancelled VACUUM');
$node->safe_psql('postgres', 'INSERT INTO t (code) SELECT random_code(1024, 30) FROM generate_series(1, 2000)');
verify($node, 't', 't_code', 1024, 30, 'after further insertions');
is($node->safe_psql('postgres', "SELECT segments < 200 FROM xmhash_index_stats('t_code')"), 't', 'an insertion merged');
$node->safe_psql('postgres', 'VACUUM t');
verify($node, 't', 't_code', 1024, 30, 'after VACUUM');
is($node->safe_psql('postgres', "SELECT rows = (SELECT count(*) FROM t), segments < 5 FROM xmhash_index_stats('t_code')"), 't|t', 'all is merged, nothing dead is left');
$node->stop;
done_testing();

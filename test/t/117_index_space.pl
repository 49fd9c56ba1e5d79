# The file stays small: what a bulk load's flushes and merges free is used again
# as soon as its transaction has ended, by the VACUUM right behind it.
use strict;
use warnings;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('space');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION xmhash;
CREATE TABLE t (id int, code bitcode(64));
CREATE INDEX t_code ON t USING xmhash (code);
SQL

sub bytes_a_row { return $node->safe_psql('postgres', "SELECT bytes::float8 / rows FROM xmhash_index_stats('t_code')"); }

my $insert = "INSERT INTO t SELECT i, decode(substr(md5(i::text), 1, 16), 'hex')::bitcode FROM generate_series(%d, %d) AS i";
my %step = (
	'a bulk load' => [ sprintf($insert, 1, 300000) ],
	'VACUUM after it' => ['VACUUM t'],
	'a tenth deleted, and VACUUM' => [ 'DELETE FROM t WHERE id % 10 = 0', 'VACUUM t' ],
	'another load, and VACUUM' => [ sprintf($insert, 300001, 400000), 'VACUUM t' ]);
foreach my $name ('a bulk load', 'VACUUM after it', 'a tenth deleted, and VACUUM', 'another load, and VACUUM')
{
	$node->safe_psql('postgres', $_) foreach @{ $step{$name} };
	cmp_ok(bytes_a_row(), '<=', 36, "$name: at most 36 bytes a row");
	is($node->safe_psql('postgres', "SELECT xmhash_index_check('t_code', true)"), '', "$name: the index is sound");
}
$node->stop;
done_testing();

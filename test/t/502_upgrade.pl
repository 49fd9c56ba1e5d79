# From an older major release to this one: pg_upgrade, and a dump by this
# release's pg_dump.  The index answers as before and is sound, codes and models
# are the same, and both go on being used.
#
# OLD_PG_CONFIG names the older release's pg_config; the extension is installed
# in both (test/versions.sh does that, in a throw-away installation).
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'OLD_PG_CONFIG names no older release' unless $ENV{OLD_PG_CONFIG};

chomp(my $old_bin = `$ENV{OLD_PG_CONFIG} --bindir`);
chomp(my $new_bin = `$ENV{PG_CONFIG} --bindir`);
my $oracle = slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql");

# Installed for real: pg_upgrade looks for the library where the catalogs say.
my $settings = PostgreSQL::Test::Utils::tempdir() . '/settings';
append_to_file($settings, "fsync = off\nautovacuum = off\nxmhash.progress = off\n");
$ENV{TEMP_CONFIG} = $settings;

# The newest release's initdb turns on checksums of pages: both have them.
sub new_node
{
	my ($name, @of) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, @of);
	$node->init(extra => [ '--locale=C', '--encoding=UTF8', '--data-checksums' ]);
	return $node;
}

my $old = new_node('old', install_path => dirname($old_bin));
$old->start;
my ($from, $to) = map { (split / /, `$_/postgres --version`)[2] } $old_bin, $new_bin;
note "from $from to $to";
cmp_ok($from, '<', $to, 'the older one is older');

my $path = 'SET client_min_messages = warning; SET search_path = data, hidden, oracle;';
$old->safe_psql('postgres', <<'SQL');
CREATE SCHEMA hidden;
CREATE EXTENSION xmhash SCHEMA hidden;
CREATE EXTENSION amcheck SCHEMA hidden;
SQL
$old->safe_psql('postgres', "SET search_path = hidden; $oracle");
# Segments, a pending list, dead rows, NULLs, band runs, an expression, codes in
# other kinds of index, which depend on their order and their hash.
$old->safe_psql('postgres', <<"SQL");
CREATE SCHEMA data;
$path
SELECT setseed(.5);
CREATE TABLE t (id bigint PRIMARY KEY, n integer, code bitcode(64));
INSERT INTO t SELECT i, i % 100, CASE WHEN i % 30 > 0 THEN oracle.draw('clustered', 64) END FROM generate_series(1, 20000) AS i;
CREATE INDEX xm_t ON t USING xmhash (code) WITH (pending_list_limit = 64);
CREATE INDEX xm_inverse ON t USING xmhash ((~ code)) WHERE n % 2 = 0;
CREATE INDEX xm_bands ON t USING xmhash (code, n, ((n % 5)::text), (id + 1)) WITH (bands = 4);
INSERT INTO t SELECT i, i % 100, oracle.draw('clustered', 64) FROM generate_series(20001, 24000) AS i;
DELETE FROM t WHERE n = 7;
VACUUM t;
INSERT INTO t SELECT i, i % 100, oracle.draw('near', 64) FROM generate_series(30001, 30100) AS i;
DELETE FROM t WHERE n = 8;
CREATE TABLE other AS SELECT id, code FROM t WHERE id < 5000 AND code IS NOT NULL;
CREATE INDEX other_order ON other (code);
CREATE INDEX other_hash ON other USING hash (code);
CREATE TABLE part (id bigint, n integer, code bitcode(100)) PARTITION BY HASH (code);
CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX xm_part ON part USING xmhash (code);
INSERT INTO part SELECT i, i % 100, oracle.draw('clustered', 100) FROM generate_series(1, 3000) AS i;
CREATE UNLOGGED TABLE unlogged (id bigint PRIMARY KEY, n integer, code bitcode(64));
CREATE INDEX xm_unlogged ON unlogged USING xmhash (code);
INSERT INTO unlogged SELECT * FROM t WHERE id < 1000;
CREATE TABLE ball (b hamming_ball);
INSERT INTO ball SELECT hamming_ball(code, n) FROM t WHERE id < 100 AND code IS NOT NULL;
CREATE TABLE question AS SELECT i, oracle.question('t', 'code', 64) AS q FROM generate_series(1, 20) AS i;

CREATE TABLE pairs AS
  SELECT id, 'c' || id % 4 AS label,
         ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 20) AS n) AS image,
         ARRAY(SELECT ((id + n) % 5 = 0)::integer::real FROM generate_series(1, 30) AS n) AS words,
         NULL::bitcode AS image_code, NULL::bitcode AS words_code
  FROM generate_series(1, 300) AS id;
CALL xmhash_train('plain', 'pairs', 'image', 'words', 24, options => '{"epochs": 3, "text_hidden": 12, "scale": "standard"}');
CALL xmhash_train('labelled', 'pairs', 'image', 'words', 16, 'dmsh_ln', 'label', options => '{"epochs": 2}');
CALL xmhash_encode_table('plain', 'pairs', 'image', 'image_code', 'words', 'words_code');
CREATE INDEX pairs_code ON pairs USING xmhash (image_code);
CREATE TRIGGER image_code BEFORE INSERT OR UPDATE OF image ON pairs
  FOR EACH ROW EXECUTE FUNCTION xmhash_encode_trigger('plain', 'image', 'image', 'image_code');
SQL

# What must not change: rows, codes that the models give, distances of answers.
my $codes = <<"SQL";
$path
SELECT md5(string_agg(x::text, ' ' ORDER BY x::text)) FROM (SELECT * FROM t UNION ALL SELECT id, n, substring(code, 1, 64) FROM part) AS x;
SELECT md5(string_agg(b::text, ' ' ORDER BY b::text)) FROM ball;
SELECT md5(string_agg(concat_ws(' ', id, image_code, words_code), ',' ORDER BY id)) FROM pairs;
SQL
my $encoded = <<"SQL";
$path
SELECT md5(string_agg(concat_ws(' ', xmhash_encode_image('plain', image), xmhash_encode_text('plain', words),
  xmhash_encode_image('labelled', image), xmhash_encode_text('labelled', words)), ',' ORDER BY id)) FROM pairs;
SQL
my $nearest = 'SELECT string_agg(d::text, \' \' ORDER BY i, d) FROM question CROSS JOIN LATERAL (SELECT code <~> q AS d FROM t ORDER BY code <~> q LIMIT 50) AS a';
my $by_index = "$path SET enable_seqscan = off; SET enable_sort = off;";
my $by_scan = "$path SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off;";
my %before = map { $_ => $old->safe_psql('postgres', $_) } $codes, $encoded, "$by_scan $nearest";
is($old->safe_psql('postgres', $encoded), $before{$encoded}, 'encoding is repeatable');

sub as_before
{
	my ($there, $database, $name, $unlogged) = @_;
	is($there->safe_psql($database, $_), $before{$_}, "$name: " . ($_ eq $codes ? 'rows and codes' : 'encoding') . ' as before') for $codes, $encoded;
	like($there->safe_psql($database, "$by_index EXPLAIN (COSTS OFF) $nearest"), qr/Index Scan using xm_(t|bands)/, "$name: the index is used");
	is($there->safe_psql($database, "$_ $nearest"), $before{"$by_scan $nearest"}, "$name: nearest by " . ($_ eq $by_scan ? 'scan' : 'index') . ' as before')
	  for $by_index, $by_scan;
	my (undef, undef, $err) = $there->psql($database, <<"SQL");
$path
SELECT xmhash_index_check(indexrelid::regclass, true) FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
  WHERE amname = 'xmhash' AND relkind = 'i';
SELECT oracle.compare('t', 'code', 64, 10), oracle.compare('t', '(~ code)', 64, 5, 'n % 2 = 0'), oracle.compare('part', 'code', 100, 5),
  oracle.compare('unlogged', 'code', 64, 3);
SQL
	is($err, '', "$name: sound and exact");
	is($there->safe_psql($database, "$path SELECT hidden.bt_index_check('other_order', true) IS NOT NULL"), 't', "$name: a btree's order is as it was");
	is($there->safe_psql($database, "$path BEGIN; DROP INDEX other_order; SET enable_seqscan = off;
		SELECT bool_and((SELECT count(*) FROM other AS s WHERE s.code = c.code) > 0) FROM (SELECT code FROM other ORDER BY id LIMIT 1000) AS c; ROLLBACK"),
		't', "$name: a hash index finds what it found");
	return;
}

sub goes_on
{
	my ($there, $database, $name) = @_;
	my (undef, undef, $err) = $there->psql($database, <<"SQL");
$path
INSERT INTO t SELECT i, i % 100, oracle.draw('near', 64) FROM generate_series(100001, 106000) AS i;
DELETE FROM t WHERE n % 3 = 0;
VACUUM t;
SELECT xmhash_index_merge('xm_t');
SELECT xmhash_index_check('xm_t', true), xmhash_index_check('xm_bands', true), oracle.compare('t', 'code', 64, 10);
REINDEX TABLE t;
SELECT xmhash_index_check('xm_t', true), oracle.compare('t', 'code', 64, 5);
INSERT INTO part SELECT i, i % 100, oracle.draw('clustered', 100) FROM generate_series(5001, 6000) AS i;
SELECT oracle.compare('part', 'code', 100, 5);
SQL
	is($err, '', "$name: the index goes on being written to");
	is($there->safe_psql($database, "$path INSERT INTO pairs SELECT 1000, label, image, words FROM pairs WHERE id = 5;
		SELECT a.image_code = b.image_code FROM pairs a, pairs b WHERE a.id = 5 AND b.id = 1000"), 't', "$name: the trigger encodes");
	(undef, undef, $err) = $there->psql($database, "$path
		CALL xmhash_train('another', 'pairs', 'image', 'words', 16, options => '{\"epochs\": 1}'); SELECT xmhash_encode_text('another', words) FROM pairs LIMIT 1");
	is($err, '', "$name: training goes on");
	return;
}

# ----------------------------------------------------------------------- dump
my $new = new_node('restored');
$new->start;

# Minor releases since November 2026 mark each column in attoptions, and their
# pg_dump leaves the mark out; one from before puts it into the dump, which then
# can't be restored, whatever is in it.  Where the newer release is such a one,
# the older one's marks are taken away, as if it were from before as well.
my $marked = q{SELECT count(*) > 0 FROM pg_attribute WHERE array_to_string(attoptions, ' ') LIKE '%pg_attver=%'};
if ($old->safe_psql('postgres', $marked) eq 't' && $new->safe_psql('postgres', $marked) eq 'f')
{
	note "$to is from before the marks of $from";
	$old->safe_psql($_, q{SET allow_system_table_mods = on; UPDATE pg_attribute
		SET attoptions = (SELECT array_agg(o) FROM unnest(attoptions) AS o WHERE o NOT LIKE 'pg_attver=%') WHERE array_to_string(attoptions, ' ') LIKE '%pg_attver=%'})
	  for qw(postgres template1);
}
my $dump = $new->basedir . '/dump';
for my $format ('plain', 'custom')
{
	$new->safe_psql('postgres', "CREATE DATABASE $format");
	command_ok([ "$new_bin/pg_dump", "--format=$format", '-f', $dump, $old->connstr('postgres') ], "dump of $from, $format");
	command_ok($format eq 'plain' ?
		  [ "$new_bin/psql", '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $new->connstr($format) ] :
		  [ "$new_bin/pg_restore", '--exit-on-error', '-j', '2', '-d', $new->connstr($format), $dump ],
		"restored into $to, $format");
	as_before($new, $format, "$format dump");
}
goes_on($new, 'plain', 'plain dump');
$new->stop;

# ----------------------------------------------------------------- pg_upgrade
$old->stop;
my $upgraded = new_node('upgraded');
chdir $upgraded->basedir or die $!;
command_ok(
	[ "$new_bin/pg_upgrade", '-d', $old->data_dir, '-D', $upgraded->data_dir, '-b', $old_bin, '-B', $new_bin,
		'-s', $upgraded->host, '-p', $old->port, '-P', $upgraded->port ],
	"pg_upgrade from $from to $to");
$upgraded->start;
as_before($upgraded, 'postgres', 'pg_upgrade');
goes_on($upgraded, 'postgres', 'pg_upgrade');
$upgraded->stop('immediate');
$upgraded->start;
is($upgraded->safe_psql('postgres', "$path SELECT xmhash_index_check('xm_t', true) IS NOT NULL"), 't', 'sound after a crash');
$upgraded->stop;
done_testing();

# Whatever is done to a table, in whatever order, its xmhash index answers like
# the sequential scan and passes its check.
#
# Each round makes a table of a random form and takes it through random steps,
# each followed by xmhash_index_check(…, true) and random comparisons.  A round
# is one SQL script, repeatable by its seed: SEED=… FUZZ_ROUNDS=1.  Runs for
# FUZZ_SECONDS, by default a bounded time; `make fuzz SECONDS=…` runs longer.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use List::Util qw(shuffle);
use Test::More;
use XmhashIndex qw(new_node);

my $seconds = $ENV{FUZZ_SECONDS} || 30;
my $most_rounds = $ENV{FUZZ_ROUNDS} || 0;
my $seed = $ENV{SEED} // (time() ^ ($$ << 15)) % 1_000_000_000;

sub pick { return $_[ int rand @_ ]; }
sub chance { return rand() < $_[0]; }

# ------------------------------------------------------------- one round

my %round;

sub draw
{
	my $kind = chance(.8) ? $round{kind} : pick(qw(uniform clustered one few near shell opposite tail));
	my $draw = "oracle.draw('$kind', $round{bits})";
	return $round{nulls} > 0 ? "CASE WHEN random() < $round{nulls} THEN NULL ELSE $draw END" : $draw;
}

# None, or up to four: narrow and wide keys, hashes, expressions, in any order.
sub filter_columns
{
	return '' if chance(.4);
	my @columns = shuffle('n', '(id + 1)', '((n % 5)::text)', '(n % 7)', '(n::bigint * 5000000000)', '(n::float8)');
	return join '', map { ", $_" } @columns[ 0 .. int rand 4 ];
}

sub size { return 1 + int($round{rows} * pick(0, 0, .01, .1, .3, 1)); }

sub insert
{
	my ($rows) = @_;
	return sprintf 'INSERT INTO t (n, code) SELECT nullif(i %% 1000, 13), %s FROM generate_series(1, %d) AS i;', draw(), $rows;
}

sub insert_one_by_one
{
	return sprintf 'DO $$ BEGIN FOR i IN 1 .. %d LOOP INSERT INTO t (n, code) VALUES (i, %s); END LOOP; END $$;',
	  1 + int(size() / 3), draw();
}

sub some_rows { return sprintf 'n %% %d = %d', pick(1, 2, 3, 10, 100), int rand 3; }

my %changes = (
	insert => sub { insert(size()) },
	insert_one_by_one => \&insert_one_by_one,
	update_code => sub { 'UPDATE t SET code = ' . draw() . ' WHERE ' . some_rows() . ';' },
	update_to_null => sub { 'UPDATE t SET code = NULL WHERE n % 20 = ' . int(rand 20) . ';' },
	update_other => sub { 'UPDATE t SET n = n + 1 WHERE ' . some_rows() . ';' },
	delete => sub { 'DELETE FROM t WHERE ' . some_rows() . ';' },
	delete_most_frequent => sub { 'DELETE FROM t WHERE code = (SELECT code FROM t GROUP BY code ORDER BY count(*) DESC LIMIT 1);' },
	upsert => sub { 'INSERT INTO t (id, n, code) SELECT id, n, ' . draw() . ' FROM t WHERE n % 5 = 1 ON CONFLICT (id) DO UPDATE SET code = EXCLUDED.code;' },
	merge => sub { $round{partitioned} ? 'SELECT count(xmhash_index_merge(indexrelid)) FROM pg_index WHERE indrelid IN (SELECT relid FROM pg_partition_tree(\'t\') WHERE isleaf) AND NOT indisunique;'
		  : "SELECT xmhash_index_merge('xm_t');" },
);

sub change { return $changes{ pick(sort keys %changes) }->(); }

sub compare
{
	my ($times) = @_;
	my $compare = "SELECT oracle.compare('t', '$round{expr}', $round{bits}, $times, '$round{condition}');";
	return $compare if !$round{banded};
	my $radius = int rand 8;
	return ($compare, "SELECT count(oracle.matching('t', '$round{condition} AND hamming_within($round{expr}, \$1, \$2)', "
		  . "oracle.flip(($round{expr}), $radius), $radius)) FROM (SELECT * FROM t WHERE code IS NOT NULL AND id % 17 = @{[ int rand 17 ]} LIMIT 8) AS x;");
}

sub check { return "SELECT oracle.check_indexes('t');"; }

# A transaction with savepoints, rolled back in parts or as a whole, and what
# it sees of itself meanwhile.
sub transaction
{
	return ('BEGIN' . pick('', ' ISOLATION LEVEL REPEATABLE READ') . ';', change(), compare(1), 'SAVEPOINT a;', change(),
		change(), compare(1), pick('ROLLBACK TO a;', 'RELEASE a;'), compare(1), 'SAVEPOINT b;', change(), 'ROLLBACK TO b;',
		pick('COMMIT;', 'ROLLBACK;'));
}

sub disturbed_cursor
{
	my @changes = map { my $change = change(); $change =~ s/'/''/g; "'$change'" } 1 .. 3;
	return sprintf "SELECT oracle.undisturbed('t', '%s', oracle.question('t', '%s', %d), %d, '%s', ARRAY[%s]);",
	  $round{expr}, $round{expr}, $round{bits}, int(rand(30)), $round{condition}, join(', ', @changes);
}

sub second_index
{
	my $how = $round{partitioned} || $round{temporary} ? '' : pick('', 'CONCURRENTLY');
	my $bands = int rand 5;
	return ("CREATE INDEX $how xm_second ON t USING xmhash (($round{expr})@{[ filter_columns() ]}) WITH (bands = $bands) WHERE $round{condition};",
		'DROP INDEX xm_t;', 'ALTER INDEX xm_second RENAME TO xm_t;');
}

sub truncate_in_transaction
{
	return ('BEGIN;', 'TRUNCATE t;', insert(size()), compare(1), pick('COMMIT;', 'ROLLBACK;'));
}

my %steps = (
	vacuum => [ 6, sub { 'VACUUM ' . pick('', '(FREEZE) ', '(INDEX_CLEANUP ON) ', '(INDEX_CLEANUP OFF) ', $round{temporary} ? '' : '(PARALLEL 2) ', '(ANALYZE) ') . 't;' } ],
	vacuum_full => [ 1, sub { 'VACUUM FULL t;' } ],
	change => [ 20, \&change ],
	transaction => [ 4, \&transaction ],
	disturbed_cursor => [ 4, \&disturbed_cursor ],
	analyze => [ 1, sub { 'ANALYZE t;' } ],
	reindex => [ 2, sub { $round{partitioned} ? 'REINDEX TABLE t;' : 'REINDEX INDEX ' . pick('', 'CONCURRENTLY ') . 'xm_t;' } ],
	second_index => [ 1, \&second_index ],
	truncate => [ 1, \&truncate_in_transaction ],
	delete_all => [ 1, sub { ('DELETE FROM t;', pick('VACUUM t;', insert(size()))) } ],
	alter_type => [ 1, sub { "ALTER TABLE t ALTER code TYPE bitcode($round{bits}) USING ~ code;" } ],
	persistence => [ 1, sub { $round{temporary} || $round{partitioned} ? 'ANALYZE t;' : pick('ALTER TABLE t SET UNLOGGED;', 'ALTER TABLE t SET LOGGED;') } ],
	bands => [ 1, sub { $round{partitioned} ? 'ANALYZE t;' : ('ALTER INDEX xm_t SET (bands = ' . int(rand 5) . ');', change(), 'VACUUM t;', 'REINDEX INDEX xm_t;') } ],
	limit => [ 1, sub { $round{partitioned} ? 'ANALYZE t;' : 'ALTER INDEX xm_t SET (pending_list_limit = ' . pick(8, 16, 64, 512) . ');' } ],
);
my @wheel = map { my $name = $_; ($name) x $steps{$name}[0] } sort keys %steps;

sub create_table
{
	my @sql = ('DROP TABLE IF EXISTS t;');
	my $columns = sprintf '(id bigserial, n integer, code bitcode%s', chance(.8) ? "($round{bits})" : '';
	if ($round{partitioned})
	{
		push @sql, "CREATE TABLE t $columns, UNIQUE (id)) PARTITION BY HASH (id);",
		  map { "CREATE TABLE part_$_ PARTITION OF t FOR VALUES WITH (MODULUS 3, REMAINDER $_);" } 0 .. 2;
	}
	else
	{
		push @sql, sprintf 'CREATE %s TABLE t %s, UNIQUE (id));', $round{temporary} ? 'TEMPORARY' : pick('', '', 'UNLOGGED'), $columns;
	}
	return @sql;
}

sub script
{
	my ($of) = @_;
	srand($of);
	%round = (
		bits => pick(1, 5, 8, 31, 64, 64, 64, 65, 100, 128, 256, 1000, 16384),
		kind => pick(qw(uniform clustered clustered one few near shell opposite tail)),
		nulls => pick(0, .02, .3, .95),
		temporary => chance(.15),
		partitioned => chance(.15),
		columns => filter_columns(),
		expr => chance(.15) ? '(~ code)' : 'code',
		condition => chance(.2) ? '(n % 3 <> 1)' : 'true');
	$round{partitioned} = 0 if $round{temporary};
	# Up to 40000 rows of 64 bits: from 8 pages on a segment has centres.
	$round{rows} = int(pick(0, 3, 300, 3000, 15000, 40000) * ($round{bits} > 4000 ? .01 : $round{bits} > 500 ? .1 : 1));
	# Bands serve where there are many pages, no clusters, and a small radius.
	my $banded = $round{banded} = chance(.2);
	@round{qw(bits kind nulls rows)} = (pick(48, 64, 64, 100), 'uniform', .02, 20000 + int rand 20000) if $banded;
	my $bands = $banded || chance(.3) ? 'WITH (bands = ' . pick(1, 2, 3, 4, 5, 8, 16) . ')' : '';
	my $index = "CREATE INDEX xm_t ON t USING xmhash (($round{expr})$round{columns}) $bands WHERE $round{condition};";
	my @sql = (
		'SET client_min_messages = warning;',
		"SELECT setseed(" . ($of % 1000) / 1000 . ");",
		"SET work_mem = '" . pick('64kB', '256kB', '4MB') . "';",
		"SET maintenance_work_mem = '" . pick('1MB', '2MB', '64MB') . "';",
		'SET xmhash.pending_list_limit = ' . pick(8, 8, 16, 64, 512) . ';',
		'SET min_parallel_table_scan_size = 0;',
		'SET min_parallel_index_scan_size = 0;',
		'SET max_parallel_maintenance_workers = ' . pick(0, 2) . ';',
		create_table());
	push @sql, chance(.3) ? ($index, insert($round{rows})) : (insert($round{rows}), $index);
	push @sql, check(), compare(4);
	for my $step (1 .. 6 + int rand 10)
	{
		push @sql, '-- step ' . $step, $steps{ pick(@wheel) }[1]->(), check(), compare(3);
	}
	return join "\n", @sql, 'DROP TABLE t;', '';
}

# ---------------------------------------------------------------- rounds

my $node = new_node('fuzz');
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_error_statement = panic\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
$node->safe_psql('postgres', slurp_file("$FindBin::RealBin/../fuzz/index_oracle.sql"));

note "SEED=$seed";
my $end = time() + $seconds;
my $rounds = 0;
my $ok = 1;
while ($ok && time() < $end && (!$most_rounds || $rounds < $most_rounds))
{
	my $this = $seed + $rounds++;
	my $script = script($this);
	my ($status, $out, $err) = $node->psql('postgres', $script, timeout => 300);
	$ok = $status == 0 && $err eq '';
	next if $ok;
	my ($line) = $err =~ /<stdin>:(\d+):/;
	my @lines = split /\n/, $script;
	diag "failed with SEED=$this FUZZ_ROUNDS=1: $err";
	diag "the script until there:\n" . join "\n", @lines[ 0 .. ($line // @lines) - 1 ];
}
ok($ok, "$rounds rounds of random changes and comparisons from SEED=$seed");
ok($rounds > 0, 'there was at least one round');
$node->stop;
done_testing();

# Where the system refuses threads or memory, trainings go on with what there
# is, with one warning, or end with an error; they never hang, and
# statement_timeout acts on them.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'the tool prlimit is not installed' if system('prlimit --version >/dev/null 2>&1') != 0;
plan skip_all => 'no /proc' unless -r '/proc/self/status';

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.progress = off\nxmhash.max_threads = 4\njit = off\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT (hashint4(id * 2000 + n) / 2147483648.0)::real FROM generate_series(1, 1500) AS n) AS image,
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 100) AS n) AS words
  FROM generate_series(1, 128) AS id;
CREATE FUNCTION tasks() RETURNS text LANGUAGE sql AS $$ SELECT 'tasks ' || count(*) FROM pg_ls_dir('/proc/self/task') $$;
});

# A training of its own name; its products of 2 * 64 * 1500 * 512 operations and more are shared among the threads.
my $number = 0;
sub train
{
	my ($epochs, $hidden) = @_;
	$number++;
	return sprintf(q{CALL xmhash_train('m%d', 'pair', 'image', 'words', 16, options => '{"epochs": %d, "batch_size": 64, "image_hidden": %d}');},
		$number, $epochs // 1, $hidden // 512) . "\n";
}

# Statements that limit the session's own process: COPY's program is its child.
sub limit { return "COPY (SELECT pg_backend_pid()) TO PROGRAM 'read pid; $_[0]';\n" }
my $no_threads = limit('prlimit --pid $pid --nproc=1:');	# all of the user's processes count
my $all_memory = limit('prlimit --pid $pid --as=unlimited:');
sub limit_memory
{
	my ($megabytes) = @_;
	my $size = q{$(sed -nE "s/^VmSize:[^0-9]*([0-9]+).*/\1/p" /proc/$pid/status)};
	return limit("prlimit --pid \$pid --as=\$(($size * 1024 + $megabytes * 1048576)):");
}

# What psql says, errors as their SQLSTATE.  A backend that hangs is killed, since nothing else would end it.
sub session
{
	my ($sql) = @_;
	my ($out, $err, $timed_out) = ('', '', 0);
	$node->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT 'pid ' || pg_backend_pid();\n$sql",
		stdout => \$out, stderr => \$err, timeout => $PostgreSQL::Test::Utils::timeout_default, timed_out => \$timed_out, on_error_stop => 0);
	if ($timed_out)
	{
		kill 'KILL', $1 if $out =~ /^pid (\d+)$/m;
		die "a backend hung in: $sql";
	}
	note $out, $err;
	return ($out, $err);
}

sub warnings_in { return scalar(() = $_[0] =~ /WARNING:/g) }
sub weights { return $node->safe_psql('postgres', "SELECT md5(xmhash_export_model('m$number'))") }
sub status { return $node->safe_psql('postgres', "SELECT status FROM xmhash_models WHERE model = 'm$number'::regclass") }

# Nothing refused: or what follows would show nothing.
my ($out, $err) = session("SET xmhash.threads = 2;\n" . train() . 'SELECT tasks();');
is(warnings_in($err), 0, 'two threads can be had');
like($out, qr/^tasks 2$/m, 'and are there');
session("SET xmhash.threads = 1;\n" . train());
my $alone = weights();

# No thread at all.
($out, $err) = session($no_threads . "SET xmhash.threads = 4;\n" . train() . 'SELECT tasks();');
is(warnings_in($err), 1, 'threads refused: one warning');
like($err, qr/WARNING:  53000/, 'with its SQLSTATE');
like($out, qr/^tasks 1$/m, 'and one thread');
is(weights(), $alone, 'the weights are those of one thread');
($out, $err) = session($no_threads . "SET xmhash.threads = 3;\n" . train() . train());
is(warnings_in($err), 2, 'one warning a statement');

# Some of them.  Others' processes come and go, so how many is not certain.
my $present = () = `ps -L -u \$(id -u) -o lwp= 2>/dev/null` =~ /\n/g;
SKIP:
{
	skip 'no ps that shows threads', 2 if $present == 0;
	my $few = $present + 3;
	($out, $err) = session(limit("prlimit --pid \$pid --nproc=$few:") . "SET xmhash.threads = 4;\n" . train() . 'SELECT tasks();');
	like($out, qr/^tasks [1-4]$/m, 'as many as can be had');
	is(status(), 'trained', 'which train');
}

# A long training in either case.
for my $limit ($no_threads, '')
{
	($out, $err) = session($limit . "SET xmhash.threads = 4; SET statement_timeout = '3s';\n" . train(1_000_000, 4096));
	like($err, qr/ERROR:  57014/, 'statement_timeout acts, threads ' . ($limit ? 'refused' : 'given'));
}

# No memory for the library.
($out, $err) = session(limit_memory(100) . "SET xmhash.threads = 2;\n" . train() . "SELECT 'alive';\n" . $all_memory . train() . 'SELECT tasks();');
like($err, qr/ERROR:  53200/, 'no memory for the library');
like($out, qr/^alive$/m, 'the session lives on');
like($out, qr/^tasks 2$/m, 'and trains once there is memory');

# Memory for the library, not for what it wants for another thread.
($out, $err) = session("SET xmhash.threads = 1;\n" . train() . limit_memory(200) . "SET xmhash.threads = 2;\n" . train() . 'SELECT tasks();');
is(warnings_in($err), 1, 'no memory for a thread: one warning');
unlike($err, qr/ERROR/, 'no error');
like($out, qr/^tasks 1$/m, 'and one thread');
is(weights(), $alone, 'the same weights');

# Memory for the library, not for the networks.
($out, $err) = session("SET xmhash.threads = 1;\n" . train() . limit_memory(100) . train(1, 65536) . "SELECT 'alive';");
like($err, qr/ERROR:  53200/, 'no memory for the networks');
like($out, qr/^alive$/m, 'the session lives on');

# More threads than the library was built for.
($out, $err) = session("SET xmhash.max_threads = 1024; SET xmhash.threads = 1024;\n" . train() . 'SELECT tasks();');
my ($tasks) = $out =~ /^tasks (\d+)$/m;
cmp_ok($tasks, '<', 1024, "no more threads than the library can serve: $tasks");
is(status(), 'trained', 'which train');

# Nobody said how many: what the settings and the machine allow.
($out, $err) = session("SET max_parallel_maintenance_workers = 0;\n" . train() . 'SELECT tasks();');
like($out, qr/^tasks 1$/m, 'automatic, no parallel workers: one thread');
($out, $err) = session("SET max_parallel_maintenance_workers = 1;\n" . train() . 'SELECT tasks();');
like($out, qr/^tasks [12]$/m, 'automatic, one parallel worker: two threads, where there are two processors');
my $processors = `nproc 2>/dev/null`;
SKIP:
{
	skip 'no nproc', 1 if $processors !~ /^\d+$/;
	($out, $err) = session("SET xmhash.max_threads = 0; SET xmhash.threads = 1024;\n" . train() . 'SELECT tasks();');
	($tasks) = $out =~ /^tasks (\d+)$/m;
	cmp_ok($tasks, '<=', $processors, 'without a bound set, not more than the processors');
}

# A library that is none of ours; and roles that try to name one when they connect.
($out, $err) = session("SET xmhash.blas_library = 'libm.so.6';\n" . train() . "SELECT 'alive';");
like($err, qr/ERROR:  58P01/, 'another library');
like($out, qr/^alive$/m, 'the session lives on');
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN');
my $shows = q{SELECT length('x0F'::bitcode); SHOW xmhash.blas_library; SHOW xmhash.max_threads};
{
	local $ENV{PGOPTIONS} = '-c xmhash.blas_library=/nowhere/evil.so -c xmhash.max_threads=1024';
	$node->psql('postgres', $shows, stdout => \$out, stderr => \$err, extra_params => ['-U', 'plain']);
	is($out, "8\n\n0", 'a role can name no library, nor have more threads than by default, by connecting so');
}

# It has put the default in the place of the file's 4, unless the server knows the settings from its start.
# (Debian's extension_destdir, by which the tests' servers find the module, is for names with a path.)
my $module = $node->safe_psql('postgres', q{SELECT CASE WHEN current_setting('extension_destdir', true) <> '' THEN '$libdir/xmhash' ELSE 'xmhash' END});
$node->append_conf('postgresql.conf', "shared_preload_libraries = '$module'");
$node->restart;
{
	local $ENV{PGOPTIONS} = '-c xmhash.blas_library=/nowhere/evil.so';
	isnt($node->psql('postgres', $shows, stdout => \$out, stderr => \$err, extra_params => ['-U', 'plain']), 0,
		'with shared_preload_libraries it is refused');
	like($err, qr/permission denied to set parameter "xmhash/, 'for want of permission');
}
is($node->safe_psql('postgres', $shows, extra_params => ['-U', 'plain']), "8\n\n4", 'and the file rules');

# The other builds of the library, where they are installed beside.
for my $build ('openmp', 'serial')
{
	my ($path) = glob("/usr/lib/*/openblas-$build/libopenblas.so.0");
  SKIP:
	{
		skip "no $build build of OpenBLAS is installed", 3 unless defined $path;
		my $settings = "SET xmhash.blas_library = '$path'; SET xmhash.threads = 2;\n";
		($out, $err) = session($settings . train() . 'SELECT tasks();');
		like($out, $build eq 'serial' ? qr/^tasks 1$/m : qr/^tasks 2$/m, "threads with the $build build");
		is(warnings_in($err), 0, 'without a warning');
		session($no_threads . $settings . train());
		is(weights(), $alone, "the $build build, where threads are refused");
	}
}

$node->stop;
done_testing();

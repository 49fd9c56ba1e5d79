# An index is built in parallel where the library is in a folder of its own,
# which only dynamic_library_path (and extension_control_path) names.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashIndex qw(new_node);

my $node = new_node('library');
$node->start;
my $get = sub { my ($name) = @_; return $node->safe_psql('postgres', "SELECT coalesce(current_setting('$name', true), '')"); };
my $library = $node->config_data('--pkglibdir');
my ($suffix) = grep { -e "$library/plpgsql$_" } qw(.so .dylib .dll);
my ($file) = grep { -e $_ } map { "$_/xmhash$suffix" }
  (split(/:/, $get->('dynamic_library_path')), $get->('extension_destdir') . $library, $library);
plan skip_all => 'the library was not found' unless defined $file;

# The folder has no other name, and the library no other place.
my $folder = PostgreSQL::Test::Utils::tempdir();
copy($file, "$folder/xmhash$suffix") or die;
chmod 0755, $folder, "$folder/xmhash$suffix";
$node->append_conf('postgresql.conf', "extension_destdir = ''\n") if $get->('extension_destdir') ne '';
$node->append_conf('postgresql.conf', <<"CONF");
dynamic_library_path = '$folder:\$libdir'
log_min_messages = debug1
max_worker_processes = 8
max_parallel_maintenance_workers = 2
min_parallel_table_scan_size = 0
maintenance_work_mem = '256MB'
CONF
$node->restart;

# The script as CREATE EXTENSION would run it, under the library's plain name.
my $script = slurp_file("$FindBin::RealBin/../../sql/xmhash--1.0.sql");
$script =~ s/^\\echo.*$//mg;
$script =~ s/MODULE_PATHNAME/xmhash/g;
$script =~ s/^SELECT pg_catalog\.pg_extension_config_dump.*?;$//msg;
my $sql = $node->basedir . '/xmhash.sql';
append_to_file($sql, $script);
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $sql ], 'the functions are found');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (code bitcode(64)) WITH (parallel_workers = 2);
INSERT INTO t SELECT ('x' || md5(i::text))::bit(64)::bitcode FROM generate_series(1, 20000) i;
SQL
my $before = -s $node->logfile;
my ($status, $out, $err) = $node->psql('postgres', 'CREATE INDEX t_code ON t USING xmhash (code)');
is($err, '', 'an index is built');
my @workers = slurp_file($node->logfile, $before) =~ /starting background worker process "parallel worker/g;
is(scalar @workers, 2, 'by two helpers');
is($node->safe_psql('postgres', "SELECT xmhash_index_check('t_code', true); SELECT rows FROM xmhash_index_stats('t_code')"), "\n20000", 'soundly');
$node->stop;
done_testing();

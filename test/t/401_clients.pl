# Codes with psycopg 3, node-postgres and JDBC, as text and in the binary
# format: the examples print what README.md beside them says, what it shows is
# what they are, and many lengths go through every way in and out.  A client that
# is not installed is skipped with a word; nothing is fetched.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# The JDBC driver can't speak over Unix-domain sockets.
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->append_conf('pg_hba.conf', 'host all all 127.0.0.1/32 trust');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');

my $user = $node->safe_psql('postgres', 'SELECT current_user');
my $url = 'jdbc:postgresql://127.0.0.1:' . $node->port . "/postgres?user=$user";
my $classes = PostgreSQL::Test::Utils::tempdir();
my ($jar) = grep { -e } split(/:/, $ENV{CLASSPATH} // ''), '/usr/share/java/postgresql.jar';
$jar //= '';
@ENV{qw(PGHOST PGPORT PGDATABASE PGUSER PYTHONDONTWRITEBYTECODE)} = ($node->host, $node->port, 'postgres', $user, 1);
# Where Debian has Node's modules, which a Node from elsewhere doesn't know.
$ENV{NODE_PATH} = join(':', grep { defined } $ENV{NODE_PATH}, '/usr/share/nodejs');
chdir dirname($FindBin::RealBin) . '/clients' or die $!;

# Runs a program and returns what it printed, and whether it succeeded.
sub run
{
	my ($stdout, $stderr) = ('', '');
	my $ok = eval { IPC::Run::run(\@_, '<', \undef, '>', \$stdout, '2>', \$stderr) };
	return ($stdout, $stderr, $ok);
}

my %printed;

# A client: how to tell that it is there, what its example prints, its checks.
sub client
{
	my ($name, $there, $example, $prints, $check) = @_;

	$printed{$name} = $prints;
	SKIP:
	{
		skip "$name is not installed", 3 if !(run(@$there))[2];

		my ($stdout, $stderr, $ok) = run(@$example);
		ok($ok, "$name: the example runs") or diag $stderr;
		is($stdout, $prints, "$name: the example prints what it should");
		($stdout, $stderr, $ok) = run(@$check);
		note $stdout;
		ok($ok && $stdout =~ /^.+: [1-9]\d+ passed, 0 failed$/m, "$name: the checks pass") or diag "$stdout$stderr";
	}
	return;
}

client('psycopg 3',
	[ '/usr/bin/env', 'python3', '-c', 'import psycopg, numpy' ],
	[ '/usr/bin/env', 'python3', 'psycopg_example.py' ], <<'PRINTS', [ '/usr/bin/env', 'python3', 'psycopg_check.py' ]);
[(2, '1100101011111111'), (1, '1100101011111110')]
[(2, b'\xca\xff'), (1, b'\xca\xfe'), (3, b'\x00\xff')]
11
PRINTS

client('node-postgres',
	[ 'node', '-e', q{require('pg')} ],
	[ 'node', 'node_example.js' ], <<'PRINTS', [ 'node', 'node_check.js' ]);
[
  { id: 2, code: '1100101011111111' },
  { id: 1, code: '1100101011111110' }
]
[
  { id: 2, code: <Buffer ca ff> },
  { id: 1, code: <Buffer ca fe> },
  { id: 3, code: <Buffer 00 ff> }
]
PRINTS

my ($stdout, $stderr, $compiled) = $jar eq '' ? () : run('javac', '-cp', $jar, '-d', $classes, 'JdbcExample.java', 'JdbcCheck.java');
diag $stderr if $jar ne '' && !$compiled;
client('JDBC',
	[ 'sh', '-c', "test -e '$jar' && javac -version" ],
	[ 'java', '-cp', "$jar:$classes", 'JdbcExample', $url ], <<'PRINTS', [ 'java', '-cp', "$jar:$classes", 'JdbcCheck', $url ]);
2 1100101011111111
1 1100101011111110
3 [-54, -1]
1 [-54, -3]
2 [-54, -2]
PRINTS

# The page: what stands in a block with a language is in a program of the folder,
# but for the indentation; what stands in one without, an example prints.
sub without_indentation { return join("\n", grep { $_ ne '' } map { s/^\s+//r } split(/\n/, shift)) . "\n"; }
my $programs = join("\n", map { without_indentation(slurp_file($_)) } grep { -f && !/README/ } glob('*'));
my $page = slurp_file('README.md');
my $blocks = 0;
while ($page =~ /^```(\w*)\n(.*?)^```$/msg)
{
	my ($language, $block) = ($1, $2);

	$blocks++;
	if ($language ne '')
	{
		ok(index($programs, without_indentation($block)) >= 0, "README: a program has the block of $language") or diag $block;
	}
	else
	{
		ok((grep { index($_, $block) >= 0 } values %printed), 'README: an example prints what it says') or diag $block;
	}
}
cmp_ok($blocks, '>=', 2 * keys %printed, 'README: a program and its output for each client');
for my $name (keys %printed)
{
	like($page, qr/^## \Q$name\E$/m, "README: a section for $name");
	like($page, qr/^\| \Q$name\E \|/m, "README: $name in the table");
}

$node->stop;
done_testing();

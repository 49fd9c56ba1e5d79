# Codes with the drivers: each example prints what test/clients/README.md says, and
# many lengths go through every way in and out.  A driver that is not installed is
# skipped with a word; nothing is fetched.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashClients;

my $node = start_server();
my @python = ('/usr/bin/env', 'python3');

client('psycopg 3',
	there => [ @python, '-c', 'import psycopg, numpy; print(psycopg.__version__)' ],
	example => [ @python, 'psycopg_example.py' ],
	check => [ @python, 'psycopg_check.py' ]);

client('psycopg2',
	there => [ @python, '-c', 'import psycopg2, numpy; print(psycopg2.__version__)' ],
	example => [ @python, 'psycopg2_example.py' ],
	check => [ @python, 'psycopg2_check.py' ]);

client('asyncpg',
	there => [ @python, '-c', 'import asyncpg, numpy; print(asyncpg.__version__)' ],
	example => [ @python, 'asyncpg_example.py' ],
	check => [ @python, 'asyncpg_check.py' ]);

client('node-postgres',
	there => [ 'node', '-p', q{require('pg') && require('pg/package.json').version} ],
	example => [ 'node', 'node_example.js' ],
	check => [ 'node', 'node_check.js' ]);

my $classes = PostgreSQL::Test::Utils::tempdir();
my ($jar) = grep { -e } split(/:/, $ENV{CLASSPATH} // ''), '/usr/share/java/postgresql.jar';
$jar //= '';
my $url = 'jdbc:postgresql://127.0.0.1:' . $node->port . "/jdbc?user=$ENV{PGUSER}";
my (undef, $stderr, $compiled) = $jar eq '' ? () : run('javac', '-cp', $jar, '-d', $classes, 'JdbcExample.java', 'JdbcCheck.java');
diag $stderr if $jar ne '' && !$compiled;
client('JDBC',
	there => [ 'sh', '-c', "test -e '$jar' && javac -version && readlink -f '$jar'" ],
	example => [ 'java', '-cp', "$jar:$classes", 'JdbcExample', $url ],
	check => [ 'java', '-cp', "$jar:$classes", 'JdbcCheck', $url ]);

# Go's packages as Debian has them: below a path, without modules.
my $built = PostgreSQL::Test::Utils::tempdir();
@ENV{qw(GO111MODULE GOPATH GOFLAGS GOCACHE)} = ('off', join(':', grep { defined } $ENV{GOPATH}, '/usr/share/gocode'), '', "$built/cache");
for my $version (4, 5)
{
	my $path = "github.com/jackc/pgx/v$version";
	my $folder = $version == 5 ? 'pgx' : 'pgx4';

	mkdir "$built/$version";
	append_to_file("$built/$version/example.go", slurp_file("$folder/example.go"));
	append_to_file("$built/$version/check.go", slurp_file('pgx/check.go') =~ s{jackc/pgx/v5}{jackc/pgx/v$version}r);
	if ((run('go', 'list', $path))[2])
	{
		my (undef, $errors, $compiles) = run('sh', '-c', "cd $built/$version && go build -o ../pgx$version example.go check.go");
		diag $errors if !$compiles;
	}
	client($version == 5 ? 'pgx' : 'pgx 4',
		there => [ 'sh', '-c', "go list $path && go version" ],
		example => ["$built/pgx$version"],
		check => [ "$built/pgx$version", 'check' ]);
}

check_page();
$node->stop;
done_testing();

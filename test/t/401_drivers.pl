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

check_page();
$node->stop;
done_testing();

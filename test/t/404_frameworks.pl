# Codes with the frameworks: each example prints what test/clients/README.md says;
# columns, indexes and migrations are what the framework takes them for.  A framework
# that is not installed is skipped with a word; nothing is fetched.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use Test::More;
use XmhashClients;

my $node = start_server();
my @python = ('/usr/bin/env', 'python3');

client('SQLAlchemy',
	there => [ @python, '-c', 'import sqlalchemy, alembic, psycopg2, numpy; print(sqlalchemy.__version__)' ],
	example => [ @python, 'sqlalchemy_example.py' ],
	check => [ @python, 'sqlalchemy_check.py' ],
	extension => 0);

client('Django',
	there => [ @python, '-c', 'import django, psycopg2, numpy; print(django.__version__)' ],
	example => [ @python, 'django_example.py' ],
	check => [ @python, 'django_check.py' ],
	extension => 0);

# Debian's Ruby has Debian's packages of it.
my @ruby = -x '/usr/bin/ruby' ? ('/usr/bin/ruby') : ('/usr/bin/env', 'ruby');
client('ActiveRecord',
	there => [ @ruby, '-e', 'require "active_record"; require "pg"; puts ActiveRecord.version' ],
	example => [ @ruby, 'activerecord_example.rb' ],
	check => [ @ruby, 'activerecord_check.rb' ],
	extension => 0);

check_page();
$node->stop;
done_testing();

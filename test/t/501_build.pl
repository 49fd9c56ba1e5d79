# What make says to whoever lacks the server's headers: one line that names the
# package, in each of the ways a Debian machine can lack them.  Warnings stop the
# compiler only where they were asked to.
use strict;
use warnings FATAL => 'all';

use File::Copy qw(copy);
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
copy("$FindBin::RealBin/../../Makefile", "$folder/Makefile") or die "Makefile: $!";
for my $room (qw(src src/core))
{
	mkdir "$folder/$room" or die $!;
	append_to_file("$folder/$room/some.c", qq{#include "postgres.h"\nint some;\n});
}
delete @ENV{qw(MAKEFLAGS MAKELEVEL WERROR)};
my $real = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $pgxs = `$real --pgxs`);

# A pg_config that prints what is said of each of its options.
sub pg_config
{
	my ($name, $body) = @_;
	append_to_file("$folder/$name", "#!/bin/sh\n$body\n");
	chmod 0755, "$folder/$name" or die $!;
	return "$folder/$name";
}

sub make
{
	my ($output) = ('');
	my $ok = IPC::Run::run([ 'make', '-C', $folder, '--no-print-directory', @_ ], '<', \undef, '>', \$output, '2>&1');
	return ($ok, $output);
}

for my $case (
	[ 'no pg_config', "$folder/none", 'all' ],
	[   'the pg_config of postgresql-common, with nothing behind it',
		pg_config('common', 'echo "You need to install postgresql-server-dev-NN" >&2; exit 1'), 'all' ],
	[   'the pg_config of libpq-dev alone',
		pg_config('libpq', <<"SH"), '17' ],
case \$1 in
--pgxs) echo $folder/no/pgxs.mk ;;
--includedir-server) echo $folder/no/server ;;
--version) echo "PostgreSQL 17.12 (Debian 17.12-0+deb13u1)" ;;
esac
SH
	[   'the pg_config and the PGXS of a client package',
		pg_config('client', <<"SH"), '19' ])
case \$1 in
--pgxs) echo $pgxs ;;
--includedir-server) echo $folder/no/server ;;
--version) echo "PostgreSQL 19rc1 (Debian 19~rc1-1)" ;;
*) exec $real "\$@" ;;
esac
SH
{
	my ($what, $pg_config, $version) = @$case;
	my ($ok, $output) = make("PG_CONFIG=$pg_config");
	ok(!$ok, "$what: make fails");
	like($output, qr/\A[^\n]*: apt-get install postgresql-server-dev-$version,[^\n]*\n\z/, "$what: in one line that says what to install");
}

my ($ok, $output) = make("PG_CONFIG=$real", '-n', 'src/some.o');
ok($ok, 'with the headers, make goes on');
like($output, qr/ -c .*some\.c/, 'to the compiler');
unlike($output, qr/-Werror(?!=)/, 'and lets warnings pass');
($ok, $output) = make("PG_CONFIG=$real", '-n', 'src/some.o', 'WERROR=1');
like($output, qr/-Werror(?!=)/, 'but for those who ask');
($ok, $output) = make("PG_CONFIG=$real", 'src/some.o');
ok($ok, 'the rooms above the core find the headers of the server') or diag($output);
($ok, $output) = make("PG_CONFIG=$real", 'src/core/some.o');
ok(!$ok, 'the numeric core does not');
like($output, qr/postgres\.h: No such file|postgres\.h' file not found/, 'as its compiler says');

# The trial of every release says what it needs, before it makes anything.
sub versions
{
	local $ENV{VERSIONS} = shift;
	local $ENV{TMPDIR} = "$folder/none";
	my $said = '';
	my $done = IPC::Run::run([ "$FindBin::RealBin/../versions.sh" ], '<', \undef, '>', \$said, '2>&1');
	return ($done, $said);
}
SKIP:
{
	skip 'run as root', 2 if $> == 0;
	($ok, $output) = versions('15');
	ok(!$ok, 'test-versions is for root');
	like($output, qr/\Axmhash: test-versions needs root[^\n]*\n\z/, 'and says so');
}
# What differs by version is in one place.
my @looking = grep { slurp_file($_) =~ /\bPG_(MAJOR)?VERSION(_NUM)?\b/ } glob "$FindBin::RealBin/../../{src,include}/{,*/}*.[ch]";
s{.*/}{} for @looking;
is("@looking", 'pg_compat.h', 'only pg_compat.h looks at the version of the server');
done_testing();

# What the tests of clients share: a server that they find by the environment, a
# database for each, and the page that says what their examples print.
package XmhashClients;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename qw(dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(start_server run client client_database check_page);

my $node;
my $page;
my %tested;

# The folder of the programs is the current one from then on.
sub start_server
{
	chdir dirname($FindBin::RealBin) . '/clients' or die $!;
	$page = slurp_file('README.md');
	$node = PostgreSQL::Test::Cluster->new('main');
	# Not SQL_ASCII, whose texts are bytes to psycopg 3.
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	# The JDBC driver can't speak over Unix-domain sockets.
	$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
	$node->append_conf('pg_hba.conf', 'host all all 127.0.0.1/32 trust');
	$node->start;
	my $user = $node->safe_psql('postgres', 'SELECT current_user');
	$ENV{XMHASH_CLIENTS} //= '';
	@ENV{qw(PGHOST PGPORT PGUSER PYTHONDONTWRITEBYTECODE)} = ($node->host, $node->port, $user, 1);
	# Where Debian has Node's modules, which a Node from elsewhere doesn't know.
	$ENV{NODE_PATH} = join(':', grep { defined } $ENV{NODE_PATH}, '/usr/share/nodejs');
	return $node;
}

# Runs a program and returns what it printed, and whether it succeeded.
sub run
{
	my ($stdout, $stderr) = ('', '');
	my $ok = eval { IPC::Run::run(\@_, '<', \undef, '>', \$stdout, '2>', \$stderr) };
	return ($stdout, $stderr, $ok);
}

# The database of a client, which the environment then names.
sub client_database
{
	my ($name, $extension) = @_;

	$ENV{PGDATABASE} = lc($name) =~ s/\W+/_/gr;
	$node->safe_psql('postgres', qq(CREATE DATABASE "$ENV{PGDATABASE}"));
	$node->safe_psql($ENV{PGDATABASE}, 'CREATE EXTENSION xmhash') if $extension;
	return;
}

# client NAME => (there => how to tell that it is there, example => how to run its
# example, check => its checks, extension => whether it wants it made).  XMHASH_CLIENTS
# names those that must be there.
sub client
{
	my ($name, %client) = @_;
	my ($prints) = map { $_->{text} } grep { $_->{language} eq '' } blocks($name);

	$tested{$name} = 1;
	SKIP:
	{
		my ($version, undef, $there) = run(@{ $client{there} });
		if (!$there)
		{
			fail("$name is installed") if " $ENV{XMHASH_CLIENTS}," =~ / \Q$name\E,/;
			skip "$name is not installed", 3;
		}
		note "$name: $version" if $version ne '';

		client_database($name, $client{extension} // 1);
		my ($stdout, $stderr, $ok) = run(@{ $client{example} });
		ok($ok, "$name: the example runs") or diag $stderr;
		is($stdout, $prints, "$name: the example prints what README.md says");
		($stdout, $stderr, $ok) = run(@{ $client{check} });
		note $stdout;
		ok($ok && $stdout =~ /^.+: [1-9]\d+ passed, 0 failed$/m, "$name: the checks pass") or diag "$stdout$stderr";
	}
	return;
}

# The fenced blocks of the page's section on a client.
sub blocks
{
	my $name = shift;
	my ($section) = $page =~ /^## \Q$name\E\n(.*?)(?=^## |\z)/ms or die "README.md has no section on $name";
	my @blocks;

	push @blocks, { language => $1, text => $2 } while $section =~ /^```(\w*)\n(.*?)^```$/msg;
	return @blocks;
}

sub without_indentation { return join("\n", grep { $_ ne '' } map { s/^\s+//r } split(/\n/, shift)) . "\n"; }

# What stands in a block with a language is in a program of the folder, but for the
# indentation; what stands in the block without one, client compares.
sub check_page
{
	my $programs = join("\n", map { without_indentation(slurp_file($_)) } grep { -f && !/README/ } glob('* */* */*/*'));

	for my $name (sort keys %tested)
	{
		my @shown = grep { $_->{language} ne '' } blocks($name);

		cmp_ok(@shown, '>=', 1, "README.md shows code for $name");
		for my $block (@shown)
		{
			ok(index($programs, without_indentation($block->{text})) >= 0, "README.md: a program has the block of $block->{language} for $name")
				or diag $block->{text};
		}
		like($page, qr/^\| \[\Q$name\E\]\(/m, "README.md: $name in the table");
	}
	return;
}

1;

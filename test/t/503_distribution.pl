# The archive for PGXN: META.json is what the PGXN Meta Spec 1.0.0 asks for and
# true, and Debian's pgxnclient installs it so that a server can use it.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname($FindBin::RealBin));
my $meta = JSON::PP->new->utf8->decode(slurp_file("$top/META.json"));
my $version = qr/(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[A-Za-z][0-9A-Za-z-]*)?/;
my $range = qr/(?:[<>]=?|[!=]=)?\s*(?:$version|0)/;

is(ref $meta->{$_} || ($meta->{$_} // '' ne '' ? 'text' : ''), 'text', "META.json has $_") for qw(name version abstract license);
like($meta->{name}, qr/\A[^\s\/\\\x00-\x1f]{2,}\z/, 'name');
like($meta->{version}, qr/\A$version\z/, 'version');
ok((grep { $meta->{license} eq $_ } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3
	lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown)), 'license');
ok(@{ ref $meta->{maintainer} ? $meta->{maintainer} : [ $meta->{maintainer} ] } > 0, 'maintainer');
is($meta->{'meta-spec'}{version}, '1.0.0', 'meta-spec');
is_deeply([ grep { length > 255 || /[\/\\\x00-\x1f]/ } @{ $meta->{tags} } ], [], 'tags');
my @known = qw(abstract description generated_by license maintainer meta-spec name no_index prereqs provides release_status resources tags version);
is_deeply([ grep { my $key = $_; !/^x_/i && !grep { $key eq $_ } @known } keys %$meta ], [], 'no key that the specification does not have');

is_deeply([ keys %{ $meta->{provides} } ], ['xmhash'], 'provides the extension, and nothing else');
my $extension = $meta->{provides}{xmhash};
my ($default) = slurp_file("$top/xmhash.control") =~ /^default_version = '(.*)'$/m;
like($extension->{version}, qr/\A$version\z/, 'its version');
like($extension->{version}, qr/\A\Q$default\E\.\d+\z/, "is that of the control file, $default");
is($extension->{file}, "sql/xmhash--$default.sql", 'its file');

for my $phase (keys %{ $meta->{prereqs} })
{
	like($phase, qr/\A(configure|build|test|runtime|develop)\z/, "prereqs: $phase");
	for my $relation (keys %{ $meta->{prereqs}{$phase} })
	{
		like($relation, qr/\A(requires|recommends|suggests|conflicts)\z/, "prereqs: $relation");
		like($_, qr/\A$range(\s*,\s*$range)*\z/, "prereqs: range $_") for values %{ $meta->{prereqs}{$phase}{$relation} };
	}
}
is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, '15.0.0', 'PostgreSQL 15 is the oldest');

SKIP:
{
	my $archive = "$top/xmhash-$meta->{version}.zip";
	skip 'no clone of the repository that an archive could be made from', 1 unless -f $archive;
	my ($listed) = run_command([ 'python3', '-m', 'zipfile', '-l', $archive ]);
	my %files = map { /^(\S+)\s.*\s[1-9]\d*\s*$/ ? ($1 => 1) : () } split /\n/, $listed;
	is_deeply([ grep { !/\Axmhash-\Q$meta->{version}\E\// } keys %files ], [], 'one folder');
	ok($files{"xmhash-$meta->{version}/$_"}, "contains $_") for qw(META.json Makefile README.md LICENSE CHANGELOG.md xmhash.control src/xmhash.c
		sql/README.md src/README.md test/bench/README.md test/clients/README.md), $extension->{file}, $extension->{docfile};
	is_deeply([ grep { /\.(o|so|bc|zip)\z|\/\.|\/build\// } keys %files ], [], 'nothing that was built, nothing hidden');

	skip 'pgxnclient is not installed', 1 unless grep { -x "$_/pgxn" } split /:/, $ENV{PATH};
	my $stage = PostgreSQL::Test::Utils::tempdir();
	chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);
	local $ENV{DESTDIR} = $stage;
	# Another folder than the server's own, which it asks to become root for: env will do.
	command_ok([ 'pgxn', 'install', '--yes', '--sudo', '/usr/bin/env', '--make', 'make', '--pg_config', $ENV{PG_CONFIG}, $archive ], 'pgxn installs it from the file');
	ok(-f "$stage$sharedir/extension/xmhash--$default.sql", 'its SQL is in place');

	# A server finds it there instead of where run.sh put the build under test.
	my ($staged) = slurp_file($ENV{TEMP_CONFIG}) =~ /^extension_\w+ = '(.*?stage)/m;
	(my $config = slurp_file($ENV{TEMP_CONFIG})) =~ s/\Q$staged\E/$stage/g;
	append_to_file("$stage/server.conf", $config);
	local $ENV{TEMP_CONFIG} = "$stage/server.conf";
	my $node = PostgreSQL::Test::Cluster->new('main');
	$node->init;
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');
	is($node->safe_psql('postgres', q{SELECT bitcode '1100' <~> '1010', extversion FROM pg_extension WHERE extname = 'xmhash'}), "2|$default", 'and works');
	$node->stop;
}
done_testing();

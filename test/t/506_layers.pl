# test/layers.pl finds what breaks the house's rules: each fault put into a copy of the sources.
use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";

# A copy of the sources, changed by the given code, and what the script says of it.
sub layers
{
	my $change = shift;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $said = '';

	system('cp', '-r', "$top/src", "$top/include", $folder) == 0 or die "cp: $?";
	system('find', $folder, '-name', '*.o', '-delete') == 0 or die "find: $?";
	$change->($folder);
	my $right = IPC::Run::run([ 'perl', "$top/test/layers.pl", $folder ], '<', \undef, '>', \$said, '2>&1');
	return ($right, $said);
}

sub compile
{
	my ($folder, @names) = @_;

	for my $name (@names)
	{
		system($ENV{CC} || 'cc', '-c', '-o', "$folder/src/$name.o", "$folder/src/$name.c") == 0 or die "$name: $?";
	}
}

my ($right, $said) = layers(sub { });
ok($right, 'the sources keep the rules') or diag($said);

for my $case (
	[ 'an include of a room above', qr{src/core/fault\.c includes index/index\.h},
		sub { append_to_file("$_[0]/src/core/fault.c", qq{/*\n * core/fault.c: x\n */\n#include "index/index.h"\n}) } ],
	[ 'an include between rooms beside each other', qr{src/train/fault\.c includes index/index\.h},
		sub { append_to_file("$_[0]/src/train/fault.c", qq{/*\n * train/fault.c: x\n */\n#include "index/index.h"\n}) } ],
	[ 'a header of the server in front of all rooms, in the core', qr{src/core/fault\.c includes xmhash\.h},
		sub { append_to_file("$_[0]/src/core/fault.c", qq{/*\n * core/fault.c: x\n */\n#include "xmhash.h"\n}) } ],
	[ 'a circle of includes', qr{circle of includes: include/eval/a\.h, include/eval/b\.h},
		sub {
			append_to_file("$_[0]/include/eval/a.h", qq{/*\n * eval/a.h: x\n */\n#include "eval/b.h"\n});
			append_to_file("$_[0]/include/eval/b.h", qq{/*\n * eval/b.h: x\n */\n#include "eval/a.h"\n});
		} ],
	[ 'a call of a room above', qr{src/core/fault\.c uses above of src/model/above\.c},
		sub {
			append_to_file("$_[0]/src/core/fault.c", qq{/*\n * core/fault.c: x\n */\nextern int above(void);\nint fault(void);\nint fault(void) { return above(); }\n});
			append_to_file("$_[0]/src/model/above.c", qq{/*\n * model/above.c: x\n */\nint above(void);\nint above(void) { return 1; }\n});
			compile($_[0], 'core/fault', 'model/above');
		} ],
	[ 'a circle of calls', qr{circle of calls: src/eval/a\.c, src/eval/b\.c},
		sub {
			append_to_file("$_[0]/src/eval/a.c", qq{/*\n * eval/a.c: x\n */\nint a(int); int b(int);\nint a(int x) { return b(x); }\n});
			append_to_file("$_[0]/src/eval/b.c", qq{/*\n * eval/b.c: x\n */\nint a(int); int b(int);\nint b(int x) { return a(x); }\n});
			compile($_[0], 'eval/a', 'eval/b');
		} ],
	[ 'a long file', qr{src/eval/long\.c has 604 lines},
		sub { append_to_file("$_[0]/src/eval/long.c", "/*\n * eval/long.c: x\n */\n" . "\n" x 601) } ],
	[ 'a file with the name of another at its head', qr{src/eval/name\.c calls itself eval/other\.c},
		sub { append_to_file("$_[0]/src/eval/name.c", "/*\n * eval/other.c: x\n */\n") } ],
	[ 'a folder that is no room', qr{src/cellar/a\.c: the folder is no room},
		sub { mkdir "$_[0]/src/cellar"; append_to_file("$_[0]/src/cellar/a.c", "/*\n * cellar/a.c: x\n */\n") } ])
{
	my ($what, $expected, $change) = @$case;
	($right, $said) = layers($change);
	ok(!$right, "$what is a fault");
	like($said, $expected, "$what is named");
}
done_testing();

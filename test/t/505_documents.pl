# What the documents say is so: README.md's statements run in their order and print
# what it shows; every statement and output in the others is that of a test; each
# object, option and setting of the extension has its entry in sql/README.md, with
# the arguments and defaults it has; links and names of files lead somewhere.
use strict;
use warnings FATAL => 'all';
use utf8;

use File::Basename qw(dirname basename);
use File::Find;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What is printed is bytes: of a document's text without the characters beyond ASCII.
sub ascii { return shift =~ s/→/->/gr =~ s/[^\x00-\x7f]/?/gr; }

my $top = dirname(dirname($FindBin::RealBin));
sub text { my $content = slurp_file("$top/$_[0]"); utf8::decode($content); return $content; }

my @files;
find({ no_chdir => 1, wanted => sub {
	if (-d && /\/(?:\.git|build|tap|results|tmp_check\w*|output_iso|log)\z/) { $File::Find::prune = 1; return; }
	push @files, substr($_, length($top) + 1) if -f } }, $top);
my @documents = sort grep { /(?:\A|\/)README\.md\z/ } @files;
is("@documents", 'README.md sql/README.md src/README.md test/bench/README.md test/clients/README.md', 'the documents');
my %document = map { $_ => text($_) } @documents;

# ---------------------------------------------------------------------- blocks

# Blocks between ``` of a document: [ language, content ], in their order.
sub blocks
{
	my $document = shift;
	my @blocks;

	push @blocks, [ $1, $2 ] while $document{$document} =~ /^```(\w*)\n(.*?)^```$/msg;
	return @blocks;
}

# Statements without comments, blanks counting as one; what psql does with a result (\g) is not part of them.
sub squeeze
{
	my $sql = shift;

	$sql =~ s/--[^\n]*//g;
	$sql =~ s/\s+/ /g;
	$sql =~ s/\A | \z//g;
	return $sql;
}

# The statements of a text, each squeezed; they end at a semicolon or at \g.
sub statements
{
	my $text = shift;
	my ($statement, @statements) = ('');

	while ($text =~ /\G(?:(--[^\n]*)|('[^']*'|\$(\w*)\$.*?\$\g{3}\$)|(;|\\g[^\n]*)|(.))/sg)
	{
		$statement .= $2 // $5 // '';
		next unless defined $4;
		push @statements, squeeze($statement);
		$statement = '';
	}
	push @statements, squeeze($statement);
	return grep { $_ ne '' } @statements;
}
is_deeply([ statements("-- one; two\nSELECT ';' AS a,\n  \$x\$;\$x\$;  -- end\nSELECT 2 \\g (format=unaligned) f.svg\nSELECT 3;") ],
	[ q{SELECT ';' AS a, $x$;$x$}, 'SELECT 2', 'SELECT 3' ], 'statements are told apart');

# What the tests run: all regression, isolation and TAP tests but this one.
my $run = '';
for my $file (grep { m{\Atest/(?:sql|specs|t|demo)/} && $_ ne 'test/t/' . basename($0) } @files)
{
	my $content = text($file);
	$content =~ s/^\s*#[^\n]*//mg if $file =~ /\.(?:pl|pm|spec)\z/;
	$run .= squeeze($content) . " ;\n";
}
sub is_run { my $statement = shift; return $run =~ /(?<![\w])\Q$statement\E ?[;)}\\]/; }
ok(!is_run('SELECT one_that_no_test_runs()'), 'a statement that no test runs is found out');
ok(!is_run('SELECT id FROM picture ORDER BY code'), 'so is the beginning of one that is run');

my $printed = join("\n", map { text($_) =~ s/[ ]+$//mgr } grep { m{\Aexpected/} } @files);
my $programs = join("\n", map { text($_) } grep { m{\Atest/(?:t|clients)/} && !/README/ } @files) =~ s/^\s+//mgr;

my %make_target = map { $_ => 1 } qw(install installcheck), map { split } text('Makefile') =~ /^TARGETS = (.*)$/m;
my %checked;
for my $document (@documents)
{
	# run below, and compared with their programs by 401_drivers.pl and 404_frameworks.pl
	next if $document eq 'README.md' || $document eq 'test/clients/README.md';
	for (blocks($document))
	{
		my ($language, $block) = @$_;

		$checked{$language}++;
		if ($language eq 'sql')
		{
			ok(is_run($_), "$document: a test runs: " . ascii(substr($_, 0, 70))) or diag ascii($_) for statements($block);
		}
		elsif ($language eq '' && $document eq 'sql/README.md')
		{
			for my $result (split /^$/m, $block =~ s/[ ]+$//mgr)
			{
				$result =~ s/\A\n+|\n+\z//g;
				ok(index($printed, $result) >= 0, "$document: a test prints it") or diag ascii($result);
			}
		}
		elsif ($language eq 'sh')
		{
			ok($make_target{$1}, "$document: make $1") while $block =~ /^(?:sudo )?make ([a-z]\S*)/mg;
		}
		elsif ($language ne '')
		{
			ok(index($programs, $block =~ s/^\s+//mgr) >= 0, "$document: a test has the block of $language") or diag ascii($block);
		}
	}
}
cmp_ok($checked{sql}, '>=', 30, 'blocks of SQL were looked for');
cmp_ok($checked{''}, '>=', 2, 'so were outputs');

# ------------------------------------------------------------------- README.md

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# Its blocks in their order, one session after another.  What follows a block of SQL without a language is what it prints.
{
	my ($input, @blocks) = ('', blocks('README.md'));
	my $examples = 0;
	for my $i (0 .. $#blocks)
	{
		my ($language, $block) = @{ $blocks[$i] };
		if ($language eq 'sh')
		{
			ok($make_target{$1}, "README.md: make $1") while $block =~ /^(?:sudo )?make ([a-z]\S*)/mg;
			next;
		}
		next if $language ne 'sql';
		my $prints = $i < $#blocks && $blocks[ $i + 1 ][0] eq '' ? $blocks[ $i + 1 ][1] : '';
		$examples++;
		my ($out, $err) = ('', '');
		utf8::encode(my $bytes = $block);
		IPC::Run::run([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') ], '<', \$bytes, '>', \$out, '2>', \$err);
		is($?, 0, "README.md: example $examples runs") or diag $err;
		is($out =~ s/\n+\z/\n/r, $prints, "README.md: example $examples prints what it says");
	}
	cmp_ok($examples, '>=', 2, 'README.md has examples');
	is(ascii(join("\n", $document{'README.md'} =~ /^(.{101,})$/mg)), '', 'README.md: lines of 100 characters at the most');
	cmp_ok(-s "$top/README.md", '<=', 20480, 'README.md: 20 kB at the most');
}

# --------------------------------------------------------------- sql/README.md

sub rows { return map { [ split /\x1f/, $_, -1 ] } split /\x1e/, shift; }
sub listed
{
	my $out = '';
	$node->psql('postgres', shift, stdout => \$out, on_error_die => 1, extra_params => [ '-F', "\x1f", '-R', "\x1e" ]);
	utf8::decode($out);
	return rows($out);
}

my $reference = $document{'sql/README.md'};
(my $flat = $reference =~ s/^```.*?^```$//msgr) =~ s/\s+/ /g;
my @code = $flat =~ /`([^`]+)`/g;
my %code = map { $_ => 1 } @code;
my $ours = q{WITH ours AS (SELECT classid, objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid
	AND d.refclassid = 'pg_extension'::regclass WHERE extname = 'xmhash' AND deptype = 'e')};

# All functions but those that nobody calls: those behind types, casts, operators, operator classes, aggregates, access methods
# and plans.  (The columns of functions behind views are the views'.)
my @functions = listed(qq{$ours SELECT p.oid::regprocedure, p.proname,
	CASE WHEN prokind = 'p' THEN '' ELSE CASE WHEN proretset THEN 'TABLE(…)' ELSE format_type(prorettype, NULL) END END,
	(SELECT string_agg(concat_ws(' ', CASE WHEN provariadic <> 0 AND n = pronargs THEN 'VARIADIC' END, nullif(proargnames[n], ''), format_type(argument, NULL),
	                             'DEFAULT ' || CASE WHEN n > pronargs - pronargdefaults THEN
	                               regexp_replace(pg_get_function_arg_default(p.oid, n::integer), '::[a-z \\[\\]]+\$', '') END), ', ' ORDER BY n)
	   FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS argument (argument, n)),
	array_to_string(ARRAY(SELECT name FROM unnest(proargnames, proargmodes) AS out (name, mode) WHERE mode IN ('o', 't')
	                      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_rewrite'::regclass AND refobjid = p.oid)), ' ')
	FROM pg_proc p JOIN ours ON objid = p.oid AND classid = 'pg_proc'::regclass
	WHERE NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (typinput, typoutput, typreceive, typsend, typmodin, typmodout))
	  AND NOT EXISTS (SELECT FROM pg_cast WHERE castfunc = p.oid) AND NOT EXISTS (SELECT FROM pg_amproc WHERE amproc = p.oid)
	  AND NOT EXISTS (SELECT FROM pg_am WHERE amhandler = p.oid) AND NOT EXISTS (SELECT FROM pg_proc q WHERE q.prosupport = p.oid)
	  AND NOT EXISTS (SELECT FROM pg_operator WHERE p.oid IN (oprrest, oprjoin)
	                  OR oprcode = p.oid AND p.proname ~ '^(bitcode_|hamming_ball_|ball_contains_bitcode)')
	  AND NOT EXISTS (SELECT FROM pg_aggregate
	                  WHERE p.oid IN (aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn))
	ORDER BY 1});
cmp_ok(scalar(@functions), '>=', 40, 'functions to be described');
for (@functions)
{
	my ($oid, $name, $result, $arguments, $columns) = @$_;
	my $entry = $result eq '' ? "CALL $name($arguments)" : "$name($arguments) → $result";

	ok($code{$entry}, ascii("sql/README.md: $entry")) or diag ascii(join("\n", grep { /\b\Q$name\E\(/ } @code));
	# where it stands: from its entry to that of another function
	my ($section) = $flat =~ /(`\Q$entry\E`.*?)(?=`(?:CALL )?(?!\Q$name\E\()xmhash_\w+\([^`]*\)(?: →[^`]*)?`|\z)/;
	ok(($section // '') =~ /`\Q$_\E`/, "sql/README.md: its column $_") for split ' ', $columns;
}

for (listed(qq{$ours SELECT classid::regclass, coalesce(t.typname, c.relname, a.amname),
	array_to_string(ARRAY(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum), ' ')
	FROM ours LEFT JOIN pg_type t ON t.oid = objid AND classid = 'pg_type'::regclass
	LEFT JOIN pg_class c ON c.oid = objid AND classid = 'pg_class'::regclass LEFT JOIN pg_am a ON a.oid = objid AND classid = 'pg_am'::regclass
	WHERE coalesce(c.oid, a.oid) IS NOT NULL
	   OR t.oid IS NOT NULL AND typcategory <> 'A' AND NOT EXISTS (SELECT FROM pg_class v WHERE v.oid = typrelid AND v.relkind <> 'c')
	ORDER BY 1, 2}))
{
	my ($kind, $name, $columns) = @$_;
	my ($word) = { pg_type => 'type', pg_class => 'View', pg_am => 'access method' }->{$kind};

	ok(scalar($flat =~ /\b$word `\Q$name\E`/), "sql/README.md: $word $name");
	my ($section) = $flat =~ /\b$word `\Q$name\E`(.*?)(?= \* | #)/;
	ok(($section // '') =~ /`\Q$_\E`/, "sql/README.md: its column $_") for $kind eq 'pg_class' ? split(' ', $columns) : ();
}

# Rows of tables: cells, each as the list of what stands in it as code.
my @cells = map { my $line = $_; [ map { [ map { s/\\\|/|/gr } /`([^`]+)`/g ] } split /(?<!\\)\|/, $line =~ s/\A\||\|\z//gr ] } $reference =~ /^(\|.*\|)$/mg;
sub both { my ($left, $right) = @_; return grep { my $row = $_; @$row > 1 && (grep { $_ eq $left } @{ $row->[0] }) && (grep { $_ eq $right } @{ $row->[1] }) } @cells; }

for (listed(qq{$ours SELECT oprname, '(' || concat_ws(', ', CASE WHEN oprleft <> 0 THEN format_type(oprleft, NULL) END, format_type(oprright, NULL)) || ')'
	FROM pg_operator o JOIN ours ON objid = o.oid AND classid = 'pg_operator'::regclass ORDER BY 1, 2}))
{
	ok(scalar(both(@$_)), "sql/README.md: operator @$_");
}
my @lines = $reference =~ /^(\|.*\|)$/mg;
for (listed(qq{$ours SELECT format_type(castsource, NULL), format_type(casttarget, NULL),
	CASE castcontext WHEN 'a' THEN 'assignment' WHEN 'i' THEN 'implicit' ELSE 'explicit' END
	FROM pg_cast c JOIN ours ON objid = c.oid AND classid = 'pg_cast'::regclass ORDER BY 1, 2}))
{
	my ($from, $to, $how) = @$_;
	ok((grep { /^\|[^|]*`\Q$from\E`[^|]*\|[^|]*`\Q$to\E`[^|]*\| $how \|/ } @lines), "sql/README.md: cast from $from to $to, $how");
}
for (listed(qq{$ours SELECT opcname, amname, format_type(opcintype, NULL) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	JOIN ours ON objid = c.oid AND classid = 'pg_opclass'::regclass ORDER BY 1, 2}))
{
	my ($name, $method, $type) = @$_;
	ok(scalar($name =~ /_filter_ops\z/ ? both($name, $type) : $flat =~ /`$name` for (?:\w+,? (?:and )?for )*$method\b/), "sql/README.md: operator class $name $method");
}

# Settings, with defaults; the training options, as an error lists them, with what a training took.
sub number { my $text = shift; return $text =~ /\A-?[\d.]*\d(?:e-?\d+)?\z/ ? 0 + ($text =~ s/\A\./0./r) : $text; }
for (listed(q{SET xmhash.progress = on;
	SELECT name, CASE WHEN boot_val = '' THEN 'empty' WHEN unit = 'kB' AND boot_val ~ '[1-9]' THEN pg_size_pretty(1024 * boot_val::bigint)
	                  ELSE boot_val END, CASE context WHEN 'user' THEN 'anyone' ELSE 'superusers' END
	FROM (SELECT bitcode '0' <~> '0') AS loaded, pg_settings WHERE name LIKE 'xmhash.%'}))
{
	my ($name, $default, $who) = @$_;
	ok(scalar($reference =~ /^\| `\Q$name\E` \| `?\Q$default\E`? \| [^|]+ \| $who \| \w/m), "sql/README.md: setting $name, $default, $who");
}

$node->safe_psql('postgres', q{CREATE TABLE option_pair AS SELECT ARRAY[sin(i), cos(i)]::real[] AS image, ARRAY[cos(i), sin(i)]::real[] AS words, (i % 2)::text AS label
	FROM generate_series(1, 300) AS i});

# The table rows of the options, under the methods that the paragraph before the table begins with ("For jdsh and …").
my (@option_rows, $methods, @order);
for ($reference =~ /^### Training options\n(.*?)^### /ms ? split(/\n/, $1) : ())
{
	($methods, @order) = ($1) if /(?:^|\. )For (.+?)[.:,]/;
	@order = map { /(\w+)/g } $1 if /^\| key \| default ([^|]+?) \|/;
	push @option_rows, [ $methods, [@order], map { s/\A\s+|\s+\z//gr } split /(?<!\\)\|/, s/\A\|//r ] if /^\| `/;
}

sub error_of { my ($method, $options) = @_; my $err = ''; $node->psql('postgres',
	"CALL xmhash_train('m', 'option_pair', 'image', 'words', 8, method => '$method', label_column => 'label', options => '$options')", stderr => \$err); return $err; }
my @methods = error_of('no_such_method', '{}') =~ /"(\w+)"/g;
@methods = grep { $_ ne 'no_such_method' } @methods;
cmp_ok(scalar(@methods), '>=', 2, "the methods: @methods");
for my $method (@methods)
{
	my $err = error_of($method, '{"no_such_option": 1}');
	my @keys = $err =~ /HINT:[^:]*: (.+?)\.?$/m ? split(/, /, $1) : ();
	cmp_ok(scalar(@keys), '>=', 5, "options of $method: an error lists them") or diag $err;
	$node->safe_psql('postgres', "CALL xmhash_train('m_$method', 'option_pair', 'image', 'words', 8, method => '$method', label_column => 'label')");
	my %took = map { $_->[0] => $_->[1] } listed("SELECT key, value FROM xmhash_models, jsonb_each_text(options) WHERE model = 'm_$method'::regclass");
	for my $key (@keys)
	{
		my ($row) = grep { $_->[2] =~ /`\Q$key\E`/ && ($_->[0] eq 'every method' || $_->[0] =~ /\b\Q$method\E\b/) } @option_rows;
		ok($row, "sql/README.md: option $key of $method") or next;
		my @names = $row->[2] =~ /`(\w+)`/g;
		my ($place) = grep { $names[$_] eq $key } 0 .. $#names;
		my ($column) = grep { $row->[1][$_] eq $method } 0 .. $#{ $row->[1] };
		my $default = $row->[3] =~ s/`|"| each//gr;
		$default = (split ' / ', $default)[ $column // 0 ] if $default =~ m{ / };
		$default = (split ', ', $default)[$place] if $default =~ /, /;
		is(ascii(number($default)), number($took{$key}), "sql/README.md: default of option $key of $method") if exists $took{$key};
	}
}
$node->stop;

# ------------------------------------------------------------- links and names

# The anchor of a heading, as the common renderers make it.
sub anchor { my $heading = lc(shift); $heading =~ s/[^\w\- ]//g; return $heading =~ tr/ /-/r; }
my %anchors = map { my $document = $_; my $prose = $document{$document} =~ s/^```.*?^```$//msgr;
	$document => { map { anchor($_) => 1 } $prose =~ /^#+ (.*)$/mg } } @documents;
my %named = map { basename($_) => 1 } @files;
for my $document (@documents)
{
	my $prose = $document{$document} =~ s/^```.*?^```$//msgr;

	while ($prose =~ /\]\(([^)\s]+)\)/g)
	{
		my ($path, $anchor) = $1 =~ /\A([^#]*)(?:#(.*))?\z/;
		next if $path =~ /^https:/;
		my $target = $path eq '' ? $document : dirname($document) eq '.' ? $path : dirname($document) . "/$path";
		1 while $target =~ s{[^/]+/\.\./}{};
		ok(-e "$top/$target" && (!defined $anchor || $anchors{$target}{$anchor}), ascii("$document: there is $path" . (defined $anchor ? "#$anchor" : '')));
	}
	# capitals stand for a name that is to be chosen
	my @gone = grep { !/_[A-Z]+\.c\z/ && !$named{ basename($_) } } $prose =~ /`((?:[\w.\/-]+\/)?[\w-]+\.(?:c|h|pl|pm|sql|spec|py|sh|java|js))`/g;
	is("@gone", '', "$document: the files that it names are there");
}
done_testing();

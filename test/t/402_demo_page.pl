# The demonstration and the web page it writes: the whole of it runs, the
# models have learned, and the page shows it without anything from outside,
# whatever the titles and the drawings contain; in Chromium, where there is
# one, in light and dark, wide and narrow.
use strict;
use warnings FATAL => 'all';
use utf8;

use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use XmhashBrowser;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
sub query { return $node->safe_psql('demo', shift); }

# As test/run.sh does it: copies of the files in one folder, input by stdin.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $test = dirname($FindBin::RealBin);
copy($_, $folder) or die "$_: $!" for glob("$test/demo/*"), "$test/data/openclipart.csv";
chdir $folder or die $!;

sub run_script
{
	my ($database, $script, @options) = @_;
	my ($stdout, $stderr);
	my $ok = IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr($database), '-v', 'ON_ERROR_STOP=1', @options ],
		'<', $script, '>', \$stdout, '2>', \$stderr);
	ok($ok, "$script runs") or diag $stderr;
	utf8::decode($stdout);
	return $stdout;
}

# ------------------------------------------------------- the demonstration

my $output = run_script('postgres', 'demo.sql');
like($output, qr/\Q── $_. \E/, "section $_ is there") for 1 .. 8;
is(scalar(() = $output =~ /^[^|\n]*\|\d+\|✓?\|[^|\n]+\|[a-z_]+$/mg), 36, 'a line for each drawing found');
is(query('SELECT count(*), count(DISTINCT number), max(rank) FROM found'), '72|12|6', 'six drawings for each of a dozen words');
is(query(q{SELECT count(*) FROM found JOIN pair USING (id) WHERE split <> 'test'}), '0', 'all among the pairs never trained on');
is(query('SELECT count(*) FROM query WHERE (SELECT count(*) FROM train_pair WHERE train_pair.words @@ plainto_tsquery(\'english\', query.words)) < 39'),
	'0', 'each of the words is in at least 39 of the pairs trained on');
# Nearest in the whole test set, as a sequential scan finds them.
is(query(q{SET enable_indexscan = off; SET enable_bitmapscan = off;
	SELECT count(*) FROM (
		SELECT number, distance, row_number() OVER (PARTITION BY number ORDER BY distance) AS rank FROM (
			SELECT query.number, pair.image_code <~> xmhash_encode_text('clipart64', xmhash_bag_of_words(to_tsvector('english', query.words), 1024)) AS distance
			FROM query, test_pair AS pair) AS every) AS ranked
	JOIN (SELECT number, distance, row_number() OVER (PARTITION BY number ORDER BY distance) AS rank FROM found) AS found USING (number, rank)
	WHERE ranked.distance <> found.distance}), '0', 'at the distances of the sequential scan');
is(query('SELECT count(*) FROM quality, chance WHERE quality.map > 2 * chance.map'), '8', 'all models find both ways more than twice what chance would');
cmp_ok(query('SELECT sum(has_words::int) / (SELECT sum(has_words) FROM by_chance) FROM found'), '>', 10, 'ten times more drawings have the words than by chance');
is(query('SELECT count(*) FROM step_seconds WHERE seconds > 0'), '9', 'the seconds of each step');

# ---------------------------------------------------------------- the page

# Drawings that try to run, to load and to break out, for all that was found but
# one that is absent and one that is too large; and a title that is markup.
my @found = split /\n/, query('SELECT path FROM found JOIN pair USING (id) GROUP BY path ORDER BY path');
my ($absent, $large) = @found[0, 1];
foreach my $path (@found)
{
	next if $path eq $absent;
	make_path(dirname("drawings/$path"));
	append_to_file("drawings/$path", qq{<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="30" onload="top.document.title='run'">
<script>top.document.title = 'run'; fetch('http://127.0.0.1:9/script')</script><style>\@import url('http://127.0.0.1:9/style');</style>
<image xlink:href="http://127.0.0.1:9/image" width="9" height="9"/><rect width="40" height="30" fill="#00805d"/></svg>});
}
append_to_file("drawings/$large", '<!--' . 'x' x 200_000 . '-->');
query(q{UPDATE pair SET title = '<script>"&amp;' WHERE id = (SELECT id FROM found WHERE number = 4 AND rank = 2)});
my ($images, $absents, $larges) = split /\|/, query(qq{SELECT count(*) FILTER (WHERE path NOT IN ('$absent', '$large')),
	count(*) FILTER (WHERE path = '$absent'), count(*) FILTER (WHERE path = '$large') FROM found JOIN pair USING (id)});

sub check_page
{
	my ($name, $page, $pictures, $too_large) = @_;
	my %seen;

	ok($page =~ /^<!DOCTYPE html>\n<html lang="en">\n.*<\/html>\n*$/s, "$name: one HTML document");
	is(join(' ', $page =~ /\s((?:src|href|xlink:href)\s*=\s*["']?+(?!data:image\/svg\+xml;base64,|#).{1,40})/gi), '', "$name: refers to itself only");
	is(join(' ', $page =~ /((?:url\(|\@import|<script|<link|<iframe|<object|\son[a-z]+\s*=|\sstyle\s*=).{1,40})/gi), '', "$name: neither scripts nor outside styles");
	ok($page =~ /Content-Security-Policy" content="default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; style-src (?:'sha256-[A-Za-z0-9+\/=]{44}' ?)+"/,
		"$name: a policy that allows pictures and the style sheets on it");
	is(scalar(() = $page =~ /<article /g), 12, "$name: a dozen words");
	is(scalar(() = $page =~ /<li(?: class="has-words")?><(?:img|p|span) /g), 72, "$name: six drawings each");
	is(scalar(() = $page =~ /<img alt="drawing: [^"]+" width/g), $pictures, "$name: pictures, with alternative texts");
	is(scalar(() = $page =~ /<img/g), $pictures, "$name: and none without");
	is(scalar(() = $page =~ /too large to show here/g), $too_large, "$name: what is too large is said to be");
	is(scalar(() = $page =~ /<svg [^>]*class="xmhash-plot"/g), 3, "$name: two trainings, precision over recall");
	ok($page =~ /<th scope="row">Train by JDSH, without labels<\/th><td class="number">\d+\.\d{3}</, "$name: seconds");
	ok($page =~ /&lt;script&gt;&quot;&amp;amp;/, "$name: titles are escaped");
	is(join(' ', grep { $seen{$_}++ } $page =~ /\sid="([^"]+)"/g), '', "$name: no id twice");
	is(join(' ', grep { !$seen{$_} } $page =~ /(?:href="#|labelledby=")([^"]+)"/g), '', "$name: no reference to nowhere");
	return;
}

my $page = run_script('demo', 'page.sql', '-v', "drawings=$folder/drawings");
check_page('page', $page, $images, $larges);
my $titles = run_script('demo', 'page.sql', '-v', 'drawings=');
check_page('page without drawings', $titles, 0, 0);

# ------------------------------------------------------------- the browser

my $program = XmhashBrowser::program();
if (!defined $program)
{
	SKIP: { skip('Chromium is not installed', 25); }
	$node->stop;
	done_testing();
	exit;
}

utf8::encode($page);
append_to_file('page.html', $page);
my $browser = XmhashBrowser->new($program);

# The least contrast of any text to what lies behind it, and where; a plot's
# texts lie on its own ground.
my $contrast = q{(() => {
	const parse = colour => { const n = colour.match(/[\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n };
	const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
	const ground = e => { for (; e; e = e.parentElement) {
		const plot = e.tagName === 'svg' && e.querySelector('.xmhash-back');
		const colour = plot ? getComputedStyle(plot).fill : getComputedStyle(e).backgroundColor;
		if (parse(colour)[3] === 1) return colour } return 'rgb(255, 255, 255)' };
	let least = [99];
	for (const e of document.body.querySelectorAll('*')) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || ['title', 'desc', 'style'].includes(e.tagName)) continue;
		const style = getComputedStyle(e), ink = e.ownerSVGElement ? style.fill : style.color;
		const [a, b] = [light(parse(ink)), light(parse(ground(e)))].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < least[0]) least = [ratio, e.outerHTML.slice(0, 80), ink, ground(e)];
	}
	return least })()};

my %ground;
foreach my $scheme (qw(light dark))
{
	foreach my $width (1200, 360)
	{
		my $name = "$scheme, $width pixels";
		$browser->call('Emulation.setEmulatedMedia', { features => [ { name => 'prefers-color-scheme', value => $scheme } ] });
		$browser->call('Emulation.setDeviceMetricsOverride', { width => $width, height => 800, deviceScaleFactor => 1, mobile => JSON::PP::false });
		$browser->load("file://$folder/page.html");
		is($browser->evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth'), 0, "$name: nothing beside the window");
		is($browser->evaluate(q{[...document.images].filter(i => i.complete && i.naturalWidth === 40).length}), $images, "$name: every picture is drawn");
		is($browser->evaluate(q{[...document.querySelectorAll('svg.xmhash-plot')].filter(p => p.getBoundingClientRect().width >= 300
			&& p.querySelector('path.xmhash-line').getTotalLength() > 100
			&& getComputedStyle(p.querySelector('path.xmhash-line')).fill === 'none').length}), 3, "$name: every chart is drawn, with its styles");
		my $least = $browser->evaluate($contrast);
		cmp_ok($least->[0], '>=', 4.5, "$name: contrast of all texts") or diag explain $least;
		$ground{$scheme} = $browser->evaluate('getComputedStyle(document.body).backgroundColor');
	}
}
isnt($ground{light}, $ground{dark}, 'dark is another colour');
is($browser->evaluate('document.title'), 'xmhash: finding drawings by words in PostgreSQL', 'no script of a drawing has run');
is_deeply($browser->evaluate(q{['header', 'nav', 'main', 'footer', 'h1'].map(n => document.querySelectorAll((n === 'header' ? 'body > ' : '') + n).length)}),
	[ 1, 1, 1, 1, 1 ], 'landmarks and one main heading');
is($browser->evaluate(q{(() => { let last = 0; return [...document.querySelectorAll('h1,h2,h3,h4')].every(h => {
	const level = +h.tagName[1], ok = level <= last + 1; last = level; return ok })})()}) ? 1 : 0, 1, 'no level of headings is left out');

my @requests = map { $_->{request}{url} } $browser->events('Network.requestWillBeSent');
is(scalar(grep { m{^file://\Q$folder\E/page\.html} } @requests), 4, 'the page was loaded four times');
is(join("\n", grep { !m{^data:image/svg\+xml;base64,|^file://\Q$folder\E/page\.html|^about:blank} } @requests), '', 'and nothing besides');
is(join("\n", map { $_->{entry}{text} } $browser->events('Log.entryAdded')), '', 'the browser complains of nothing');
is(scalar($browser->events('Runtime.consoleAPICalled')) + scalar($browser->events('Runtime.exceptionThrown')), 0, 'nothing in its console');

# The same pair of eyes sees what it should complain of.
append_to_file('bad.html', $page =~ s{</main>}{<p style="color: red">x</p><img src="http://127.0.0.1:9/x.png" alt="x"></main>}r);
$browser->load("file://$folder/bad.html");
is(scalar(grep { $_->{entry}{text} =~ /Content Security Policy/ } $browser->events('Log.entryAdded')), 2, 'the policy is in force, and reported here');

$browser->stop;
$node->stop;
done_testing();

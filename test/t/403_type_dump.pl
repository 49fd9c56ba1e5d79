# Views, indexes, constraints and defaults with all forms of operators on codes
# and bit strings survive dump and restore, where nothing is in the search path;
# codes and balls do in the text and the binary format.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('source', q{
CREATE SCHEMA ext;
CREATE EXTENSION xmhash SCHEMA ext;
SET search_path = ext, public, pg_catalog;
-- as pgvector has them
CREATE FUNCTION ext.hamming_distance(bit, bit) RETURNS double precision IMMUTABLE STRICT PARALLEL SAFE LANGUAGE sql AS 'SELECT pg_catalog.bit_count($1 OPERATOR(pg_catalog.#) $2)::double precision';
CREATE OPERATOR ext.<~> (LEFTARG = bit, RIGHTARG = bit, FUNCTION = ext.hamming_distance, COMMUTATOR = OPERATOR(ext.<~>));
CREATE TABLE public.item (id int PRIMARY KEY, code bitcode(16) DEFAULT B'1111000011110000', bits bit(16), ball hamming_ball,
  CHECK (code <> B'0000000000000001'), CHECK (hamming_within(code, B'0000000000000000', 16) AND NOT hamming_within('xFFFF', code, -1)));
INSERT INTO public.item SELECT i, ('x' || left(md5(i::text), 4))::bitcode, (i * 5)::bit(16), hamming_ball((i * 7)::bit(16), i % 5) FROM generate_series(1, 2000) AS i;
INSERT INTO public.item (id) VALUES (0);
CREATE INDEX item_code ON public.item USING xmhash (code);
CREATE INDEX item_bits ON public.item USING xmhash ((bits::bitcode));
CREATE INDEX item_some ON public.item (id) WHERE code > B'1' AND code <~> B'1010101010101010' < 7;
CREATE INDEX item_distance ON public.item ((B'1010101010101010' <~> code), to_hex(code));
CREATE INDEX item_ball ON public.item (ball);
CREATE VIEW public.forms AS SELECT id, code = B'0101010101010101' AS a, B'01' < code AS b, code <~> B'0101010101010101' AS c, B'0101010101010101' <~> code AS d, code <~> bits AS e, code <~> 'x5A5A' AS f,
  bits <~> B'0101010101010101' AS g, bits <~> '0101010101010101' AS h, hamming_within(code, bits, 3) AS i, hamming_within(code, 'x5A5A', 3) AS j, ball @> code AS k, code <@ ball AS l, code IN (B'01', 'x5A5A') AS m,
  overlay(code, '1', 2) AS n, set_bit(code, 1, 1) AS o, code & 'xFF00' AS p, bit_position('101', code) AS q, '(x5A5A,3)' = ball AS r, code::bit(16) = bits AS s, 12297829382473034410::numeric::bitcode AS t
  FROM public.item;
ANALYZE public.item;
CREATE MATERIALIZED VIEW public.totals AS SELECT bit_and(code), bit_or(code), bit_xor(code), bit_majority(code), count(*) FILTER (WHERE code <= bits) FROM public.item;
});

my $definitions = q{SELECT string_agg(pg_get_viewdef(c), E'\n') || (SELECT string_agg(pg_get_indexdef(indexrelid), E'\n' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 'public.item'::regclass)
  || (SELECT string_agg(pg_get_constraintdef(oid), E'\n' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'public.item'::regclass AND contype = 'c')
  || (SELECT string_agg(pg_get_expr(adbin, adrelid), E'\n') FROM pg_attrdef WHERE adrelid = 'public.item'::regclass) FROM (VALUES ('public.forms'::regclass), ('public.totals')) AS v (c)};
my $content = q{SELECT md5(string_agg(v::text, ',' ORDER BY v.id)) || (SELECT md5(string_agg(w::text, ',' ORDER BY w.id)) FROM public.item w) || (SELECT z::text FROM public.totals z) FROM public.forms v};
my $index = q{SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SELECT count(*), sum(id) FROM public.item WHERE ext.hamming_within(code, B'0101010101010101', 4);
  EXPLAIN (COSTS off) SELECT id FROM public.item ORDER BY code OPERATOR(ext.<~>) B'0101010101010101' LIMIT 3;
  EXPLAIN (COSTS off) SELECT id FROM public.item WHERE code OPERATOR(ext.=) B'0101010101010101';
  EXPLAIN (COSTS off) SELECT id FROM public.item WHERE code OPERATOR(ext.>) B'1' AND code OPERATOR(ext.<~>) B'1010101010101010' < 7};
my @before = map { $node->safe_psql('source', "SET search_path = ''; $_") } ($definitions, $content, $index);
like($before[2], qr/Order By: .*<~>/, 'the index gives the order by distance from a bit constant');
like($before[2], qr/Index Cond: \(code OPERATOR\(ext\.=\)/, 'and rows equal to one');
like($before[2], qr/item_some/, 'the partial index is matched');

for my $format ('plain', 'custom')
{
	my $file = PostgreSQL::Test::Utils::tempdir . "/dump.$format";
	my $target = "target_$format";
	$node->safe_psql('postgres', "CREATE DATABASE $target");
	$node->command_ok([ 'pg_dump', '-F', $format, '-f', $file, $node->connstr('source') ], "$format dump");
	$node->command_ok($format eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file, $node->connstr($target) ]
		: [ 'pg_restore', '--exit-on-error', '-d', $node->connstr($target), $file ], "$format restore");
	$node->safe_psql($target, 'ANALYZE');
	my @after = map { $node->safe_psql($target, "SET search_path = ''; $_") } ($definitions, $content, $index);
	is($after[0], $before[0], "$format: definitions are the same");
	is($after[1], $before[1], "$format: so are the rows");
	is($after[2], $before[2], "$format: and the indexes serve the same");
	is($node->safe_psql($target, q{SELECT ext.xmhash_index_check('item_code', true), ext.xmhash_index_check('item_bits', true)}), '|', "$format: which are sound");
}

my $file = PostgreSQL::Test::Utils::tempdir . '/item.copy';
$node->safe_psql('source', qq{COPY public.item TO '$file' (FORMAT binary); CREATE TABLE public.again (LIKE public.item); COPY public.again FROM '$file' (FORMAT binary)});
is($node->safe_psql('source', 'SELECT count(*) FROM (TABLE public.item EXCEPT TABLE public.again) AS d'), '0', 'the binary format gives back codes and balls as they were');

# IS DISTINCT FROM has no place for an operator's schema: a restore does not find the operator, what is to be written instead it does.
sub restored
{
	my ($condition, $database) = @_;
	my $dump = PostgreSQL::Test::Utils::tempdir . '/distinct';
	$node->safe_psql('postgres', "CREATE DATABASE $_") for ("${database}_source", $database);
	$node->safe_psql("${database}_source", qq{CREATE EXTENSION xmhash; CREATE TABLE pair (id int, a bitcode, b bitcode);
		INSERT INTO pair VALUES (1, '01', '01'), (2, '01', '10'), (3, '01', NULL), (4, NULL, NULL);
		CREATE VIEW different AS SELECT id FROM pair WHERE $condition});
	$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr("${database}_source") ], "a view with $condition is dumped");
	my ($out, $err);
	my $success = IPC::Run::run([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr($database) ], '>', \$out, '2>', \$err);
	return $success ? $node->safe_psql($database, q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM different}) : $err;
}
like(restored('a IS DISTINCT FROM b', 'bare'), qr/operator does not exist: public\.bitcode = public\.bitcode/, 'and not restored');
is(restored('NOT (a OPERATOR(public.=) b)', 'named'), '2', 'restored, without the rows that have a NULL');
is(restored('(a IS NULL) <> (b IS NULL) OR NOT (a OPERATOR(public.=) b)', 'nulls'), '2 3', 'restored, with NULL treated beside it');
is(restored('a::text IS DISTINCT FROM b::text', 'texts'), '2 3', 'restored, compared as texts');

done_testing();

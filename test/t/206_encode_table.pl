# Encoding a table can be interrupted and called again, is seen by others batch
# by batch, and never gives a row the code of another or of former features,
# whoever writes to the table or vacuums it meanwhile.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE item (id integer PRIMARY KEY, image real[], words real[], image_code bitcode, words_code bitcode) WITH (fillfactor = 70);
INSERT INTO item
  SELECT id, ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 16) AS n),
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 20) AS n)
  FROM generate_series(1, 30000) AS id;
SET xmhash.progress = off;
CALL xmhash_train('m', 'item', 'image', 'words', 64, options => '{"epochs": 1, "image_hidden": 512}');
CREATE FUNCTION wrong() RETURNS bigint LANGUAGE sql AS $$
  SELECT count(*) FROM item WHERE image_code <> xmhash_encode_image('m', image) OR words_code <> xmhash_encode_text('m', words)
$$;
});

sub query { return $node->safe_psql('postgres', shift); }

my $call = q{CALL xmhash_encode_table('m', 'item', 'image', 'image_code', 'words', 'words_code', batch_rows => 200)};

sub start_psql
{
	my ($name, $script) = @_;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=$name", '-c', $script ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Cancelled in the middle: what is done stays.  It ends within a second, unless the machine is busy just then.
my ($session, $late);
for (1 .. 8)
{
	query('UPDATE item SET image_code = NULL, words_code = NULL');
	$session = start_psql('encode', $call);
	$node->poll_query_until('postgres', q{SELECT count(image_code) > 500 FROM item}) or die 'no progress';
	my $start = time();
	query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'encode'});
	$session->{run}->finish;
	$late = time() - $start;
	last if $late < 1.2;
}
cmp_ok($late, '<', 1.5, 'cancelled within a second');
my $done = query(q{SELECT count(*) FROM item WHERE image_code IS NOT NULL AND words_code IS NOT NULL});
if ($session->{err} =~ /canceling statement/)
{
	cmp_ok($done, '<', 30000, 'some rows are left');
	is(query(q{SELECT count(*) FROM item WHERE (image_code IS NULL) <> (words_code IS NULL)}), 0, 'both codes of a row come at once');
}
cmp_ok($done, '>', 500, 'what was committed stays');
my (undef, undef, $said) = $node->psql('postgres', $call);
like($said, qr/INFO:  encoded \d+ rows of public.item, 100 % of its blocks visited/, 'the next call goes on, and says how far it is');
is(query(q{SELECT count(*) FROM item WHERE image_code IS NULL OR words_code IS NULL}), 0, 'and does the rest');
is(query('SELECT wrong()'), 0, 'all are right');

# Writers change features (and so remove the code), delete and insert rows, and
# VACUUM frees places for others, all while codes are filled in.  One row a
# transaction: one that holds a row and wants another may deadlock with a batch.
query('UPDATE item SET image_code = NULL, words_code = NULL');
my @writers = map {
	start_psql("writer$_", qq{
		DO \$\$
		DECLARE
		  n integer := $_;
		BEGIN
		  FOR i IN 1 .. 20000 LOOP
		    n := (n * 7919 + 104729) % 30011 + 1;
		    UPDATE item SET image = ARRAY(SELECT cos(n * k + i)::real FROM generate_series(1, 16) k), image_code = NULL WHERE id = n;
		    COMMIT;
		    IF i % 5 = 0 THEN DELETE FROM item WHERE id = n + 3; END IF;
		    COMMIT;
		    IF i % 7 = 0 THEN
		      INSERT INTO item VALUES (n + 3, (SELECT image FROM item WHERE id = n), (SELECT words FROM item WHERE id = n)) ON CONFLICT DO NOTHING;
		    END IF;
		    COMMIT;
		  END LOOP;
		END \$\$})
} (1 .. 2);
my $rounds = 0;
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE application_name LIKE 'writer%'})
  or die 'the writers did not come';
while (query(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'writer%'}) > 0)
{
	query("SET xmhash.progress = off; $call");
	query('VACUUM item');
	$rounds++;
}
$_->{run}->finish for @writers;
is(join('', map { $_->{err} } @writers), '', 'the writers met no error');
cmp_ok($rounds, '>=', 1, "$rounds calls while they wrote");
is(query('SELECT wrong()'), 0, 'no row has a code that is not its own');
query("SET xmhash.progress = off; $call");
is(query(q{SELECT count(*) FROM item WHERE (image IS NOT NULL AND image_code IS NULL) OR (words IS NOT NULL AND words_code IS NULL)}), 0, 'a last call finds them all');
is(query('SELECT wrong()'), 0, 'and they are right');

$node->stop;
done_testing();

# A write that fails in the middle of a training, of its checkpoint, of the
# finished weights, or of the file that rows are spilled to, ends the training
# with an error.  Nothing half-written is left: it goes on from the last good
# checkpoint, and ends in the weights of an undisturbed training, bit by bit.
#
# Writes are made to fail by bounding the size of the files that the training's
# process may write.  The server ignores the signal and meets a short write, as
# on a full disk.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

plan skip_all => 'prlimit (util-linux) is not there' if system('prlimit --version >/dev/null 2>&1') != 0;

# Segments of WAL have to stay below the bound, hence small ones.
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => ['--wal-segsize=1']);
$node->append_conf('postgresql.conf', "xmhash.threads = 1\nautovacuum = off\nmax_wal_size = 64MB\nshared_buffers = 128MB");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, 'class ' || id % 11 AS label,
         ARRAY(SELECT (sin(n * (1 + id % 11)) + hashint4(id * 512 + n) / 4294967296.0)::real FROM generate_series(1, 256) AS n) AS image,
         ARRAY(SELECT (hashint4(id * 512 - n) / 2147483648.0)::real FROM generate_series(1, 600) AS n) AS words
  FROM generate_series(1, 600) AS id;
CREATE TABLE hold (epoch integer);
CREATE FUNCTION hold(epoch integer) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  WHILE EXISTS (SELECT FROM public.hold AS h WHERE h.epoch = $1) LOOP
    PERFORM pg_sleep(0.1);
  END LOOP;
  RETURN true;
END $$;
-- Held in the middle of being read: epoch 0.
CREATE VIEW slow AS SELECT image, words FROM pair WHERE id <> 400 OR hold(0);
});

sub query { return $node->safe_psql('postgres', shift); }

# Bytes of the file that holds the model's weights and checkpoints.
sub weight_bytes { return query(q{SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'broken'::regclass}); }

sub bound
{
	my $bytes = shift;
	my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'training'});
	system('prlimit', "--pid=$pid", "--fsize=$bytes:") == 0 or die 'prlimit fails';
	return;
}

# Run a call up to an epoch, bound the files of its process by what the given
# code says, let it go on, and return what it said.
sub fail_at
{
	my ($epoch, $bytes, $call) = @_;
	my $session = hold_training($node, 'broken', $epoch, $call);
	bound($bytes->());
	finish_hold($node, $session);
	$session->{run}->finish;
	return $session->{err};
}

sub error_of { my (undef, undef, $said) = $node->psql('postgres', shift); return $said; }

my %trainings = (
	jdsh => [ q{'jdsh', 'label'}, q{, "image_hidden": 512, "validation_fraction": 0.1, "keep_best": true} ],
	dmsh_ln => [ q{'dmsh_ln', 'label'}, q{, "image_hidden": 400, "text_hidden": 300} ]);

for my $method (sort keys %trainings)
{
	my ($which, $options) = @{ $trainings{$method} };
	my $arguments = qq{'pair', 'image', 'words', 64, $which, '{"epochs": 8, "checkpoint_seconds": %s$options}'};

	query(sprintf(qq{CALL xmhash_train('whole', $arguments)}, 1000));
	my $expected = outcome($node, 'whole');
	like($expected, qr/\|trained\|0$/, "$method: undisturbed");

	# The second of two checkpoints more than there is room for is cut in its middle:
	# at first by a page that does not fit, then in the middle of a page.
	my $per_epoch = 0;
	my $said = fail_at(5, sub {
			my $bytes = weight_bytes();
			$per_epoch = int($bytes / 4 / 8192) * 8192;
			cmp_ok($per_epoch, '>', 1_000_000, "$method: a checkpoint is of some size");
			return $bytes + 8192 * int($per_epoch * 1.5 / 8192);
		}, sprintf(qq{CALL xmhash_train('broken', $arguments)}, 0));
	like($said, qr/ERROR:  could not extend file/, "$method: a checkpoint cannot be written");
	like($said, qr/epoch 5 of 8/, 'after one that could');
	unlike($said, qr/epoch 6 of 8/, 'the epoch that it belonged to is not done');
	is(query(q{SELECT status || epochs_done FROM xmhash_models WHERE model = 'broken'::regclass}), 'interrupted5', 'what was committed before is there');
	is(query(q{SELECT info -> 'epoch' FROM broken WHERE part = 'checkpoint' AND number = 0}), 5, 'with its checkpoint');
	is(query(q{SELECT count(*) || ' ' || bool_and(octet_length(data) > 1000000) FROM broken WHERE part = 'checkpoint'}), '1 true', 'which is whole');

	$said = fail_at(6, sub { return weight_bytes() + 8192 * int($per_epoch / 2 / 8192) + 4096; },
		q{CALL xmhash_train_resume('broken')});
	like($said, qr/resuming after epoch 5 of 8/, 'resumed');
	like($said, qr/ERROR:  could not extend file .*(wrote only 4096 of 8192 bytes|File too large)/, 'and cut again');

	$said = fail_at(8, sub { return weight_bytes() + 81920; }, q{CALL xmhash_train_resume('broken')});
	like($said, qr/resuming after epoch 5 of 8.*epoch 8 of 8.*ERROR:  could not extend file/s, 'the finished weights cannot be written');
	is(query(q{SELECT count(*) FILTER (WHERE part = 'weights'), max(info ->> 'epoch') FROM broken WHERE part IN ('weights', 'checkpoint')}), '0|7',
		'nothing of them is left, but the last checkpoint');
	like(error_of(q{SELECT xmhash_encode_image('broken', image) FROM pair}), qr/model "broken" is not trained yet/, 'the model is no finished one');

	like(error_of(q{CALL xmhash_train_resume('broken')}), qr/resuming after epoch 7 of 8/, 'resumed for the last time');
	is(outcome($node, 'broken'), $expected, "$method: weights and log of the undisturbed training");
	query(q{DROP TABLE broken, whole});
}

# The file that rows are spilled to.
my $spill = q{SET xmhash.train_work_mem = '64kB'; %s CALL xmhash_train('spilled', '%s', 'image', 'words', 16, options => '{"epochs": 2}')};
my $nothing = q{SELECT (SELECT count(*) FROM xmhash_models) + (SELECT count(*) FROM pg_ls_tmpdir())
	+ (SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ExclusiveLock')};
like(error_of(sprintf($spill, q{SET temp_file_limit = '1MB';}, 'pair')), qr/ERROR:  temporary file size exceeds "?temp_file_limit/, 'no more temporary files are allowed');
is(query($nothing), 0, 'nothing is left of a training that could not read its rows');
query('INSERT INTO hold VALUES (0)');
my $session = start_session($node, 'training', sprintf($spill, '', 'slow'));
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'training' AND wait_event = 'PgSleep'}) or die 'no training';
bound(1200 * 1024);
query('DELETE FROM hold');
$session->{run}->finish;
like($session->{err}, qr/ERROR:  could not write training rows to temporary file/, 'a file of rows cannot be written');
is(query($nothing), 0, 'nothing is left then, either');
query(sprintf($spill, '', 'slow'));
is(query(q{SELECT status FROM xmhash_models}), 'trained', 'and it trains when it can');

$node->stop;
done_testing();

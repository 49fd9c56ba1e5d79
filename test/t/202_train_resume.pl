# A training that is cancelled, terminated, or killed with the whole server goes
# on from its last checkpoint and ends in the weights of an uninterrupted one,
# bit by bit; on other rows it is refused.  Trainings are held at a given epoch
# by a trigger on their log, so that nothing depends on how fast they are.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.threads = 2\nfsync = on\nmax_prepared_transactions = 1");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, 'class ' || id % 11 AS label,
         ARRAY(SELECT (sin(n * (1 + id % 11)) + hashint4(id * 512 + n) / 4294967296.0)::real FROM generate_series(1, 256) AS n) AS image,
         ARRAY(SELECT (n % 11 = id % 11 OR hashint4(id * 512 - n) % 50 = 0)::integer::real FROM generate_series(1, 300) AS n) AS words
  FROM generate_series(1, 600) AS id;
CREATE TABLE hold (epoch integer);
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  WHILE EXISTS (SELECT FROM public.hold h WHERE h.epoch = NEW.epoch) LOOP
    PERFORM pg_sleep(0.5);
  END LOOP;
  RETURN NEW;
END $$;
CREATE TRIGGER hold BEFORE INSERT ON xmhash_training_log FOR EACH ROW EXECUTE FUNCTION hold();
});

sub query { return $node->safe_psql('postgres', shift); }

# All that a training leaves, times apart.
sub outcome
{
	my $name = shift;
	return query(qq{
		SELECT (SELECT string_agg(md5(p.data), ',' ORDER BY p.part) FROM xmhash_model_part p WHERE p.model = m.id),
		       (SELECT md5(string_agg(concat_ws(' ', l.epoch, l.loss, l.loss_terms, l.learning_rate, l.validation_map), ',' ORDER BY l.epoch))
		        FROM xmhash_training_log l WHERE l.model = m.id),
		       m.status, (SELECT count(*) FROM xmhash_checkpoint c WHERE c.model = m.id)
		FROM xmhash_model m WHERE m.name = '$name'});
}

sub start_training
{
	my $call = shift;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=training', '-c', $call ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Run a call until the training is about to log an epoch, and interrupt it there.
sub interrupt_at
{
	my ($epoch, $how, $call) = @_;
	query("DELETE FROM hold; INSERT INTO hold VALUES ($epoch)");
	my $session = start_training($call);
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'training' AND wait_event = 'PgSleep'})
	  or die "epoch $epoch does not come: $session->{err}";
	interrupt($how);
	$session->{run}->finish;
	$node->start if $how eq 'kill';
	query('DELETE FROM hold');
	is(query(q{SELECT status FROM xmhash_models WHERE name = 'broken'}), 'interrupted', "$how at epoch $epoch: shown as interrupted");
	return $session->{err};
}

sub interrupt
{
	my $how = shift;
	return kill_server() if $how eq 'kill';
	query("SELECT pg_${how}_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'");
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'training'});
	return;
}

# The server's last process ends by itself, once it notices.
sub kill_server
{
	my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'training'});
	$node->kill9;
	for (1 .. 100)
	{
		last unless kill(0, $pid);
		usleep(50_000);
	}
	ok(!kill(0, $pid), 'a training whose server is gone ends');
}

my $epochs = 12;
my %trainings = (
	'jdsh' => [ q{'jdsh', NULL}, q{} ],
	'jdsh with a hidden layer, validated' => [ q{'jdsh', 'label'}, q{, "text_hidden": 256, "validation_fraction": 0.1, "keep_best": true} ],
	'dmsh_ln' => [ q{'dmsh_ln', 'label'}, q{, "image_hidden": 64} ]);

# Each with checkpoints at every epoch, and without any; and each killed.
my %interruptions = (
	'jdsh' => [ [ 'cancel', 0 ], [ 'terminate', 1000 ], [ 'kill', 0 ] ],
	'jdsh with a hidden layer, validated' => [ [ 'cancel', 1000 ], [ 'terminate', 0 ], [ 'kill', 0 ] ],
	'dmsh_ln' => [ [ 'cancel', 0 ], [ 'terminate', 1000 ], [ 'kill', 0 ], [ 'kill', 1000 ] ]);

for my $what (sort keys %trainings)
{
	my ($method, $options) = @{ $trainings{$what} };
	my $arguments = qq{'pair', 'image', 'words', 48, $method, '{"epochs": $epochs, "checkpoint_seconds": %s$options}'};

	query(sprintf(qq{CALL xmhash_train('whole', $arguments)}, 1000));
	my $expected = outcome('whole');
	like($expected, qr/\|trained\|0$/, "$what: uninterrupted");

	# Twice interrupted; what was to be logged then is not.
	for my $interruption (@{ $interruptions{$what} })
	{
		my ($how, $seconds) = @$interruption;
		my ($first, $second) = $seconds == 0 ? (4, 8) : (0, 0);
		interrupt_at(5, $how, sprintf(qq{CALL xmhash_train('broken', $arguments)}, $seconds));
		is(query(q{SELECT epochs_done FROM xmhash_models WHERE name = 'broken'}), 4, 'what was committed before is there');
		like(interrupt_at(9, 'cancel', q{CALL xmhash_train_resume('broken')}), qr/resuming after epoch $first of $epochs/, 'resumed where it should');
		my (undef, undef, $said) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
		like($said, qr/resuming after epoch $second of $epochs/, 'and again');
		is(outcome('broken'), $expected, "$what, $how, checkpoints every $seconds s: same weights and log as the uninterrupted training");
		query(q{SELECT xmhash_drop_model('broken')});
	}
	query(q{SELECT xmhash_drop_model('whole')});
}

# Rows that have changed are refused; an order of their own is no change.
interrupt_at(3, 'cancel', q{CALL xmhash_train('broken', 'pair', 'image', 'words', 16, options => '{"epochs": 1000000, "checkpoint_seconds": 0}')});
my (undef, undef, $error) = $node->psql('postgres', q{BEGIN; UPDATE pair SET image[3] = image[3] + 0.25 WHERE id = 77; CALL xmhash_train_resume('broken')});
like($error, qr/the rows of relation public.pair have changed since the training of model "broken" began/, 'changed rows are refused');
(undef, undef, $error) = $node->psql('postgres', q{BEGIN; DELETE FROM pair WHERE id = 77; CALL xmhash_train_resume('broken')});
like($error, qr/relation public.pair has 599 pairs to train on, but the training of model "broken" began with 600/, 'missing rows are refused');
(undef, undef, $error) = $node->psql('postgres', q{ALTER TABLE pair RENAME TO moved; CALL xmhash_train_resume('broken')});
like($error, qr/relation "public.pair" does not exist/, 'a renamed table is missed');
(undef, undef, $error) = $node->psql('postgres', q{
	ALTER TABLE moved RENAME TO pair;
	CREATE TABLE copy AS SELECT * FROM pair ORDER BY id DESC;
	TRUNCATE pair; INSERT INTO pair SELECT * FROM copy;
	SELECT 1});
is($error, '', 'the same rows come in another order');
like(interrupt_at(6, 'cancel', q{CALL xmhash_train_resume('broken')}), qr/resuming after epoch 2 of 1000000/, 'rows in another order are the same rows');

# A server that is gone is noticed while the training computes, too.
my $session = start_training(q{CALL xmhash_train_resume('broken')});
$node->poll_query_until('postgres', q{SELECT epochs_done > 7 FROM xmhash_models}) or die 'no progress';
kill_server();
$session->{run}->finish;
$node->start;
is(query(q{SELECT status FROM xmhash_models}), 'interrupted', 'and the training is there to be resumed');

# A model whose row is deleted while it is trained: that ends the training, and
# nothing of it is left.
query('INSERT INTO hold SELECT max(epoch) + 2 FROM xmhash_training_log');
$session = start_training(q{CALL xmhash_train_resume('broken')});
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'training' AND wait_event = 'PgSleep'})
  or die "no progress: $session->{err}";
my $deletion = start_training(q{SET application_name = 'deletion'; DELETE FROM xmhash_model});
$node->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'deletion' AND wait_event_type = 'Lock'})
  or die "no deletion: $deletion->{err}";
query('DELETE FROM hold');
$_->{run}->finish for ($deletion, $session);
is($deletion->{err}, '', 'the row of a model in training is deleted');
like($session->{err}, qr/ERROR:  model "broken" has been removed meanwhile/, 'which ends the training');
is(query(q{SELECT (SELECT count(*) FROM xmhash_training_log) + (SELECT count(*) FROM xmhash_checkpoint) +
	(SELECT count(*) FROM xmhash_checkpoint_part) + (SELECT count(*) FROM xmhash_model_part)}), 0, 'and leaves nothing');

# A prepared transaction holds a model as a session does.
query(q{CALL xmhash_train('prepared', 'pair', 'image', 'words', 16, options => '{"epochs": 1}')});
query(q{BEGIN; SELECT xmhash_drop_model('prepared'); PREPARE TRANSACTION 'p'});
(undef, undef, $error) = $node->psql('postgres', q{SELECT xmhash_rename_model('prepared', 'other')});
like($error, qr/model "prepared" is in use by a prepared transaction/, 'held by a prepared transaction');
query(q{ROLLBACK PREPARED 'p'});
is(query(q{SELECT length(xmhash_encode_image('prepared', image)) FROM pair LIMIT 1}), 16, 'there again after its rollback');
query(q{BEGIN; SELECT xmhash_drop_model('prepared'); PREPARE TRANSACTION 'p'});
query(q{COMMIT PREPARED 'p'});
is(query(q{SELECT count(*) FROM xmhash_models}), 0, 'gone after its commit');

$node->stop;
done_testing();

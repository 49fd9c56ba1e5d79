# A training that is cancelled, terminated, or killed with the whole server goes
# on from its last checkpoint and ends in the weights of an uninterrupted one,
# bit by bit; on other rows it is refused.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);
use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

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
});

sub query { return $node->safe_psql('postgres', shift); }

# Run a call until the training is about to write an epoch, and interrupt it there.
sub interrupt_at
{
	my ($epoch, $how, $call) = @_;
	my $session = hold_training($node, 'broken', $epoch, $call);
	interrupt($how);
	$session->{run}->finish;
	$how eq 'kill' ? $session->{holder}{run}->finish : finish_hold($node, $session);
	$node->start if $how eq 'kill';
	is(query(q{SELECT status FROM xmhash_models WHERE model = 'broken'::regclass}), 'interrupted', "$how at epoch $epoch: shown as interrupted");
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
	for (1 .. 20 * $PostgreSQL::Test::Utils::timeout_default)
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
	my $expected = outcome($node, 'whole');
	like($expected, qr/\|trained\|0$/, "$what: uninterrupted");

	# Twice interrupted; what was to be logged then is not.
	for my $interruption (@{ $interruptions{$what} })
	{
		my ($how, $seconds) = @$interruption;
		my ($first, $second) = $seconds == 0 ? (4, 8) : (0, 0);
		interrupt_at(5, $how, sprintf(qq{CALL xmhash_train('broken', $arguments)}, $seconds));
		is(query(q{SELECT epochs_done FROM xmhash_models WHERE model = 'broken'::regclass}), 4, 'what was committed before is there');
		like(interrupt_at(9, 'cancel', q{CALL xmhash_train_resume('broken')}), qr/resuming after epoch $first of $epochs/, 'resumed where it should');
		my (undef, undef, $said) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
		like($said, qr/resuming after epoch $second of $epochs/, 'and again');
		is(outcome($node, 'broken'), $expected, "$what, $how, checkpoints every $seconds s: same weights and log as the uninterrupted training");
		query('DROP TABLE broken');
	}
	query('DROP TABLE whole');
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
my $session = start_session($node, 'training', q{CALL xmhash_train_resume('broken')});
$node->poll_query_until('postgres', q{SELECT epochs_done > 7 FROM xmhash_models}) or die 'no progress';
kill_server();
$session->{run}->finish;
$node->start;
is(query(q{SELECT status FROM xmhash_models}), 'interrupted', 'and the training is there to be resumed');

# Rows that are deleted while it is trained: that ends the training.
$session = hold_training($node, 'broken', query(q{SELECT max(epoch) + 2 FROM xmhash_training}), q{CALL xmhash_train_resume('broken')});
query(q{DELETE FROM broken});
finish_hold($node, $session);
$session->{run}->finish;
like($session->{err}, qr/ERROR:  rows of model "broken" have been changed meanwhile/, 'removed rows end the training');
is(query(q{SELECT status FROM xmhash_models}), 'empty', 'and nothing is left of the model but its table');
query('DROP TABLE broken');

# DROP and RENAME wait for a training, as they would for VACUUM; those who wait
# do not keep a second training from being refused at once.
$session = hold_training($node, 'broken', 5, q{CALL xmhash_train('broken', 'pair', 'image', 'words', 16, options => '{"epochs": 6}')});
my $pid = query(q{SELECT pid FROM pg_stat_activity WHERE application_name = 'training'});
my $drop = start_session($node, 'drop', 'DROP TABLE broken');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'drop' AND wait_event_type = 'Lock'}) or die 'no DROP';
(undef, undef, $error) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
like($error, qr/model "broken" is in use by the process with PID $pid/, 'a second training is refused, behind a DROP too');
is(query(q{SELECT count(*) FROM xmhash_models WHERE status IS NULL}), 1, 'and the view does not wait');
finish_hold($node, $session);
$_->{run}->finish for ($session, $drop);
is($drop->{err}, '', 'a DROP waits for the end of the training');
is($session->{err} =~ /epoch 6 of 6/ && query(q{SELECT count(*) FROM xmhash_models}), 0, 'which is not disturbed, and drops the model');

# Renamed while it is resumed: that waits as well, and the new name has what was trained.
interrupt_at(3, 'cancel', q{CALL xmhash_train('broken', 'pair', 'image', 'words', 16, options => '{"epochs": 6}')});
$session = hold_training($node, 'broken', 5, q{CALL xmhash_train_resume('broken')});
my $rename = start_session($node, 'rename', 'ALTER TABLE broken RENAME TO another');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'rename' AND wait_event_type = 'Lock'}) or die 'no RENAME';
finish_hold($node, $session);
$_->{run}->finish for ($session, $rename);
is($rename->{err}, '', 'a RENAME waits for the end of a resumed training');
is(query(q{SELECT concat_ws(' ', model, status, epochs_done) FROM xmhash_models}), 'another trained 6', 'which is not disturbed either');
query('DROP TABLE another');

# A prepared transaction holds a training as a session does.
hold_training($node, 'broken', 3, q{CALL xmhash_train('broken', 'pair', 'image', 'words', 16, options => '{"epochs": 4}')});
query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN ('holder', 'training')});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name IN ('holder', 'training')});
query(q{BEGIN; CALL xmhash_train_resume('broken'); PREPARE TRANSACTION 'p'});
(undef, undef, $error) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
like($error, qr/model "broken" is in use by a prepared transaction/, 'held by a prepared transaction');
query(q{ROLLBACK PREPARED 'p'});
is(query(q{SELECT status FROM xmhash_models}), 'interrupted', 'as before after its rollback');
query(q{BEGIN; CALL xmhash_train_resume('broken'); PREPARE TRANSACTION 'p'});
query(q{COMMIT PREPARED 'p'});
is(query(q{SELECT status FROM xmhash_models}), 'trained', 'trained after its commit');
is(query(q{SELECT length(xmhash_encode_image('broken', image)) FROM pair LIMIT 1}), 16, 'it encodes');

$node->stop;
done_testing();

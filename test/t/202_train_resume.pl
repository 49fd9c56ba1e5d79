# A training that is cancelled, terminated, or killed with the whole server goes
# on from its last checkpoint and ends in the weights of an uninterrupted one,
# bit by bit; on other rows it is refused.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.threads = 2\nfsync = on");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, 'class ' || id % 11 AS label,
         ARRAY(SELECT (sin(n * (1 + id % 11)) + hashint4(id * 512 + n) / 4294967296.0)::real FROM generate_series(1, 256) AS n) AS image,
         ARRAY(SELECT (n % 11 = id % 11 OR hashint4(id * 512 - n) % 50 = 0)::integer::real FROM generate_series(1, 300) AS n) AS words
  FROM generate_series(1, 3000) AS id;
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

my %interrupt = (
	cancel => sub { query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'}); },
	terminate => sub { query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'}); },
	kill => \&kill_server);

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

# Wait until that many epochs are done; the training may be over by then.
sub wait_for_epoch
{
	my ($name, $epoch) = @_;
	$node->poll_query_until('postgres', qq{SELECT COALESCE(max(epochs_done), 0) >= $epoch FROM xmhash_models WHERE name = '$name'})
	  or die "epoch $epoch does not come";
}

my %trainings = (
	'jdsh' => [ 200, q{'jdsh', NULL}, q{} ],
	'jdsh with a hidden layer, validated' => [ 60, q{'jdsh', 'label'}, q{, "text_hidden": 256, "validation_fraction": 0.1, "keep_best": true} ],
	'dmsh_ln' => [ 30, q{'dmsh_ln', 'label'}, q{, "image_hidden": 64} ]);

for my $what (sort keys %trainings)
{
	my ($epochs, $method, $options) = @{ $trainings{$what} };
	my $arguments = qq{'pair', 'image', 'words', 48, $method, '{"epochs": $epochs, "checkpoint_seconds": %s$options}'};

	query(sprintf(qq{CALL xmhash_train('whole', $arguments)}, 1000));
	my $expected = outcome('whole');
	like($expected, qr/\|trained\|0$/, "$what: uninterrupted");

	for my $how (sort keys %interrupt)
	{
		# Twice interrupted: with checkpoints at every epoch, and without any.
		for my $seconds (0, 1000)
		{
			my $session = start_training(sprintf(qq{CALL xmhash_train('broken', $arguments)}, $seconds));
			wait_for_epoch('broken', 2 + int(rand($epochs / 4)));
			$interrupt{$how}->();
			$session->{run}->finish;
			$node->start if $how eq 'kill';
			$node->poll_query_until('postgres', q{SELECT status = 'interrupted' FROM xmhash_models WHERE name = 'broken'})
			  or die 'it is not interrupted';
			my $before = query(q{SELECT epochs_done FROM xmhash_models WHERE name = 'broken'});
			$session = start_training(q{CALL xmhash_train_resume('broken')});
			wait_for_epoch('broken', $before < $epochs / 2 ? $before + 2 : $before);
			$interrupt{cancel}->();
			$session->{run}->finish;
			my ($status, undef, $said) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
			like($said, $seconds == 0 ? qr/resuming after epoch [1-9]/ : qr/resuming after epoch 0/, "$what, $how: goes on where it should")
			  if $status == 0;
			my $got = outcome('broken');
			my $whole = $expected;
			is($got, $whole, "$what, $how, checkpoints every $seconds s: same weights and log as the uninterrupted training");
			query(q{SELECT xmhash_drop_model('broken')});
		}
	}
	query(q{SELECT xmhash_drop_model('whole')});
}

# Rows that have changed are refused; an order of their own is no change.
my $session = start_training(q{CALL xmhash_train('broken', 'pair', 'image', 'words', 16, options => '{"epochs": 5000, "checkpoint_seconds": 0}')});
wait_for_epoch('broken', 2);
$interrupt{cancel}->();
$session->{run}->finish;
my (undef, undef, $error) = $node->psql('postgres', q{BEGIN; UPDATE pair SET image[3] = image[3] + 0.25 WHERE id = 77; CALL xmhash_train_resume('broken')});
like($error, qr/the rows of relation public.pair have changed since the training of model "broken" began/, 'changed rows are refused');
(undef, undef, $error) = $node->psql('postgres', q{BEGIN; DELETE FROM pair WHERE id = 77; CALL xmhash_train_resume('broken')});
like($error, qr/relation public.pair has 2999 pairs to train on, but the training of model "broken" began with 3000/, 'missing rows are refused');
(undef, undef, $error) = $node->psql('postgres', q{ALTER TABLE pair RENAME TO moved; CALL xmhash_train_resume('broken')});
like($error, qr/relation "public.pair" does not exist/, 'a renamed table is missed');
(undef, undef, $error) = $node->psql('postgres', q{
	ALTER TABLE moved RENAME TO pair;
	CREATE TABLE copy AS SELECT * FROM pair ORDER BY id DESC;
	TRUNCATE pair; INSERT INTO pair SELECT * FROM copy;
	SET statement_timeout = 2000; CALL xmhash_train_resume('broken')});
like($error, qr/resuming after epoch \d+/, 'rows in another order are the same rows');
is(query(q{SELECT status FROM xmhash_models}), 'interrupted', 'a resumed training can be interrupted again');

$node->stop;
done_testing();

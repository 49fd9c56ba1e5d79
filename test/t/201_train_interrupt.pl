# A training can be watched and stopped: progress is visible to others, no
# snapshot is held, a second training is refused with the first one's PID, and
# cancel, timeout and termination act within a second at the largest sizes.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'xmhash.threads = 2');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE large AS
  SELECT id, id % 7 AS class, ARRAY(SELECT (hashint4(id * 4096 + n) / 2147483648.0)::real FROM generate_series(1, 4096) AS n) AS features
  FROM generate_series(1, 1100) AS id;
CREATE VIEW labelled AS SELECT features, class::text AS label FROM large;
CREATE TABLE small AS SELECT id, features[1:32] AS image, features[33:64] AS words FROM large;
});

sub query { return $node->safe_psql('postgres', shift); }

# A session in which a CALL runs until it is stopped from outside.
sub start_call
{
	my ($call, $name) = @_;
	my %session = (out => '', err => '', start => time());
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') . " application_name=$name", '-c', $call ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

sub pid_of { return query("SELECT pid FROM pg_stat_activity WHERE application_name = '$_[0]'"); }

# ------------------------------------------------------------ being watched

my $long = start_call(
	q{CALL xmhash_train('long', 'small', 'image', 'words', 64, options => '{"epochs": 1000000, "checkpoint_seconds": 1}')}, 'long');
$node->poll_query_until('postgres', q{SELECT epochs_done >= 3 FROM xmhash_models WHERE model::text = 'long'})
  or die 'the training does not start';
my $pid = pid_of('long');
is(query(q{SELECT status FROM xmhash_models WHERE model::text = 'long'}), 'training', 'a running training is shown as such');
my $first = query(q{SELECT max(epoch) FROM xmhash_training WHERE model = 'long'::regclass});
ok($node->poll_query_until('postgres', qq{SELECT max(epoch) > $first FROM xmhash_training WHERE model = 'long'::regclass}), 'its progress is visible to others');
# Between two epochs it holds one for a moment.
ok($node->poll_query_until('postgres', "SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $pid"), "it holds no snapshot while it computes ($_)")
  for 1 .. 10;

my %refusals = (
	q{CALL xmhash_train_resume('long')} => qr/model "long" is in use by the process with PID $pid/,
	q{CALL xmhash_train('long', 'small', 'image', 'words', 64)} => qr/relation "long" already exists/,
	q{SELECT xmhash_import_model('long', '')} => qr/relation "long" already exists/,
	q{SET lock_timeout = 200; DROP TABLE long} => qr/canceling statement due to lock timeout/,
	q{SET lock_timeout = 200; ALTER TABLE long RENAME TO short} => qr/canceling statement due to lock timeout/);
for my $statement (sort keys %refusals)
{
	my (undef, undef, $error) = $node->psql('postgres', $statement);
	like($error, $refusals{$statement}, "refused: $statement");
}
my (undef, undef, $error) = $node->psql('postgres', q{SELECT xmhash_encode_image('long', image) FROM small LIMIT 1});
like($error, qr/model "long" is not trained yet/, 'an unfinished model does not encode');
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM long WHERE part = 'checkpoint'}) or die 'no checkpoint comes';
query("SELECT pg_cancel_backend($pid)");
$long->{run}->finish;
like($long->{err}, qr/canceling statement due to user request/, 'it can be cancelled');
like($long->{err}, qr/INFO:  epoch \d+ of 1000000: loss [\d.]+, \d+ rows\/s, \d+:\d\d:\d\d left/, 'it reported every epoch');
is(query(q{SELECT status FROM xmhash_models WHERE model::text = 'long'}), 'interrupted', 'a cancelled training is shown as interrupted');
query(q{ALTER TABLE long RENAME TO other; DROP TABLE other});
is(query(q{SELECT count(*) FROM xmhash_models}), 0, 'and can be renamed and dropped');

# -------------------------------------------------------------- being stopped

# The least of some delays: what could not be stopped would be late each time, a busy machine is so now and then.
sub least_delay
{
	my ($measure) = @_;
	my $least;
	for (1 .. 8)
	{
		my $delay = $measure->();
		$least = $delay if !defined $least || $delay < $least;
		last if $least < 1.2;
	}
	note sprintf('%.2f s', $least);
	return $least;
}

# The largest sizes, at moments that fall into reading, the
# fit, the first epochs and writing.
my %timeouts = (jdsh => [ 100, 900, 2300 ], dmsh_ln => [ 400, 1500, 3000 ]);
my %methods = (
	jdsh => q{'features', 'features', 1024, 'jdsh', NULL, '{"batch_size": 1024, "image_hidden": 4096, "text_hidden": 4096, "checkpoint_seconds": 0}'},
	dmsh_ln => q{'features', 'features', 1024, 'dmsh_ln', 'label', '{"batch_size": 1024, "image_hidden": 4096, "text_hidden": 4096, "checkpoint_seconds": 0}'});
for my $method (sort keys %methods)
{
	for my $timeout (@{ $timeouts{$method} })
	{
		my $delay = least_delay(sub {
				my $start = time();
				my (undef, undef, $said) = $node->psql('postgres',
					"SET statement_timeout = $timeout; CALL xmhash_train('stopped', 'labelled', $methods{$method})");
				my $late = time() - $start - $timeout / 1000;
				like($said, qr/canceling statement due to statement timeout/, "$method: stopped after $timeout ms");
				is(query(q{SELECT count(*) FROM pg_class WHERE relname = 'stopped'}), query(q{SELECT count(*) FROM xmhash_models WHERE epochs_done > 0}),
					'before the first epoch, without a table');
				query(q{DROP TABLE IF EXISTS stopped});
				return $late;
			});
		cmp_ok($delay, '<', 1.5, "$method: a timeout acts within a second, and a psql's start");
	}
}

cmp_ok(least_delay(sub {
		my $doomed = start_call("CALL xmhash_train('doomed', 'labelled', $methods{jdsh})", 'doomed');
		$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'doomed' AND state = 'active'}) or die 'no start';
		usleep(1_500_000);
		$pid = pid_of('doomed');
		my $start = time();
		query("SELECT pg_terminate_backend($pid)");
		$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
		my $late = time() - $start;
		$doomed->{run}->finish;
		query(q{DROP TABLE IF EXISTS doomed});
		like($doomed->{err}, qr/terminating connection due to administrator command/, 'a termination ends the session');
		return $late;
	}), '<', 1.5, 'within a second');

# The same for encoding, with a network of that size, and more rows than it can encode until then.
query(q{SET xmhash.progress = off;
	CREATE TABLE larger AS SELECT features, NULL::bitcode AS code FROM large, generate_series(1, 5);
	CALL xmhash_train('wide', 'labelled', 'features', 'features', 1024, options =>
	  '{"epochs": 1, "batch_size": 1024, "image_hidden": 4096, "text_hidden": 4096}')});
for my $statement (q{CALL xmhash_encode_table('wide', 'larger', 'features', 'code', NULL, NULL)},
	q{DO 'BEGIN LOOP PERFORM xmhash_encode_image(''wide'', features) FROM large; END LOOP; END'})
{
	cmp_ok(least_delay(sub {
			my $begin = time();
			my (undef, undef, $said) = $node->psql('postgres', "SET statement_timeout = 300; $statement");
			my $late = time() - $begin - 0.3;
			like($said, qr/canceling statement due to statement timeout/, "stopped after 300 ms: $statement");
			return $late;
		}), '<', 1.5, 'within a second, and a psql\'s start');
}
query(q{DROP TABLE wide});

# In a transaction block, or a block with an exception handler, nothing stays.
$node->psql('postgres', q{BEGIN; SET LOCAL statement_timeout = 1000; CALL xmhash_train('block', 'small', 'image', 'words', 64, options => '{"epochs": 1000000}')});
is(query(q{SELECT count(*) FROM xmhash_models WHERE model::text = 'block'}), 0, 'a stopped training in a transaction block leaves nothing');
is(query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND mode = 'ExclusiveLock'}), 0, 'no lock is left');
my ($temporary) = query(q{SELECT count(*) FROM pg_ls_tmpdir()});
is($temporary, 0, 'no temporary file is left');

$node->stop;
done_testing();

# What tests of trainings share: sessions that train, and holding one at a given
# epoch, so that nothing depends on how fast it is.
package XmhashTraining;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;

our @EXPORT = qw(start_session stopped_when finish_hold hold_training outcome);

# A session with a name of its own that runs a script.
sub start_session
{
	my ($node, $name, @script) = @_;
	return start_session_in($node, 'postgres', $name, @script);
}

sub start_session_in
{
	my ($node, $database, $name, @script) = @_;
	my %session = (out => '', err => '');
	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) . " application_name=$name", map { ('-c', $_) } @script ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Run a script until a query, which may fail at first, says true; what the script said when it was cancelled.
sub stopped_when
{
	my ($node, $database, $query, @script) = @_;
	my $session = start_session_in($node, $database, 'to_be_stopped', @script);
	$node->poll_query_until($database, $query) or die "it does not come so far: $session->{err}";
	$node->safe_psql($database, q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'to_be_stopped'});
	$session->{run}->finish;
	return $session->{err};
}

sub wait_event
{
	my ($node, $name, $type) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type = '$type'") > 0;
}

# Run a call until the training is about to write the row of an epoch: another
# session has written one of this number, which it does not commit.  A training
# whose table is not there yet may be faster than that; then it begins anew.
sub hold_training
{
	my ($node, $model, $epoch, $call) = @_;
	my $is_new = $node->safe_psql('postgres', "SELECT to_regclass('$model') IS NULL") eq 't';
	for (1 .. 300)
	{
		my $holder = start_session($node, 'holder', 'BEGIN', qq{DO 'BEGIN LOOP
			BEGIN
				INSERT INTO $model (part, number) VALUES (''epoch'', $epoch);
				EXIT;
			EXCEPTION WHEN undefined_table THEN
				PERFORM pg_catalog.pg_sleep(0.0005);
			END;
			END LOOP; END'}, q{SELECT pg_sleep(600)});
		if (!$is_new)
		{
			$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'holder' AND query LIKE '%(600)' AND wait_event = 'PgSleep'})
			  or die "nothing holds: $holder->{err}";
		}
		my $session = start_session($node, 'training', $call);
		$session->{holder} = $holder;
		while ($holder->{run}->pumpable && $session->{run}->pumpable)
		{
			return $session if wait_event($node, 'training', 'Lock');
			select(undef, undef, undef, 0.02);
			$_->{run}->pumpable && $_->{run}->pump_nb for ($holder, $session);
		}
		# It was too late, and is about to say so.
		for (1 .. 9000)
		{
			last if !$holder->{run}->pumpable;
			$holder->{run}->pump_nb;
			select(undef, undef, undef, 0.02);
		}
		die "epoch $epoch does not come: $session->{err}" if !$is_new || $holder->{run}->pumpable;
		$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'});
		$_->{run}->finish for ($holder, $session);
		$node->safe_psql('postgres', "DROP TABLE $model");
	}
	die "epoch $epoch is always there before";
}

# Let it go on.
sub finish_hold
{
	my ($node, $session) = @_;
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'});
	$session->{holder}{run}->finish;
	return;
}

# All that a training leaves, times apart.
sub outcome
{
	my ($node, $model) = @_;
	return $node->safe_psql('postgres', qq{
		SELECT (SELECT string_agg(md5(data), ',' ORDER BY number) FROM $model WHERE part = 'weights'),
		       (SELECT md5(string_agg(concat_ws(' ', epoch, loss, loss_terms, learning_rate, validation_map), ',' ORDER BY epoch))
		        FROM xmhash_training WHERE model = '$model'::regclass),
		       (SELECT status FROM xmhash_models WHERE model = '$model'::regclass),
		       (SELECT count(*) FROM $model WHERE part = 'checkpoint')});
}

1;

# A headless Chromium that is spoken to over a pair of pipes (the DevTools
# protocol, messages end in a NUL), and that keeps what it reports: requests,
# console messages, exceptions.
package XmhashBrowser;

use strict;
use warnings;

use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(time);

# The browser's program, or undef where there is none.
sub program
{
	foreach my $name (qw(chromium chromium-browser google-chrome))
	{
		foreach my $folder (split /:/, $ENV{PATH})
		{
			return "$folder/$name" if -x "$folder/$name";
		}
	}
	return;
}

sub new
{
	my ($class, $program) = @_;
	my $profile = PostgreSQL::Test::Utils::tempdir();
	my $self = bless { id => 0, buffer => '', events => [] }, $class;

	pipe(my $commands_in, my $commands) or die "pipe: $!";
	pipe(my $answers, my $answers_out) or die "pipe: $!";
	$self->{process} = fork() // die "fork: $!";
	if ($self->{process} == 0)
	{
		# By way of high numbers, lest one of the two lies in the other's place.
		POSIX::dup2(fileno($commands_in), 60);
		POSIX::dup2(fileno($answers_out), 61);
		POSIX::dup2(60, 3);
		POSIX::dup2(61, 4);
		open(STDOUT, '>', "$profile/log");
		open(STDERR, '>&', \*STDOUT);
		$ENV{HOME} = $profile;
		exec($program, qw(--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
			--disable-background-networking --disable-component-update --disable-sync --remote-debugging-pipe),
			"--user-data-dir=$profile", 'about:blank')
			or POSIX::_exit(127);
	}
	close($commands_in);
	close($answers_out);
	$commands->autoflush(1);
	@$self{qw(commands answers)} = ($commands, $answers);
	my $target = $self->call('Target.createTarget', { url => 'about:blank' })->{targetId};
	$self->{session} = $self->call('Target.attachToTarget', { targetId => $target, flatten => JSON::PP::true })->{sessionId};
	$self->call("$_.enable") for qw(Page Network Runtime Log);
	return $self;
}

# The next message, or undef when none comes in time.
sub next_message
{
	my ($self, $until) = @_;

	my $end;

	while (($end = index($self->{buffer}, "\0")) < 0)
	{
		my $ready = '';
		my $left = $until - time();
		vec($ready, fileno($self->{answers}), 1) = 1;
		return if $left <= 0 || select($ready, undef, undef, $left) == 0;
		sysread($self->{answers}, $self->{buffer}, 65536, length $self->{buffer}) or die 'the browser has ended';
	}
	return decode_json(substr(substr($self->{buffer}, 0, $end + 1, ''), 0, $end));
}

# Calls a method and returns its result; events that come meanwhile are kept.
sub call
{
	my ($self, $method, $parameters) = @_;
	my %message = (id => ++$self->{id}, method => $method, params => $parameters // {});
	my $until = time() + $PostgreSQL::Test::Utils::timeout_default;

	$message{sessionId} = $self->{session} if defined $self->{session};
	print { $self->{commands} } encode_json(\%message), "\0";
	while (my $answer = $self->next_message($until))
	{
		if (!defined $answer->{id}) { push @{ $self->{events} }, $answer; next; }
		die "$method: $answer->{error}{message}" if $answer->{error};
		return $answer->{result} if $answer->{id} == $self->{id};
	}
	die "no answer to $method";
}

# Loads a page and waits for its pictures as well.
sub load
{
	my ($self, $address) = @_;
	$self->call('Page.navigate', { url => $address });
	return $self->evaluate(q{new Promise(done => {
		if (document.readyState === 'complete') done(true); else addEventListener('load', () => done(true)) })});
}

# The value of an expression, which must be JSON.
sub evaluate
{
	my ($self, $expression) = @_;
	my $result = $self->call('Runtime.evaluate',
		{ expression => $expression, returnByValue => JSON::PP::true, awaitPromise => JSON::PP::true });
	die "$expression: $result->{exceptionDetails}{text}" if $result->{exceptionDetails};
	return $result->{result}{value};
}

sub events
{
	my ($self, $method) = @_;
	return map { $_->{params} } grep { $_->{method} eq $method } @{ $self->{events} };
}

sub stop
{
	my $self = shift;
	eval { delete $self->{session}; $self->call('Browser.close'); };
	waitpid($self->{process}, 0);
	return;
}

1;

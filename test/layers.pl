#!/usr/bin/perl
# The house's rules, held against the sources and, where they are compiled, their objects:
#
#   * rooms: what a file includes or calls is in its own room or in one below;
#   * no circle of includes among headers, none of calls among files;
#   * a file over 600 lines says why at its head, where its own name stands.
#
# usage: perl test/layers.pl [FOLDER]      a checkout, compiled or not
use strict;
use warnings FATAL => 'all';

# The rooms that each room may use.  "" is src/xmhash.c and the headers of all rooms.
my %below = (
	core    => [],
	server  => [qw(core)],
	bitcode => [qw(core server)],
	index   => [qw(core server bitcode)],
	model   => [qw(core server bitcode)],
	train   => [qw(core server bitcode model)],
	eval    => [qw(core server bitcode model)],
	''      => [qw(core server bitcode index model train eval)]);
my $MAX_LINES = 600;

chdir($ARGV[0]) || die "$ARGV[0]: $!\n" if @ARGV;
my @wrong;
my @sources = glob 'src/*.c src/*/*.c';
my @headers = glob 'include/*.h include/*/*.h';
die "no sources here\n" unless @sources && @headers;

sub room { my ($file) = @_; return $file =~ m{^(?:src|include)/(\w+)/} ? $1 : ''; }
sub content { my ($file) = @_; local (@ARGV, $/) = ($file); return scalar <>; }

sub allowed
{
	my ($from, $to) = @_;
	return 1 unless exists $below{$from};
	return 1 if $from eq $to || grep { $_ eq $to } @{ $below{$from} };
	# Headers of no room are for all but the core.
	return $to eq '' && $from ne 'core';
}

# Rooms there are.
for my $file (@sources, @headers)
{
	push @wrong, "$file: the folder is no room" unless exists $below{ room($file) };
}

# What files include.
my %includes;
for my $file (@sources, @headers)
{
	for my $name (content($file) =~ /^\s*#\s*include\s+"([^"]+)"/mg)
	{
		my $header = "include/$name";
		next unless -f $header;
		push @wrong, "$file includes $name, a room above or beside it"
		  unless allowed(room($file), room($header));
		$includes{$file}{$header} = 1;
	}
}
push @wrong, map { "circle of includes: $_" } circles(\%includes);

# What files call, or use of others' variables.
my (%defines, %uses, %calls);
for my $source (@sources)
{
	(my $object = $source) =~ s/\.c$/.o/;
	next unless -f $object;
	open my $symbols, '-|', 'nm', '-P', $object or die "nm: $!\n";
	while (<$symbols>)
	{
		my ($symbol, $kind) = split;
		if    ($kind eq 'U')         { push @{ $uses{$source} }, $symbol; }
		elsif ($kind =~ /^[TDBRCVW]$/) { $defines{$symbol} = $source; }
	}
	close $symbols or die "nm $object failed\n";
}
for my $source (keys %uses)
{
	for my $symbol (@{ $uses{$source} })
	{
		my $other = $defines{$symbol} // next;
		next if $other eq $source;
		push @wrong, "$source uses $symbol of $other, a room above or beside it"
		  unless allowed(room($source), room($other));
		push @{ $calls{$source}{$other} }, $symbol;
	}
}
push @wrong, map { "circle of calls: $_" } circles(\%calls);

# Lengths.  The head is the file's first comment.
for my $file (@sources, @headers)
{
	my $text = content($file);
	my $lines = () = $text =~ /\n/g;
	my ($head) = $text =~ m{\A/\*(.*?)\*/}s;
	push @wrong, "$file has no comment at its head" unless defined $head;
	push @wrong, "$file has $lines lines, more than $MAX_LINES, and no reason at its head (\"One file because ...\")"
	  if $lines > $MAX_LINES && ($head // '') !~ /one file because/i;
	my $name = (split m{/}, $file, 2)[1];
	push @wrong, "$file calls itself " . ($1 // 'nothing') . " at its head"
	  unless ($head // '') =~ /^\s*\*\s*(\S+\.[ch]):/m && $1 eq $name;
}

# The strongly connected parts of a graph that have more than one member (Tarjan).
sub circles
{
	my ($edges) = @_;
	my (%number, %low, %waiting, @stack, @found);
	my $next = 0;
	my $visit;
	$visit = sub {
		my ($node) = @_;
		$number{$node} = $low{$node} = $next++;
		push @stack, $node;
		$waiting{$node} = 1;
		for my $other (sort keys %{ $edges->{$node} || {} })
		{
			if (!exists $number{$other})
			{
				$visit->($other);
				$low{$node} = $low{$other} if $low{$other} < $low{$node};
			}
			elsif ($waiting{$other} && $number{$other} < $low{$node}) { $low{$node} = $number{$other}; }
		}
		return if $low{$node} != $number{$node};
		my @part;
		do { push @part, pop @stack; delete $waiting{ $part[-1] }; } until $part[-1] eq $node;
		push @found, join(', ', sort @part) if @part > 1;
	};
	for my $node (sort keys %$edges) { $visit->($node) unless exists $number{$node}; }
	return @found;
}

print "$_\n" for @wrong;
printf "layers: %d files%s, %d faults\n", @sources + @headers, %defines ? '' : ' (not compiled: calls not looked at)', scalar @wrong;
exit(@wrong ? 1 : 0);

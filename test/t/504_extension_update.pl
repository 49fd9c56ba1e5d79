# ALTER EXTENSION xmhash UPDATE: each upgrade script in sql/ leads to what the
# newer version's own script makes.  Until there is one, and to see that the
# comparison can fail, versions made up here take its place.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(basename dirname);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = dirname(dirname($FindBin::RealBin));
my ($default) = slurp_file("$top/xmhash.control") =~ /^default_version = '(.*)'$/m;
my $full = slurp_file("$top/sql/xmhash--$default.sql");

# A copy of the installation, to add versions to.
my ($staged) = slurp_file($ENV{TEMP_CONFIG}) =~ /^extension_\w+ = '(.*?stage)/m;
plan skip_all => 'a server that finds extensions only where they are installed' if !defined $staged;
my $stage = PostgreSQL::Test::Utils::tempdir();
system_or_bail('cp', '-r', "$staged/.", $stage);
(my $config = slurp_file($ENV{TEMP_CONFIG})) =~ s/\Q$staged\E/$stage/g;
append_to_file("$stage/server.conf", $config);
$ENV{TEMP_CONFIG} = "$stage/server.conf";
chomp(my $sharedir = `$ENV{PG_CONFIG} --sharedir`);
my $folder = "$stage$sharedir/extension";
my $addition = q{
CREATE FUNCTION added(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
COMMENT ON FUNCTION added(integer) IS 'made up';
};
my @made_up = (
	[ 'good', $addition, 1 ],
	[ 'forgotten', '', 0 ],
	[ 'otherwise', $addition =~ s/IMMUTABLE/STABLE/r, 0 ],
	[ 'uncommented', $addition =~ s/COMMENT.*//r, 0 ]);
for (@made_up)
{
	my ($name, $script) = @$_;
	append_to_file("$folder/xmhash--$name.sql", $full . $addition);
	append_to_file("$folder/xmhash--$default--$name.sql", $script);
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

# All that belongs to the extension, each with what defines it; no OIDs.
my $objects = <<'SQL';
SET search_path = pg_catalog;
SELECT pg_describe_object(d.classid, d.objid, 0),
  obj_description(d.objid, d.classid::regclass::name),
  CASE d.classid
    WHEN 'pg_proc'::regclass THEN (SELECT CASE WHEN prokind = 'a'
      THEN (SELECT concat_ws(' ', aggkind, aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggminvtransfn, aggmfinalfn,
        format_type(aggtranstype, -1), format_type(aggmtranstype, -1), agginitval, pg_get_function_result(p.oid), provolatile, proparallel, proacl)
        FROM pg_aggregate a WHERE a.aggfnoid = p.oid)
      ELSE pg_get_functiondef(p.oid) || coalesce(proacl::text, '') END FROM pg_proc p WHERE p.oid = d.objid)
    WHEN 'pg_class'::regclass THEN (SELECT concat_ws(' ', relkind, reloptions, relrowsecurity, relacl, CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END,
      (SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid)), ', ' ORDER BY attname)
       FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
      (SELECT string_agg(pg_get_indexdef(indexrelid), ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid),
      (SELECT string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid)), ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid),
      (SELECT string_agg(pg_get_triggerdef(oid) || tgenabled::text, ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal),
      (SELECT string_agg(concat_ws(' ', polname, polcmd, pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ', ' ORDER BY polname)
       FROM pg_policy WHERE polrelid = c.oid)) FROM pg_class c WHERE c.oid = d.objid)
    WHEN 'pg_operator'::regclass THEN (SELECT concat_ws(' ', oprcanmerge, oprcanhash, oprcode::regprocedure, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin)
      FROM pg_operator WHERE oid = d.objid)
    WHEN 'pg_type'::regclass THEN (SELECT concat_ws(' ', typlen, typbyval, typcategory, typispreferred, typalign, typstorage, typinput, typoutput, typreceive, typsend,
      typmodin, typmodout) FROM pg_type WHERE oid = d.objid)
    WHEN 'pg_cast'::regclass THEN (SELECT concat_ws(' ', castcontext, castmethod, nullif(castfunc, 0)::regprocedure) FROM pg_cast WHERE oid = d.objid)
    WHEN 'pg_opfamily'::regclass THEN concat_ws(' ',
      (SELECT string_agg(concat_ws(' ', amopstrategy, amoppurpose, amopopr::regoperator), ', ' ORDER BY amopstrategy, amopopr::regoperator::text) FROM pg_amop WHERE amopfamily = d.objid),
      (SELECT string_agg(concat_ws(' ', amprocnum, amproc), ', ' ORDER BY amprocnum, amproc::text) FROM pg_amproc WHERE amprocfamily = d.objid))
  END
FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'xmhash') AND d.deptype = 'e'
ORDER BY 1, 2, 3;
SELECT c::regclass, condition FROM pg_extension, unnest(extconfig, extcondition) AS u (c, condition) WHERE extname = 'xmhash' ORDER BY c::regclass::text;
SQL

# Updated, and made at once: the same?
sub same
{
	my ($from, $to) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE updated; CREATE DATABASE made;");
	# With something that uses it, as it is wherever it is updated.
	$node->safe_psql('updated', "CREATE EXTENSION xmhash VERSION '$from'");
	$node->safe_psql('updated', q{CREATE TABLE t AS SELECT i, ('x' || md5(i::text))::bit(128)::bitcode AS code FROM generate_series(1, 2000) AS i;
		CREATE INDEX t_code ON t USING xmhash (code); INSERT INTO t SELECT i, code FROM t;});
	$node->safe_psql('updated', "ALTER EXTENSION xmhash UPDATE TO '$to'");
	is($node->safe_psql('updated', q{SELECT xmhash_index_check('t_code', true) IS NOT NULL}), 't', "$from to $to: the index is sound");
	$node->safe_psql('made', "CREATE EXTENSION xmhash VERSION '$to'");
	my @of = map { $node->safe_psql($_, $objects) } qw(updated made);
	$node->safe_psql('postgres', 'DROP DATABASE updated');
	$node->safe_psql('postgres', 'DROP DATABASE made');
	my %made = map { $_ => 1 } split /\n/, $of[1];
	note "$from to $to, only after the update: $_" for grep { !$made{$_} } split /\n/, $of[0];
	return $of[0] eq $of[1];
}

for (@made_up)
{
	my ($name, undef, $expected) = @$_;
	ok(same($default, $name) == $expected, "made up, $name: " . ($expected ? 'the same' : 'seen to differ'));
}
my @scripts = map { basename($_) } glob("$top/sql/xmhash--*--*.sql");
note 'no upgrade script yet' unless @scripts;
for (@scripts)
{
	my ($from, $to) = /\Axmhash--(.+)--(.+)\.sql\z/;
	ok(same($from, $to), "$from to $to: the same as made at once");
}
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_extension_update_paths('xmhash') WHERE target = '$default' AND path IS NULL AND source ~ '^[0-9.]+\$'"),
	0, 'every version can be updated to the newest');
$node->stop;
done_testing();

# Kernel ridge hashing: interrupted at any phase it goes on to the weights of an
# uninterrupted training, bit by bit; rows in a temporary file give the same; it can be
# stopped wherever a time limit finds it; and a layer built in NumPy from an exported file, as the
# documentation has it, agrees in every sign.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use FindBin;
use lib $FindBin::RealBin;
use XmhashTraining;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'xmhash.threads = 2');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, 'class ' || id % 11 AS label,
         ARRAY(SELECT (sin(n * (1 + id % 11)) + hashint4(id * 512 + n) / 4294967296.0)::real FROM generate_series(1, 128) AS n) AS image,
         ARRAY(SELECT (n % 11 = id % 11 AND hashint4(id * 512 + n) % 3 = 0 OR hashint4(id * 512 - n) % 50 = 0)::integer::real FROM generate_series(1, 300) AS n) AS words
  FROM generate_series(1, 3000) AS id;
});

sub query { return $node->safe_psql('postgres', shift); }

# ----------------------------------------------------------------- interrupted

my %trainings = (
	'without labels' => q{NULL, '{"checkpoint_seconds": 0, "rotations": 400}'},
	'with labels' => q{'label', '{"checkpoint_seconds": 0, "rotations": 400, "anchors": 300}'},
	'linear' => q{'label', '{"checkpoint_seconds": 0, "rotations": 400, "anchors": 0, "validation_fraction": 0.1}'});
for my $what (sort keys %trainings)
{
	my $arguments = qq{'pair', 'image', 'words', 64, 'kernel_ridge', $trainings{$what}};

	query(qq{CALL xmhash_train('whole', $arguments)});
	my $expected = outcome($node, 'whole');
	like($expected, qr/\|trained\|0$/, "$what: uninterrupted");

	# Each phase is cancelled when it is about to write its row, then done again.
	my $session = hold_training($node, 'broken', 2, qq{CALL xmhash_train('broken', $arguments)});
	for my $phase (2 .. 5)
	{
		query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'});
		$session->{run}->finish;
		finish_hold($node, $session);
		like($session->{err}, qr/canceling statement due to user request/, "$what: cancelled in phase $phase");
		is(query(q{SELECT status, epochs_done FROM xmhash_models WHERE model = 'broken'::regclass}), 'interrupted|' . ($phase - 1), 'what was committed is there');
		$session = hold_training($node, 'broken', $phase + 1, q{CALL xmhash_train_resume('broken')}) if $phase < 5;
	}
	my (undef, undef, $said) = $node->psql('postgres', q{CALL xmhash_train_resume('broken')});
	like($said, qr/resuming after epoch 4 of 5.*phase 5 of 5: rotate/s, 'resumed at the phase that was not done');
	is(outcome($node, 'broken'), $expected, "$what: same weights and log as the uninterrupted training");
	query('DROP TABLE broken, whole');
}

# ------------------------------------------------------------------- streamed

my ($out, $err);
for my $label ('NULL', q{'label'})
{
	query(qq{CALL xmhash_train('kept', 'pair', 'image', 'words', 64, 'kernel_ridge', $label)});
	(undef, $out, $err) = $node->psql('postgres', qq{SET xmhash.train_work_mem = '64kB'; CALL xmhash_train('spilled', 'pair', 'image', 'words', 64, 'kernel_ridge', $label)});
	like($err, qr/[1-9][\d.]* MB of rows in a temporary file/, 'rows that do not fit go to a file');
	is(query(q{SELECT xmhash_export_model('kept') = xmhash_export_model('spilled')}), 't', "and give the same weights, labels $label");
	query('DROP TABLE kept, spilled');
}

# -------------------------------------------------------------------- stopped

# At sizes where no phase is short: each look finds it in another place.
query(q{
CREATE TABLE large AS
  SELECT id, ARRAY(SELECT (hashint4(id * 2048 + n) / 2147483648.0)::real FROM generate_series(1, 2048) AS n) AS features
  FROM generate_series(1, 4100) AS id;
});
my $call = q{CALL xmhash_train('stopped', 'large', 'features', 'features', 1024, 'kernel_ridge', options => '{"anchors": 4096, "dimensions": 512, "rotations": 10000}')};
my %seen;
for my $milliseconds (2000, 6000, 12000, 20000)
{
	(undef, $out, $err) = $node->psql('postgres', "SET statement_timeout = $milliseconds; $call");
	like($err, qr/canceling statement due to statement timeout/, "stopped after $milliseconds ms");
	my $phases = () = $err =~ /INFO:  phase/g;
	$seen{$phases} = 1;
	query('DROP TABLE IF EXISTS stopped');
}
note('stopped after so many phases: ' . join(', ', sort keys %seen));

# ----------------------------------------------------------------- elsewhere

SKIP:
{
	skip 'python3-numpy is not installed', 8 if system('/usr/bin/python3 -c "import numpy" 2>/dev/null') != 0;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	my $program = <<'PYTHON';
import sys
folder, modality = sys.argv[1:]
rows = [line.strip('{}\n').split(',') for line in open(f'{folder}/rows')]

import json, struct
import numpy as np
data = open(f"{folder}/model.safetensors", "rb").read()
size = struct.unpack("<Q", data[:8])[0]
tensors = {name: np.frombuffer(data[8 + size:][slice(*t["data_offsets"])], np.float32).reshape(t["shape"]).astype(float)
           for name, t in json.loads(data[8:8 + size]).items() if name != "__metadata__"}
def encode(modality, x):
    x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    if f"{modality}.0.anchors" in tensors:
        x = np.exp((x @ tensors[f"{modality}.0.anchors"].T - 1) / tensors[f"{modality}.0.width"])
    return x @ tensors[f"{modality}.1.weight"].T + tensors[f"{modality}.1.bias"] > 0

for code in encode(modality, np.array(rows, np.float32).astype(float)):
    print(''.join(map(str, code.astype(int))))
PYTHON
	append_to_file("$folder/program.py", $program);
	for my $anchors (1000, 0)
	{
		query(qq{CALL xmhash_train('model$anchors', 'pair', 'image', 'words', 64, 'kernel_ridge', 'label', '{"anchors": $anchors}')});
		open(my $file, '>:raw', "$folder/model.safetensors") or die $!;
		print $file pack('H*', query("SELECT encode(xmhash_export_model('model$anchors'), 'hex')"));
		close($file);
		for my $side ([ 'image', 'image' ], [ 'text', 'words' ])
		{
			my ($modality, $column) = @$side;
			open($file, '>', "$folder/rows") or die $!;
			print $file query("SELECT $column FROM pair ORDER BY id") . "\n";
			close($file);
			IPC::Run::run([ '/usr/bin/python3', "$folder/program.py", $folder, $modality ], '>', \$out, '2>', \$err);
			my $codes = query("SELECT xmhash_encode_$modality('model$anchors', $column) FROM pair ORDER BY id") . "\n";
			is($err, '', 'the program says nothing else');
			ok($out eq $codes && length($codes) == 3000 * 65,
				"$anchors anchors: a layer in NumPy agrees in every sign of 3,000 ${modality}s");
		}
	}
}

# ----------------------------------------------------------- without LAPACK

# A library with products alone is refused before any row is read, also by a session that resumes.
SKIP:
{
	my $folder = PostgreSQL::Test::Utils::tempdir();
	append_to_file("$folder/products.c", q{
char *openblas_get_config(void) { return "OpenBLAS 0.3.0 without LAPACK MAX_THREADS=1"; }
char *openblas_get_corename(void) { return "Any"; }
int openblas_get_parallel(void) { return 1; }
void openblas_set_num_threads(int threads) {}
void cblas_sgemm(void) {}
void cblas_dgemm(void) {}
});
	skip 'no C compiler', 6 if system(($ENV{CC} || 'cc') . " -w -shared -fPIC -o $folder/products.so $folder/products.c") != 0;
	chmod(0755, $folder, "$folder/products.so");
	query(q{
CREATE SEQUENCE rows_read;
CREATE VIEW counted AS SELECT CASE WHEN nextval('rows_read') > 0 THEN image END AS image, words FROM pair;
});
	# A training that has rows to go on with.
	query(q{CREATE TABLE few AS SELECT * FROM pair LIMIT 300});
	my $held = hold_training($node, 'begun', 2, q{CALL xmhash_train('begun', 'few', 'image', 'words', 64, 'kernel_ridge', NULL, '{"checkpoint_seconds": 0}')});
	query(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'training'});
	$held->{run}->finish;
	finish_hold($node, $held);
	for my $call (q{xmhash_train('none', 'counted', 'image', 'words', 16, 'kernel_ridge')}, q{xmhash_train_resume('begun')})
	{
		my (undef, undef, $said) = $node->psql('postgres', "SET xmhash.blas_library = '$folder/products.so';\n\\set VERBOSITY verbose\nCALL $call;");
		like($said, qr/ERROR:  58P01: the OpenBLAS library has no function dpotrf_, which method "kernel_ridge" needs/, "$call: what is missing");
		like($said, qr/HINT:  It was built without LAPACK\./, 'and what to do');
	}
	is(query('SELECT is_called FROM rows_read'), 'f', 'no row was read');
	is(query(q{SELECT to_regclass('none') IS NULL}), 't', 'and no model made');
}

done_testing();

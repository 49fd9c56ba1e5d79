# Models written by NumPy, imported: numbers of every type, networks of any depth
# up to eight layers, one side only; and exported again.  NumPy says what is right.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($python) = grep { -x $_ && system("$_ -c 'import numpy' 2>/dev/null") == 0 } ('/usr/bin/python3', '/usr/local/bin/python3');
plan skip_all => 'no NumPy' unless $python;

my $seed = $ENV{SEED} || time() % 100000;
note("seed $seed; SEED=$seed repeats it");
my $dir = PostgreSQL::Test::Utils::tempdir;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'xmhash.progress = off');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION xmhash');

sub query { return $node->safe_psql('postgres', shift); }

# The files, each with what an export of it must hold (name.out), and rows with their codes.
my $writer = <<'END';
import json, struct, sys
import numpy as np
folder, rng = sys.argv[1], np.random.default_rng(int(sys.argv[2]))

def write(name, tensors, metadata=None):
    header, at, data = {'__metadata__': metadata} if metadata else {}, 0, b''
    for key, (dtype, array) in tensors.items():
        array = np.asarray(array)
        bytes_ = np.ascontiguousarray(array).tobytes()
        header[key] = {'dtype': dtype, 'shape': list(array.shape), 'data_offsets': [at, at + len(bytes_)]}
        at += len(bytes_)
        data += bytes_
    text = json.dumps(header).encode()
    open(f'{folder}/{name}', 'wb').write(struct.pack('<Q', len(text)) + text + data)

# Every finite value of the narrow types, and the same in float32 as NumPy converts it.
half = np.arange(65536, dtype='<u2').view('<f2')
half = half[np.isfinite(half)].reshape(62, 1024)
write('f16', {'image.0.weight': ('F16', half)})
write('f16.same', {'image.0.weight': ('F32', half.astype('<f4'))})
brain = np.arange(65536, dtype='<u2')
single = (brain.astype('<u4') << 16).view('<f4')
finite = np.isfinite(single)
write('bf16', {'text.0.weight': ('BF16', brain[finite].reshape(255, 256))})
write('bf16.same', {'text.0.weight': ('F32', single[finite].reshape(255, 256))})

# Doubles: of every magnitude that float32 has, halfway between two floats, too small for it.
wide = rng.standard_normal(8192) * 2.0 ** rng.integers(-160, 127, 8192)
narrow = wide.astype('<f4')
halfway = (narrow[:4096].astype('<f8') + np.nextafter(narrow[:4096], np.float32(0)).astype('<f8')) / 2
wide = np.concatenate([wide, halfway, [0.0, -0.0, 5e-324, 3.4028235677973357e38, -3.4028234663852886e38, 1e-46, 1e-45, 7.006492321624086e-46]])
wide = np.concatenate([wide, np.zeros(-len(wide) % 64)]).reshape(64, -1)
write('f64', {'image.0.weight': ('F64', wide), 'image.scale': ('F64', np.float64(1.0))})
write('f64.same', {'image.0.weight': ('F32', wide.astype('<f4'))})
write('scaled', {'text.0.weight': ('F32', np.full((8, 2), -2.7e38, '<f4')), 'text.scale': ('F32', np.full(2, 2.5, '<f4'))})
for name, bad in (('beyond', 3.4028235677973366e38), ('below', -1e300), ('nan', np.nan), ('infinity', np.inf)):
    write('f64.' + name, {'image.0.weight': ('F64', np.array([[1.0, bad]]))})

# Networks of one to eight layers, in mixed types, some biases missing, scales of all forms.
def network(side, layers, tensors):
    widths = [int(w) for w in rng.integers(1, 90, layers)] + [24]
    inputs = widths[0]
    plan, same = [], {}
    for i in range(layers):
        dtype, code = (('F32', '<f4'), ('F16', '<f2'), ('F64', '<f8'))[rng.integers(3)]
        weight = (rng.standard_normal((widths[i + 1], widths[i])) / np.sqrt(widths[i])).astype(code)
        tensors[f'{side}.{2 * i}.weight'] = (dtype, weight)
        bias = np.zeros(widths[i + 1], '<f4')
        if rng.integers(2):
            bias = (rng.standard_normal(widths[i + 1]) / 4).astype('<f4')
            tensors[f'{side}.{2 * i}.bias'] = ('F32', bias)
        plan.append((weight.astype('<f4').astype('<f8'), bias.astype('<f8')))
    shift, scale = np.zeros(1), np.ones(1)
    kind = rng.integers(4)
    if kind == 1:
        scale = np.float32(3.5)
        tensors[f'{side}.scale'] = ('F32', scale)
    elif kind == 2:
        shift = rng.standard_normal(inputs).astype('<f4')
        tensors[f'{side}.shift'] = ('F32', shift)
    elif kind == 3:
        shift, scale = np.float64(-0.5), rng.random(inputs).astype('<f4') + np.float32(0.5)
        tensors[f'{side}.shift'], tensors[f'{side}.scale'] = ('F64', shift), ('F32', scale)
    return plan, shift, scale, inputs

def outputs(plan, shift, scale, x):
    h = (x.astype('<f8') - shift) * scale
    for i, (weight, bias) in enumerate(plan):
        h = h @ weight.T + bias
        if i < len(plan) - 1:
            h = np.maximum(h, 0)
    return h

rows = open(f'{folder}/rows.csv', 'w')
for layers in range(1, 9):
    tensors, sides = {}, {}
    for side, depth in (('image', layers), ('text', 9 - layers)):
        sides[side] = network(side, depth, tensors)
    write(f'deep{layers}', tensors, {'method': f'of {layers}', 'bits': 24, 'image_dim': sides['image'][3], 'text_dim': float(sides['text'][3])})
    for side, (plan, shift, scale, inputs) in sides.items():
        x = rng.standard_normal((40, inputs)).astype('<f4')
        h = outputs(plan, shift, scale, x)
        for i in range(40):
            sure = ''.join('?' if abs(v) < 1e-5 * np.abs(h).max() else '1' if v > 0 else '0' for v in h[i])
            rows.write(f"deep{layers}\t{side}\t{{{','.join(map(repr, map(float, x[i])))}}}\t{sure}\n")
END
append_to_file("$dir/write.py", $writer);
system_or_bail($python, "$dir/write.py", $dir, $seed);

# What a file holds, tensor by tensor, as the bytes of float32 numbers.
my $reader = <<'END';
import json, struct, sys
import numpy as np
types = {'F32': '<f4', 'F16': '<f2', 'F64': '<f8'}
def read(path):
    data = open(path, 'rb').read()
    n, = struct.unpack('<Q', data[:8])
    header = json.loads(data[8:8 + n])
    header.pop('__metadata__', None)
    return {k: np.frombuffer(data[8 + n + t['data_offsets'][0]:8 + n + t['data_offsets'][1]], types[t['dtype']]).reshape(t['shape']).astype('<f4')
            for k, t in header.items()}
given, exported = read(sys.argv[1]), read(sys.argv[2])
wrong = []
for name, array in exported.items():
    if name in given:
        value = given[name]
        if value.shape != array.shape:
            value = np.broadcast_to(value, array.shape)
    else:
        value = np.full(array.shape, 1 if name.endswith('scale') else 0, '<f4')
    if value.astype('<f4').tobytes() != array.tobytes():
        wrong.append(name)
wrong += [name for name in given if name not in exported]
print('wrong: ' + ' '.join(wrong) if wrong else 'same')
END
append_to_file("$dir/read.py", $reader);

sub import_file
{
	my ($model, $file) = @_;
	return query("SELECT xmhash_import_model('$model', pg_read_binary_file('$dir/$file'))");
}

# The export's bytes differ from the file's in the header; its numbers must not.
sub export_file
{
	my ($model) = @_;
	open my $to, '>:raw', "$dir/$model.exported" or die $!;
	print $to pack('H*', query("SELECT encode(xmhash_export_model('$model'), 'hex')"));
	close $to;
	return "$dir/$model.exported";
}

sub compare_export
{
	my ($model, $file) = @_;
	my ($out, $err) = run_command([ $python, "$dir/read.py", "$dir/$file", export_file($model) ]);
	is($out, 'same', "$model: an export has the numbers of $file");
}

foreach my $type ('f16', 'bf16', 'f64')
{
	import_file($type, $type);
	import_file("${type}_same", "$type.same");
	is(query("SELECT xmhash_export_model('$type') = xmhash_export_model('${type}_same')"), 't', "$type: as NumPy converts it");
	compare_export($type, "$type.same");
}

sub refused
{
	my ($file) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT xmhash_import_model('bad', pg_read_binary_file('$dir/$file'))");
	return $err =~ /ERROR:  22P03/ ? ($err =~ /DETAIL:  (.*)/)[0] : $err;
}
like(refused('f64.beyond'), qr/^Tensor "image\.0\.weight" has 3\.40282e\+38 as element 2, beyond the range of float32/, 'F64 just beyond float32');
like(refused('scaled'), qr/^Numbers of its text network leave the range of float32/, 'a scale that leads beyond float32');
like(refused('f64.below'), qr/^Tensor "image\.0\.weight" has -1e\+300 as element 2/, 'F64 far beyond float32');
like(refused("f64.$_"), qr/^Tensor "image\.0\.weight" has a value that is not finite, at element 2/, "F64 $_") foreach ('nan', 'infinity');

# Every NaN and infinity of the narrow types is refused: 2,048 of F16 and 256 of BF16.
is(query(q{
CREATE FUNCTION try(kind text, bits integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  header bytea := convert_to(format('{"image.0.weight":{"dtype":"%s","shape":[1,1],"data_offsets":[0,2]}}', kind), 'UTF8');
BEGIN
  PERFORM xmhash_import_model('bad', set_byte('\x0000000000000000', 0, octet_length(header)) || header ||
                              set_byte(set_byte('\x0000', 0, bits & 255), 1, bits >> 8));
  RETURN 'imported';
EXCEPTION WHEN invalid_binary_representation THEN
  RETURN 'refused';
END $$;
SELECT string_agg(concat_ws(' ', kind, n, answer), ', ' ORDER BY kind) FROM (
  SELECT kind, count(*) AS n, try(kind, bits) AS answer
  FROM (SELECT 'F16' AS kind, b AS bits FROM generate_series(0, 65535) b WHERE b & 31744 = 31744
        UNION ALL SELECT 'BF16', b FROM generate_series(0, 65535) b WHERE b & 32640 = 32640) v GROUP BY kind, answer) t}),
	'BF16 256 refused, F16 2048 refused', 'no NaN and no infinity comes in');

# One side only: the other says so.
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT xmhash_encode_text('f16', '{1}')");
like($err, qr/ERROR:  55000: model "f16" has no text network/, 'a model without its text network');
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nSELECT xmhash_encode_image('bf16', '{}')");
like($err, qr/ERROR:  55000: model "bf16" has no image network/, 'a model without its image network, and no features');
is(query(q{SELECT concat_ws(' ', bits, image_dimensions, image_hidden, text_dimensions IS NULL, text_hidden IS NULL) FROM xmhash_models WHERE model = 'f16'::regclass}),
	'62 1024 {} t t', 'and its absence is listed');

# Deep ones.
query(qq{CREATE TABLE expected (id integer GENERATED ALWAYS AS IDENTITY, model text, side text, features real[], sure text);
	COPY expected (model, side, features, sure) FROM '$dir/rows.csv'});
foreach my $layers (1 .. 8)
{
	my $model = "deep$layers";
	import_file($model, $model);
	compare_export($model, $model);
	query("SELECT xmhash_import_model('${model}_again', xmhash_export_model('$model'))");
	is(query("SELECT xmhash_export_model('$model') = xmhash_export_model('${model}_again')"), 't', "$model: what is exported is imported");
	is(query("SELECT concat_ws(' ', method, bits, cardinality(image_hidden), cardinality(text_hidden), status) FROM xmhash_models WHERE model = '$model'::regclass"),
		"of $layers 24 @{[$layers - 1]} @{[8 - $layers]} imported", "$model is listed");
	is(query(qq{
		SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE code LIKE translate(sure, '?', '_')), count(*) FILTER (WHERE sure LIKE '%?%') < 40)
		FROM (SELECT sure, (CASE side WHEN 'image' THEN xmhash_encode_image(model, features) ELSE xmhash_encode_text(model, features) END)::text AS code
		      FROM expected WHERE model = '$model') e}), '80 80 t', "$model: codes are the signs of NumPy's outputs");
	is(query(qq{
		CREATE TABLE rows_$model AS SELECT id, CASE side WHEN 'image' THEN features END AS image, CASE side WHEN 'text' THEN features END AS words,
		                              NULL::bitcode AS image_code, NULL::bitcode AS text_code FROM expected WHERE model = '$model';
		CALL xmhash_encode_table('$model', 'rows_$model', 'image', 'image_code', 'words', 'text_code');
		SELECT count(*) FILTER (WHERE image_code = xmhash_encode_image('$model', image)) + count(*) FILTER (WHERE text_code = xmhash_encode_text('$model', words))
		FROM rows_$model}), '80', "$model: the same codes row by row and in batches");
}

# A table is not encoded by a network that is not there.
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\nCALL xmhash_encode_table('f16', 'rows_deep1', 'image', 'image_code', 'words', 'text_code')");
like($err, qr/ERROR:  55000: model "f16" has no text network/, 'encoding a table by it');

done_testing();

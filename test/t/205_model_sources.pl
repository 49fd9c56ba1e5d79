# Training from foreign tables and from pgvector's types, where these are there;
# and a model that PyTorch has trained, imported: its codes are torch's signs.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'xmhash.progress = off');
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 30) AS n) AS image,
         ARRAY(SELECT ((id + n) % 9 = 0)::integer::real FROM generate_series(1, 50) AS n) AS words
  FROM generate_series(1, 200) AS id;
CREATE TABLE caption AS SELECT id AS pair, words FROM pair UNION ALL SELECT id, words[2:50] || words[1] FROM pair;
CREATE VIEW joined AS SELECT p.image, c.words FROM pair p JOIN caption c ON c.pair = p.id;
CALL xmhash_train('plain', 'pair', 'image', 'words', 16, options => '{"epochs": 2}');
CALL xmhash_train('of_joined', 'joined', 'image', 'words', 16, options => '{"epochs": 2}');
});

sub query { return $node->safe_psql('postgres', shift); }

sub available { return query("SELECT count(*) FROM pg_available_extensions WHERE name = '$_[0]'"); }

sub same_weights
{
	return query(qq{SELECT count(DISTINCT data) FROM (TABLE plain UNION ALL TABLE $_[0]) AS m WHERE part = 'weights'}) == 1;
}

is(query(q{SELECT pairs FROM xmhash_models WHERE model = 'of_joined'::regclass}), 400, 'a picture with two captions is two pairs');

SKIP:
{
	skip 'no postgres_fdw', 1 unless available('postgres_fdw');
	my ($host, $port) = ($node->host, $node->port);
	query(qq{
		CREATE EXTENSION postgres_fdw;
		CREATE SERVER self FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '$host', port '$port', dbname 'postgres');
		CREATE USER MAPPING FOR CURRENT_USER SERVER self;
		CREATE FOREIGN TABLE remote (id integer, image real[], words real[]) SERVER self OPTIONS (table_name 'pair');
		CALL xmhash_train('of_foreign', 'remote', 'image', 'words', 16, options => '{"epochs": 2}')});
	ok(same_weights('of_foreign'), 'a foreign table');
	query(q{
		CREATE TABLE mixed (id integer, image real[], words real[]) PARTITION BY RANGE (id);
		CREATE TABLE low PARTITION OF mixed FOR VALUES FROM (MINVALUE) TO (100);
		CREATE FOREIGN TABLE high PARTITION OF mixed FOR VALUES FROM (100) TO (MAXVALUE) SERVER self OPTIONS (table_name 'remote_high');
		CREATE VIEW remote_high AS SELECT * FROM pair WHERE id >= 100;
		INSERT INTO low SELECT * FROM pair WHERE id < 100;
		CALL xmhash_train('of_mixed', 'mixed', 'image', 'words', 16, options => '{"epochs": 2}')});
	ok(same_weights('of_mixed'), 'a partition that is a foreign table');
}

SKIP:
{
	skip 'no pgvector', 1 unless available('vector');
	query(q{
		CREATE EXTENSION vector;
		CREATE TABLE vectors AS SELECT image::vector(30), words::vector(50) FROM pair;
		CALL xmhash_train('of_vectors', 'vectors', 'image', 'words', 16, options => '{"epochs": 2}')});
	ok(same_weights('of_vectors'), q{pgvector's vector});
}

# The example of sql/README.md: any PyTorch network of this shape, as a file.
my $python = <<'PYTHON';
import json, struct, sys, torch
from torch import nn
torch.manual_seed(1)
image = nn.Sequential(nn.Linear(30, 24), nn.ReLU(), nn.Linear(24, 16))
text = nn.Sequential(nn.Linear(50, 16))
# ... train them as you like ...
tensors = {f"{m}.{k}": v.detach().contiguous() for m, n in (("image", image), ("text", text)) for k, v in n.state_dict().items()}
header, at = {"__metadata__": {"format": "pt", "method": "mine"}}, 0
for name, t in tensors.items():
    header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at := at + 4 * t.numel()]}
data = json.dumps(header).encode()
with open(sys.argv[1], "wb") as file:
    file.write(struct.pack("<Q", len(data)) + data + b"".join(t.numpy().tobytes() for t in tensors.values()))
PYTHON
my $signs = <<'PYTHON';
for line in sys.stdin:
    row = json.loads(line)
    print(row["id"], *("".join("1" if h > 0 else "0" for h in net(torch.tensor([row[key]], dtype=torch.float32))[0]) for net, key in ((image, "image"), (text, "words"))))
PYTHON

SKIP:
{
	skip 'no PyTorch', 2 if system('python3 -c "import torch" >/dev/null 2>&1') != 0;
	my $file = $node->data_dir . '/model.safetensors';
	my $rows = query(q{SELECT json_build_object('id', id, 'image', image, 'words', words) FROM pair ORDER BY id}) . "\n";
	my ($out, $err);
	append_to_file("$file.rows", $rows);
	append_to_file("$file.py", $python . $signs);
	IPC::Run::run([ 'python3', "$file.py", $file ], '<', "$file.rows", '>', \$out, '2>', \$err) or die $err;
	query("SELECT xmhash_import_model('of_torch', pg_read_binary_file('model.safetensors'));");
	is(query(q{SELECT concat_ws(' ', id, xmhash_encode_image('of_torch', image), xmhash_encode_text('of_torch', words)) FROM pair ORDER BY id}) . "\n",
		$out, q{codes are torch's signs});
	is(query(q{SELECT concat_ws(' ', method, bits, image_hidden, text_hidden, status) FROM xmhash_models WHERE model = 'of_torch'::regclass}),
		'mine 16 {24} {} imported', 'the imported model is listed');
}

$node->stop;
done_testing();

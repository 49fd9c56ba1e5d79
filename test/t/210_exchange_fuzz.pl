# Damaged safetensors files to import and label columns of any content to train
# and evaluate, at random: what is refused is refused with a reason of the
# sort that is expected, what is accepted works, and class numbers do as names do.
# SEED repeats a run; EXCHANGE_SECONDS is for how long, 16 by default.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{SEED} // time() % 1000000;
my $seconds = ($ENV{EXCHANGE_SECONDS} // 16) / 2;
note("SEED=$seed");
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "xmhash.progress = off\nclient_min_messages = warning\nxmhash.threads = 1\njit = off\n# a statement makes and drops thousands of models, more the faster the machine\nmax_locks_per_transaction = 4096");
$node->start;
$node->safe_psql('postgres', q{
CREATE EXTENSION xmhash;

CREATE FUNCTION below(n integer) RETURNS integer LANGUAGE sql AS 'SELECT floor(random() * n)::integer';
CREATE FUNCTION pick(choices text[]) RETURNS text LANGUAGE sql AS 'SELECT choices[1 + below(cardinality(choices))]';
CREATE FUNCTION forget(model text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('DROP TABLE %I', model); END $$;
CREATE FUNCTION little_endian(number bigint, bytes integer) RETURNS bytea LANGUAGE sql AS
  $$SELECT string_agg(substring(int8send(number) FROM i FOR 1), '' ORDER BY i DESC) FROM generate_series(9 - bytes, 8) i$$;

-- Good files: of what is trained here, and of what is only ever imported.
CREATE TABLE file (id integer PRIMARY KEY, bytes bytea);
CREATE TABLE pair AS
  SELECT id, ARRAY(SELECT sin(id * n)::real FROM generate_series(1, 6) AS n) AS image,
         ARRAY(SELECT ((id + n) % 5 = 0)::integer::real FROM generate_series(1, 9) AS n) AS words, 'c' || id % 3 AS label
  FROM generate_series(1, 60) AS id;
CALL xmhash_train('linear', 'pair', 'image', 'words', 13, options => '{"epochs": 1, "batch_size": 16}');
CALL xmhash_train('hidden', 'pair', 'image', 'words', 8, 'dmsh_ln', 'label',
                  '{"epochs": 1, "image_hidden": 5, "text_hidden": 3, "scale": "standard", "batch_size": 16}');
INSERT INTO file SELECT 1, xmhash_export_model('linear') UNION ALL SELECT 2, xmhash_export_model('hidden');
CREATE FUNCTION random_bytes(n integer) RETURNS bytea LANGUAGE sql AS
  $$SELECT COALESCE(string_agg(set_byte('\x00', 0, below(256)), ''), '') FROM generate_series(1, n)$$;
-- Four layers of one side, with numbers of each type; exponents of halves that are not all ones.
DO $$
DECLARE
  header text := '"__metadata__":{"bits":3,"classes":"[1,\"two\"]","loss":1.5e-3,"format":"pt"}';
  data bytea := '';
  kind text;
  bytes integer;
  at integer := 0;
  size integer;
  part record;
BEGIN
  FOR part IN SELECT * FROM (VALUES ('text.0.weight', '[4,2]', 8), ('text.0.bias', '[4]', 4), ('text.2.weight', '[5,4]', 20), ('text.4.weight', '[2,5]', 10),
                             ('text.4.bias', '[2]', 2), ('text.6.weight', '[3,2]', 6), ('text.scale', '[]', 1), ('text.shift', '[2]', 2)) v (name, shape, n) LOOP
    kind := (ARRAY['F16', 'BF16', 'F32', 'F64'])[1 + part.n % 4];
    bytes := CASE kind WHEN 'F64' THEN 8 WHEN 'F32' THEN 4 ELSE 2 END;
    size := bytes * part.n;
    header := header || format(',"%s":{"dtype":"%s","shape":%s,"data_offsets":[%s,%s]}', part.name, kind, part.shape, at, at + size);
    FOR i IN 1 .. part.n LOOP
      data := data || CASE kind WHEN 'F64' THEN random_bytes(6) || '\xf03f' WHEN 'F32' THEN random_bytes(2) || '\x803f'
                                WHEN 'F16' THEN random_bytes(1) || '\x3c' ELSE '\x803f' END;
    END LOOP;
    at := at + size;
  END LOOP;
  header := '{' || header || '}';
  INSERT INTO file VALUES (3, little_endian(octet_length(header), 8) || convert_to(header, 'UTF8') || data);
END $$;
SELECT xmhash_import_model('deep', bytes) FROM file WHERE id = 3;

-- Some damage to a file: to its bytes, or to its header in a way that keeps the length right.
CREATE FUNCTION damage(file bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
  header integer := get_byte(file, 0) + 256 * get_byte(file, 1);
  head bytea := substring(file FROM 9 FOR header);
  data bytea := substring(file FROM 9 + header);
  size integer := octet_length(file);
  place integer;
  text_ text;
  piece bytea;
BEGIN
  CASE below(8)
    WHEN 0 THEN
      RETURN set_byte(file, below(LEAST(size, 8 + header)), below(256));
    WHEN 1 THEN
      RETURN set_byte(file, below(8), below(256));
    WHEN 2 THEN
      RETURN substring(file FROM 1 FOR below(size + 1));
    WHEN 3 THEN
      RETURN file || random_bytes(1 + below(9));
    WHEN 4 THEN      -- a number of the data
      RETURN CASE WHEN size > 8 + header THEN set_byte(file, 8 + header + below(size - 8 - header), below(256)) ELSE file END;
    WHEN 5 THEN      -- a piece of the header, elsewhere or gone
      place := 1 + below(header);
      piece := substring(head FROM 1 + below(header) FOR below(40));
      head := substring(head FROM 1 FOR place - 1) || piece || substring(head FROM place + below(40) * below(2));
    WHEN 6 THEN      -- a number of the header, of those that arithmetic trips over
      text_ := convert_from(head, 'UTF8');
      text_ := regexp_replace(text_, '[0-9]+', pick('{0,1,2,3,4,8,65536,1048577,-1,2147483648,4294967296,9223372036854775807,18446744073709551615,18446744073709551616,1e9,2.5,00,""}'),
                              1, 1 + below(regexp_count(text_, '[0-9]+')));
      head := convert_to(text_, 'UTF8');
    ELSE             -- a word of it
      text_ := convert_from(head, 'UTF8');
      head := convert_to(replace(text_, pick('{F32,F16,BF16,F64,image,text,weight,bias,shape,dtype,data_offsets,.0.,.2.,classes,scale,shift,__metadata__}'),
                                 pick('{F32,F16,BF16,F64,I64,image,text,weight,bias,shape,dtype,.0.,.2.,.4.,.16.,scale,shift,classes,bits,__metadata__,é,"\\\\","\\\\u0000",""}')), 'UTF8');
  END CASE;
  RETURN little_endian(octet_length(head), 8) || head || data;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character OR null_value_not_allowed THEN
  RETURN file;     -- an earlier change has made it no text; or NULL of a replacement
END $$;

-- What import says of a file: its SQLSTATE, or what has become of the model.
CREATE FUNCTION try_file(file bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  message text;
  image integer;
  words integer;
  again bytea;
BEGIN
  BEGIN
    PERFORM xmhash_import_model('fuzzed', file);
  EXCEPTION WHEN invalid_binary_representation OR invalid_text_representation OR untranslatable_character OR statement_too_complex THEN
    RETURN SQLSTATE;
  END;
  SELECT image_dimensions, text_dimensions INTO image, words FROM xmhash_models WHERE model = to_regclass('fuzzed');
  BEGIN
    PERFORM xmhash_encode_image('fuzzed', array_fill(1::real, ARRAY[COALESCE(image, 3)]));
    IF image IS NULL THEN RAISE 'an absent image network encodes'; END IF;
  EXCEPTION WHEN object_not_in_prerequisite_state THEN
    IF image IS NOT NULL THEN RAISE; END IF;
  END;
  BEGIN
    PERFORM xmhash_encode_text('fuzzed', array_fill(1::real, ARRAY[COALESCE(words, 3)]));
    IF words IS NULL THEN RAISE 'an absent text network encodes'; END IF;
  EXCEPTION WHEN object_not_in_prerequisite_state THEN
    IF words IS NOT NULL THEN RAISE; END IF;
  END;
  again := xmhash_export_model('fuzzed');
  PERFORM forget('fuzzed');
  PERFORM xmhash_import_model('fuzzed', again);
  IF xmhash_export_model('fuzzed') <> again THEN RAISE 'an export changes when it is imported'; END IF;
  PERFORM forget('fuzzed');
  RETURN 'imported';
END $$;

CREATE FUNCTION fuzz_files(seconds double precision) RETURNS TABLE (answer text, files bigint) LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz := clock_timestamp();
  chosen integer;
  now_ bytea;
BEGIN
  CREATE TEMP TABLE answers (answer text);
  WHILE clock_timestamp() < start + seconds * interval '1 second' LOOP
    chosen := 1 + below(3);
    SELECT bytes INTO STRICT now_ FROM file WHERE id = chosen;
    FOR i IN 1 .. 1 + below(3) LOOP
      EXIT WHEN octet_length(now_) < 9 OR get_byte(now_, 0) + 256 * get_byte(now_, 1) NOT BETWEEN 1 AND octet_length(now_) - 8;
      now_ := damage(now_);
    END LOOP;
    BEGIN
      INSERT INTO answers SELECT try_file(now_);
    EXCEPTION WHEN OTHERS THEN
      RAISE '% %, of file %', SQLSTATE, SQLERRM, encode(now_, 'hex');
    END;
  END LOOP;
  RETURN QUERY SELECT a.answer, count(*) FROM answers a GROUP BY 1 ORDER BY 1;
END $$;
});

sub run_seeded
{
	my ($query) = @_;
	return $node->safe_psql('postgres', "SELECT setseed(@{[$seed % 1000000 / 1000000]});\n$query", timeout => 300) =~ s/\A\s*\n//r;
}

my $answers = run_seeded("SELECT * FROM fuzz_files($seconds)");
note("files: $answers" =~ s/\n/, /gr);
my %files = map { split /\|/ } split /\n/, $answers;
ok(($files{'22P03'} // 0) > 100, 'damaged files are refused');
ok(($files{imported} // 0) > 20, 'and what can be imported works');

$node->safe_psql('postgres', q{
-- One random label as text, of a kind that fits the column, or now and then not.
CREATE FUNCTION random_label(kind text, odd boolean) RETURNS text LANGUAGE sql AS $$
SELECT CASE
  WHEN random() < 0.1 THEN NULL
  WHEN kind IN ('smallint', 'integer', 'bigint') THEN
    CASE WHEN odd AND random() < 0.3 THEN pick(CASE kind WHEN 'smallint' THEN '{-32768,32767,0,-1}' WHEN 'integer' THEN '{-2147483648,2147483647,-10,10}'
                                               ELSE '{-9223372036854775808,9223372036854775807,99,-100}' END::text[])
         ELSE (below(5) - 2)::text END
  WHEN kind = 'text' THEN pick('{a,b,"",10,9,-1,é}')
  WHEN kind = 'text[]' THEN CASE WHEN odd AND random() < 0.1 THEN pick('{"{NULL}","{{a},{b}}","{a,NULL}"}') ELSE pick('{"{}","{a}","{b,a}","{c,c}"}') END
  WHEN kind = 'bit varying' THEN CASE WHEN odd AND random() < 0.1 THEN pick('{1,"",0101}') ELSE pick('{010,100,000,111}') END
  WHEN kind = 'numeric' THEN below(3)::text
  ELSE CASE WHEN odd AND random() < 0.1 THEN pick('{"{}","{1}","{0,2,0}","{0,NULL,1}","{{0,1,0}}","{0,-1,1}","{0,1,0,1}","{32767,0,0}"}') ELSE pick('{"{0,1,0}","{1,0,0}","{1,1,0}","{0,0,0}"}') END
  END
$$;

CREATE FUNCTION evaluated(label name, OUT result text) LANGUAGE plpgsql AS $$
BEGIN
  SELECT e::text INTO result FROM xmhash_evaluate('labelled', 'code', 'labelled', 'code', label) e;
EXCEPTION WHEN array_subscript_error OR null_value_not_allowed OR invalid_parameter_value OR datatype_mismatch THEN
  result := SQLSTATE;
END $$;

-- The codes that a model trained with these labels gives, or why there is none.
CREATE FUNCTION trained(label name, OUT result text) LANGUAGE plpgsql AS $$
BEGIN
  CALL xmhash_train('fuzzed', 'labelled', 'image', 'words', 9, 'dmsh_ln', label,
                    '{"epochs": 1, "batch_size": 8, "image_hidden": 0, "text_hidden": 0, "validation_fraction": 0.2}');
  SELECT md5(string_agg(xmhash_encode_image('fuzzed', image)::text || xmhash_encode_text('fuzzed', words)::text, ',' ORDER BY id))
         || COALESCE((SELECT string_agg(validation_map::text, ',') FROM xmhash_training WHERE model::text = 'fuzzed'), '')
    INTO result FROM labelled;
  PERFORM forget('fuzzed');
EXCEPTION WHEN array_subscript_error OR null_value_not_allowed OR invalid_parameter_value OR datatype_mismatch OR object_not_in_prerequisite_state THEN
  result := SQLSTATE;
END $$;

CREATE FUNCTION fuzz_labels(seconds double precision) RETURNS TABLE (kind text, answer text, times bigint) LANGUAGE plpgsql AS $$
DECLARE
  start timestamptz := clock_timestamp();
  label_kind text;
  odd boolean;
  as_label text[];
  as_name text[];
BEGIN
  CREATE TEMP TABLE labels (kind text, answer text);
  WHILE clock_timestamp() < start + seconds * interval '1 second' LOOP
    label_kind := pick('{smallint,integer,bigint,smallint,integer,bigint,text,text[],bit varying,boolean[],smallint[],integer[],bigint[],real[],double precision[],numeric}');
    odd := random() < 0.6;
    -- Names that sort as the numbers do: how many lesser ones there are.
    EXECUTE format('CREATE TABLE labelled AS
      SELECT id, (id * 37 %% 64)::bit(6)::bitcode(6) AS code, image, words, l::%1$s AS label, l AS digits,
             CASE WHEN %2$L THEN CASE WHEN l IS NOT NULL THEN to_char(dense_rank() OVER (ORDER BY CASE WHEN %2$L THEN l::numeric END), ''FM0000'') END END AS name
      FROM (SELECT *, random_label(%3$L, %4$L) AS l FROM pair WHERE id <= 20 + below(3) * 20) r',
      CASE WHEN label_kind = 'boolean[]' THEN 'integer[]::boolean[]' ELSE label_kind END, label_kind IN ('smallint', 'integer', 'bigint'), label_kind, odd);
    BEGIN
      as_label := ARRAY[evaluated('label'), trained('label')];
      IF label_kind IN ('smallint', 'integer', 'bigint') THEN
        as_name := ARRAY[evaluated('name'), trained('name')];
        IF as_label IS DISTINCT FROM as_name THEN RAISE 'numbers give %, names %', as_label, as_name; END IF;
        as_name := ARRAY[evaluated('digits')];
        IF as_label[1] IS DISTINCT FROM as_name[1] THEN RAISE 'numbers give %, their digits %', as_label[1], as_name[1]; END IF;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      RAISE '% %, of % labels %', SQLSTATE, SQLERRM, label_kind, (SELECT json_agg(label) FROM labelled);
    END;
    INSERT INTO labels VALUES (label_kind, CASE WHEN length(as_label[1]) = 5 THEN as_label[1] ELSE 'evaluated' END),
                              (label_kind, CASE WHEN length(as_label[2]) = 5 THEN as_label[2] ELSE 'trained' END);
    DROP TABLE labelled;
  END LOOP;
  RETURN QUERY SELECT l.kind, l.answer, count(*) FROM labels l GROUP BY 1, 2 ORDER BY 1, 2;
END $$;
});

$answers = run_seeded("SELECT * FROM fuzz_labels($seconds)");
note("labels: $answers" =~ s/\n/, /gr);
my (%labels, %kinds);
foreach (split /\n/, $answers)
{
	my ($kind, $answer, $times) = split /\|/;
	$labels{$answer} += $times;
	$kinds{$kind}{$answer} += $times;
}
ok(($labels{evaluated} // 0) > 20 && ($labels{trained} // 0) > 20, 'labels are evaluated and trained with');
is(join(' ', sort keys %{ $kinds{numeric} // { 42804 => 1 } }), '42804', 'numbers with a fraction are no labels');
is(join(' ', sort keys %{ $kinds{integer} // {} }), 'evaluated trained', 'class numbers always are');

is($node->safe_psql('postgres', q{SELECT string_agg(model::text, ' ' ORDER BY model::text) FROM xmhash_models}), 'deep hidden linear', 'no model is left over');
done_testing();

"""Encoding through SQL: one row by a function, a table by xmhash_encode_table.

One row: microseconds beyond an empty C function that takes the same array (built here and
loaded into the server, which needs a superuser on the server's machine), against one
cblas_sgemv of the network's size.

A table: what xmhash_encode_table takes a row, beside the least that SQL must do for it: read
the arrays (they are out of line, 5 kB a row), and UPDATE the column with a constant; and
beside the same rows encoded one by one by the function.  Statements take turns, the table
is vacuumed after each UPDATE, medians of the rounds.  Each session has encoded a row before:
what a session's first use of a model takes (reading its weights, loading OpenBLAS) stands alone.
"""
import os
import subprocess
import tempfile

import core as harness
import server
from report import Measured

IMAGE, TEXT, BITS, HIDDEN = 1280, 1000, 64, 4096

EMPTY = r"""
#include "postgres.h"
#include "fmgr.h"
#include "utils/array.h"
PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(empty_array);
Datum empty_array(PG_FUNCTION_ARGS)
{
	(void) PG_GETARG_ARRAYTYPE_P(1);
	PG_RETURN_NULL();
}
"""

SETUP = """
SET xmhash.threads = 1; SET xmhash.progress = off;
DROP SCHEMA IF EXISTS xmhash_bench_encode CASCADE;
CREATE SCHEMA xmhash_bench_encode;
CREATE EXTENSION IF NOT EXISTS xmhash;
SET search_path = xmhash_bench_encode, public;
CREATE FUNCTION empty_array(regclass, real[]) RETURNS bitcode LANGUAGE C IMMUTABLE STRICT AS '{empty}';
CREATE TABLE item AS
  SELECT id, (SELECT array_agg(sin(id * 1.7 + n * n)::real) FROM generate_series(1, {image}) n) AS image,
    (SELECT array_agg(((id * 7 + n * 13) % 97 = 0)::integer::real) FROM generate_series(1, {text}) n) AS words,
    NULL::bitcode AS code
  FROM generate_series(1, {rows}) AS id;
CREATE TABLE first AS SELECT * FROM item LIMIT 1;
CALL xmhash_train('linear', 'item', 'image', 'words', {bits}, options => '{{"epochs": 1}}');
CALL xmhash_train('hidden', 'item', 'image', 'words', {bits},
  options => '{{"epochs": 1, "image_hidden": {hidden}, "text_hidden": {hidden}}}');
"""

BEFORE = 'SET search_path = xmhash_bench_encode, public; SET xmhash.progress = off; SET xmhash.threads = {};\n'
SIDES = (('image', 'image', "'image', 'code', NULL, NULL"), ('text', 'words', "NULL, NULL, 'words', 'code'"))


def build_empty(folder):
    source = os.path.join(folder, 'empty.c')
    with open(source, 'w') as file:
        file.write(EMPTY)
    config = os.environ.get('PG_CONFIG', 'pg_config')
    include = subprocess.run([config, '--includedir-server'], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run([os.environ.get('CC', 'cc'), '-O2', '-fPIC', '-shared', '-I' + include, source,
                    '-o', os.path.join(folder, 'empty.so')], check=True)
    os.chmod(folder, 0o755)
    return os.path.join(folder, 'empty')


def microseconds(statement, count, threads=1, before=''):
    return 1e6 * server.seconds(statement, BEFORE.format(threads) + before) / count


def one_row(report, rounds, calls):
    statement = ("SELECT count({}('linear', a)) FROM (SELECT (image || ARRAY[]::real[]) AS a "
                 f"FROM item WHERE id = 1 OFFSET 0) i, generate_series(1, {calls})")
    core = harness.load()
    core.harness_threads(1)
    empty, ours, product = [], [], []
    for _ in range(rounds):
        empty.append(microseconds(statement.format('empty_array'), calls))
        ours.append(microseconds(statement.format('xmhash_encode_image'), calls))
        product.append(1e6 * Measured(harness.vector_product_seconds(core, IMAGE, BITS)).median)
    report.row('encoding a row in SQL', f'xmhash_encode_image, {IMAGE:,} → {BITS}', microseconds=Measured(ours),
               empty_function=Measured(empty), sgemv=Measured(product),
               ratio_beyond_empty_sgemv=Measured((a - b) / c for a, b, c in zip(ours, empty, product)))


def first_use(report, rounds):
    for model in ('linear', 'hidden'):
        statement = f"SELECT xmhash_encode_image('{model}', image) FROM first"
        report.row('first use of a model in a session', model.replace('hidden', f'hidden {HIDDEN:,}'),
                   milliseconds_row=Measured(microseconds(statement, 1000) for _ in range(rounds)),
                   milliseconds_table=Measured(microseconds(table_call(model, 'first', SIDES[0][2]), 1000)
                                               for _ in range(rounds)))


def table_call(model, table, arguments):
    return f"CALL xmhash_encode_table('{model}', '{table}', {arguments}, only_missing => false)"


def table(report, rounds, rows, side, column, arguments):
    """Of one modality: each statement in turn, in microseconds a row."""
    alone = f"SELECT count(xmhash_encode_{side}('hidden', {column})) FROM "
    statements = [
        ('read', f'SELECT sum({column}[3]) FROM item', 1, ''),
        ('update', "UPDATE item SET code = bitcode 'x0123456789abcdef'", 1, ''),
        ('alone', alone + 'item', 1, alone + 'first;'),
        ('linear', table_call('linear', 'item', arguments), 1, table_call('linear', 'first', arguments) + ';'),
        ('hidden', table_call('hidden', 'item', arguments), 1, table_call('hidden', 'first', arguments) + ';'),
        ('hidden, 2 threads', table_call('hidden', 'item', arguments), 2, table_call('hidden', 'first', arguments) + ';')]
    found = {name: [] for name, *_ in statements}
    for number in range(rounds + 1):
        for name, statement, threads, before in statements:
            found[name].append(microseconds(statement, rows, threads, before))
            if name not in ('read', 'alone'):
                server.psql('VACUUM xmhash_bench_encode.item')
    found = {name: Measured(values[1:]) for name, values in found.items()}    # the first round warms up
    least = found['read'].median + found['update'].median
    for name, threads in (('linear', 1), ('hidden', 1), ('hidden, 2 threads', 2)):
        whole = found[name]
        report.row('encoding a table in SQL', f'{side}, {name.replace("hidden", f"hidden {HIDDEN:,}")}',
                   microseconds=whole, reading=found['read'], updating=found['update'],
                   rest=whole.median - least,
                   row_by_row=None if name == 'linear' else found['alone'],
                   ratio_row_by_row=None if name == 'linear' else
                   (found['alone'].median + found['update'].median) / whole.median)


def run(report, settings):
    rows, rounds = (1000, 2) if settings.quick else (4000, 5)
    with tempfile.TemporaryDirectory() as folder:
        try:
            server.psql(SETUP.format(empty=build_empty(folder), image=IMAGE, text=TEXT, bits=BITS, hidden=HIDDEN,
                                     rows=rows))
        except (server.Failed, FileNotFoundError) as failed:
            report.skip('encoding in SQL', str(failed))
            return
        one_row(report, rounds, 3000 if settings.quick else 30000)
        first_use(report, rounds)
        for side, column, arguments in SIDES[:1] if settings.quick else SIDES:
            table(report, rounds, rows, side, column, arguments)
        server.psql('DROP SCHEMA xmhash_bench_encode CASCADE;')

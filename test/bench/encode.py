#!/usr/bin/python3
"""What encoding costs: one row against one cblas_sgemv, a table against its rows.

    encode.py [ROWS]

Uses the database that psql connects to, as a superuser on the server's machine
(it loads an empty C function into the server, built here, that takes the same
array).  All with one thread, interleaved, medians of several rounds.
"""
import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

IMAGE, TEXT, BITS, HIDDEN = 1280, 1000, 64, 4096
ROUNDS = 7

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


def psql(script):
    done = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', '-'], input=script,
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[:2000])
    return done.stdout.split()


def build_empty(folder):
    source = os.path.join(folder, 'empty.c')
    with open(source, 'w') as file:
        file.write(EMPTY)
    config = os.environ.get('PG_CONFIG', 'pg_config')
    include = subprocess.run([config, '--includedir-server'], capture_output=True, text=True, check=True).stdout.strip()
    subprocess.run(['cc', '-O2', '-fPIC', '-shared', '-I' + include, source, '-o', os.path.join(folder, 'empty.so')],
                   check=True)
    os.chmod(folder, 0o755)
    return os.path.join(folder, 'empty')


def sgemv_microseconds():
    """y = W x for W [64 × 1280], as a linear image network's forward pass."""
    blas = ctypes.CDLL('libopenblas.so.0')
    blas.openblas_set_num_threads(1)
    pointer = ctypes.POINTER(ctypes.c_float)
    w, x, y = (np.random.rand(*shape).astype(np.float32) for shape in ((BITS, IMAGE), (IMAGE,), (BITS,)))
    arguments = (101, 111, BITS, IMAGE, ctypes.c_float(1), w.ctypes.data_as(pointer), IMAGE,
                 x.ctypes.data_as(pointer), 1, ctypes.c_float(0), y.ctypes.data_as(pointer), 1)
    call, start, count = blas.cblas_sgemv, time.perf_counter(), 20000
    for _ in range(count):
        call(*arguments)
    with_call = (time.perf_counter() - start) / count
    # what ctypes itself costs is measured on a product of one element
    arguments = arguments[:2] + (1, 1) + arguments[4:]
    start = time.perf_counter()
    for _ in range(count):
        call(*arguments)
    return (with_call - (time.perf_counter() - start) / count) * 1e6


SETUP = """
SET client_min_messages = error; SET xmhash.threads = 1; SET xmhash.progress = off;
DROP SCHEMA IF EXISTS xmhash_bench_encode CASCADE;
CREATE SCHEMA xmhash_bench_encode;
SET search_path = xmhash_bench_encode, public;
CREATE FUNCTION empty_array(text, real[]) RETURNS bitcode LANGUAGE C IMMUTABLE STRICT AS '{empty}';
CREATE TABLE item AS SELECT id, (SELECT array_agg(sin(id * 1.7 + n * n)::real) FROM generate_series(1, {image}) n) AS image,
  (SELECT array_agg(((id * 7 + n * 13) % 97 = 0)::integer::real) FROM generate_series(1, {text}) n) AS words, NULL::bitcode AS code
  FROM generate_series(1, {rows}) AS id;
CALL xmhash_train('bench linear', 'item', 'image', 'words', {bits}, options => '{{"epochs": 1}}');
CALL xmhash_train('bench hidden', 'item', 'image', 'words', {bits}, options => '{{"epochs": 1, "image_hidden": {hidden}, "text_hidden": {hidden}}}');
CREATE FUNCTION microseconds(query text, repeat integer) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE t timestamptz := clock_timestamp();
BEGIN
  EXECUTE query;
  RETURN extract(epoch FROM clock_timestamp() - t) * 1e6 / repeat;
END $$;
"""

ONE = """SET search_path = xmhash_bench_encode, public; SET jit = off;
SELECT microseconds($$SELECT count({call}('bench {model}', a)) FROM (SELECT {column} AS a FROM item WHERE id = 1 OFFSET 0) i, generate_series(1, {n})$$, {n});"""

ROWS = """SET search_path = xmhash_bench_encode, public; SET xmhash.threads = 1; SET xmhash.progress = off; SET jit = off;
SELECT microseconds('SELECT count(xmhash_encode_{side}(''bench hidden'', {column})) FROM item', {rows});
SELECT microseconds('SELECT count(cardinality({column}) + {column}[3]) FROM item', {rows});
CREATE TEMPORARY TABLE t AS SELECT clock_timestamp() AS t;
CALL xmhash_encode_table('bench linear', 'item', {arguments}, only_missing => false);
SELECT extract(epoch FROM clock_timestamp() - t) * 1e6 / {rows} FROM t;
UPDATE t SET t = clock_timestamp();
CALL xmhash_encode_table('bench hidden', 'item', {arguments}, only_missing => false);
SELECT extract(epoch FROM clock_timestamp() - t) * 1e6 / {rows} FROM t;
SET xmhash.threads = {threads};
UPDATE t SET t = clock_timestamp();
CALL xmhash_encode_table('bench hidden', 'item', {arguments}, only_missing => false);
SELECT extract(epoch FROM clock_timestamp() - t) * 1e6 / {rows} FROM t;"""


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as folder:
        psql(SETUP.format(empty=build_empty(folder), image=IMAGE, text=TEXT, bits=BITS, hidden=HIDDEN, rows=rows))
        empty, ours, gemv = [], [], []
        for _ in range(ROUNDS):
            empty += [float(psql(ONE.format(call='empty_array', model='linear', column='(image || ARRAY[]::real[])', n=30000))[0])]
            ours += [float(psql(ONE.format(call='xmhash_encode_image', model='linear', column='(image || ARRAY[]::real[])', n=30000))[0])]
            gemv += [sgemv_microseconds()]
        ratios = [(a - b) / c for a, b, c in zip(ours, empty, gemv)]
        print(f'one row, {IMAGE} → {BITS}: {statistics.median(ours):.2f} µs, an empty C function {statistics.median(empty):.2f} µs, '
              f'cblas_sgemv {statistics.median(gemv):.2f} µs: beyond the empty function {statistics.median(ratios):.2f} × sgemv '
              f'({min(ratios):.2f} to {max(ratios):.2f})')
        for side, column, arguments in (('image', 'image', "'image', 'code', NULL, NULL"), ('text', 'words', "NULL, NULL, 'words', 'code'")):
            measured = [[float(value) for value in psql(ROWS.format(side=side, column=column, arguments=arguments, rows=rows,
                                                                    threads=os.cpu_count()))]
                        for _ in range(3)]
            single, read, linear, table, parallel = (statistics.median(values) for values in zip(*measured))
            compute = single - read
            print(f'{side}, hidden {HIDDEN}, to compute a row: {compute:.0f} µs one by one; '
                  f'in xmhash_encode_table {table - linear:.0f} µs ({compute / (table - linear):.1f} ×), '
                  f'with {os.cpu_count()} threads {parallel - linear:.0f} µs ({compute / (parallel - linear):.1f} ×); '
                  f'reading and writing take {linear:.0f} µs there (a linear model)')
        psql("SET client_min_messages = error; DROP SCHEMA xmhash_bench_encode CASCADE; "
             "SELECT xmhash_drop_model(name) FROM xmhash_models WHERE name IN ('bench linear', 'bench hidden')")


if __name__ == '__main__':
    main()

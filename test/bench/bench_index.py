#!/usr/bin/python3
"""The index against FAISS's exhaustive search and a btree, in one run, as ratios.

    bench_index.py [--rows 1000000] [--quick] [--queries 200] [--faiss-queries 60] [SET …]

Connects as psql does (PGHOST, PGDATABASE …) to a server where xmhash can be created, and
works in a schema of its own, bench_index, which it drops at the end (--keep: not).
A SET is clustered (1000 centres, Zipf sizes, each bit flipped with 6 %), uniform, or
NAME=CODES,QUERIES: files of packed codes as learned_codes.py writes them.  Times inside
the server are EXPLAIN ANALYZE's of prepared statements; everything is cached; medians,
FAISS (IndexBinaryFlat, one thread) and the server taking turns.  On a machine with other
work go by the CPU times: longer runs are interrupted more often, and FAISS's are.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

BITS = 64
PSQL = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']
HEAD = '''SET search_path = bench_index, public; SET jit = off; SET max_parallel_workers_per_gather = 0;
SET client_min_messages = warning; SET statement_timeout = '5min'; SET client_connection_check_interval = '1s';
DO $$ BEGIN PERFORM set_config('enable_memoize', 'off', false); EXCEPTION WHEN undefined_object THEN NULL; END $$;
'''


def psql(script):
    result = subprocess.run(PSQL, input=HEAD + script, capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return result.stdout


def hexadecimal(codes):
    digits = codes.tobytes().hex()
    width = 2 * codes.shape[1]
    return ['x' + digits[i * width:(i + 1) * width] for i in range(len(codes))]


def clustered(rows, centres, random):
    share = 1 / np.arange(1, len(centres) + 1)
    cluster = random.choice(len(centres), rows, p=share / share.sum())
    parts = []
    for start in range(0, rows, 100000):
        part = centres[cluster[start:start + 100000]]
        parts.append(np.packbits(part ^ (random.random(part.shape, dtype=np.float32) < .06), axis=1))
    return np.concatenate(parts)


def make(name, rows):
    random = np.random.default_rng(7)
    if name == 'clustered':
        centres = random.integers(0, 2, (1000, BITS), dtype=np.uint8)
        return clustered(rows, centres, random), clustered(1000, centres, random)
    if name == 'uniform':
        return (random.integers(0, 256, (rows, BITS // 8), dtype=np.uint8),
                random.integers(0, 256, (1000, BITS // 8), dtype=np.uint8))
    files = name.split('=')[1].split(',')
    return [np.fromfile(file, np.uint8).reshape(-1, BITS // 8) for file in files]


def load(table, codes):
    with tempfile.NamedTemporaryFile('w', suffix='.tsv') as file:
        file.writelines(f'{i}\t{code}\n' for i, code in enumerate(hexadecimal(codes)))
        file.flush()
        psql(f'CREATE TABLE {table} (id int, code bitcode({BITS}));\n\\copy {table} from {file.name}\n'
             f'VACUUM ANALYZE {table};')


def timed(statement, head=''):
    """Seconds of one statement, by psql's own clock."""
    output = psql(head + '\\timing on\n' + statement + ';\n')
    return sum(float(ms) for ms in re.findall(r'^Time: ([0-9.]+) ms', output, re.M)) / 1000


def execution_times(statement, types, arguments):
    """Microseconds of each execution inside the server."""
    script = f'PREPARE q({types}) AS {statement};\nSET plan_cache_mode = force_generic_plan;\n'
    script += ''.join(f'EXPLAIN (ANALYZE, TIMING off, COSTS off) EXECUTE q({a});\n' for a in arguments)
    return [float(ms) * 1000 for ms in re.findall(r'Execution Time: ([0-9.]+)', psql(script))]


def client_times(statement, types, arguments):
    """Microseconds of each execution as psql sees it, through the connection."""
    script = f'PREPARE q({types}) AS {statement};\nSET plan_cache_mode = force_generic_plan;\n\\timing on\n'
    script += ''.join(f'EXECUTE q({a});\n' for a in arguments)
    return [float(ms) * 1000 for ms in re.findall(r'^Time: ([0-9.]+) ms', psql(script), re.M)]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Flat:
    def __init__(self, codes):
        import faiss
        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexBinaryFlat(BITS)
        self.index.add(codes)

    def times(self, queries):
        """Microseconds of each search: by the clock, of the processor."""
        result, processor = [], []
        for i in range(len(queries)):
            start, begin = time.perf_counter(), time.process_time()
            self.index.search(queries[i:i + 1], 10)
            processor.append((time.process_time() - begin) * 1e6)
            result.append((time.perf_counter() - start) * 1e6)
        return result, processor

    def range_seconds(self, queries, radius):
        start = time.perf_counter()
        self.index.range_search(queries, radius + 1)
        return time.perf_counter() - start


def report(what, value, unit, ratio=None, against=''):
    print(f'  {what:44} {value:12.1f} {unit:3}' +
          (f'   {ratio:7.4f} × {against}' if ratio is not None else ''), flush=True)


def measure_build(table, rows):
    build, btree = [], []
    for _ in range(3):
        psql(f'DROP INDEX IF EXISTS {table}_code;')
        btree.append(timed(f'CREATE INDEX {table}_btree ON {table} (code)', 'SET max_parallel_maintenance_workers = 0;\n'))
        psql(f'DROP INDEX {table}_btree;')
        build.append(timed(f'CREATE INDEX {table}_code ON {table} USING xmhash (code)',
                           'SET max_parallel_maintenance_workers = 0;\n'))
    report('CREATE INDEX', min(build) * 1000, 'ms', min(build) / min(btree), 'btree')
    size = float(psql(f"SELECT pg_relation_size('{table}_code')"))
    report('bytes a row', size / rows, '')


def last_scan():
    return 'SELECT pages_read::float / scans, data_pages FROM xmhash_last_scan();'


def many_searches(table):
    """One statement of thrice as many searches as there are queries, none of them shared."""
    thrice = ' UNION ALL '.join([f'SELECT * FROM {table}_q'] * 3)
    return (f'SELECT count(*) FROM ({thrice}) q, '
            f'LATERAL (SELECT id FROM {table} t ORDER BY t.code <~> q.code LIMIT 10) n;\n')


def processor_time(table):
    """Microseconds of the processor's time of one of many searches in one statement."""
    ticks = "\\! awk '{print \"ticks\", $14 + $15}' /proc/$BACKEND/stat\n"
    output = psql('SELECT pg_backend_pid() AS backend \\gset\n\\setenv BACKEND :backend\n' +
                  (many_searches(table) + ticks) * 2 + "SELECT 'scans ' || scans FROM xmhash_last_scan();")
    before, after = [int(number) for number in re.findall(r'ticks (\d+)', output)]
    scans = int(re.search(r'scans (\d+)', output).group(1))
    return (after - before) / os.sysconf('SC_CLK_TCK') * 1e6 / scans


def measure_nearest(table, flat, queries, arguments):
    statement = f'SELECT id FROM {table} ORDER BY code <~> $1 LIMIT 10'
    inside, outside, theirs, processor = [], [], [], []
    share = max(1, len(arguments.faiss) // 4)
    for turn in range(4):
        part = arguments.ours[turn::4]
        clock, used = flat.times(queries[turn * share:(turn + 1) * share])
        theirs += clock
        processor += used
        inside += execution_times(statement, 'bitcode', part)
        outside += client_times(statement, 'bitcode', part)
    base = statistics.median(theirs)
    report('FAISS IndexBinaryFlat, 10 nearest, median', base, 'us')
    report('10 nearest inside the server, median', statistics.median(inside), 'us', statistics.median(inside) / base, 'FAISS')
    report('  99th percentile', percentile(inside, .99), 'us', percentile(inside, .99) / base, 'FAISS')
    report('  through a local connection, median', statistics.median(outside), 'us', statistics.median(outside) / base, 'FAISS')
    used = processor_time(table)
    report('  processor time in a loop, mean', used, 'us', used / statistics.median(processor), 'FAISS\'s')
    output = psql(f'SELECT count(*) FROM {table}_q q, LATERAL (SELECT id FROM {table} t ORDER BY t.code <~> q.code LIMIT 10) n;\n' + last_scan())
    pages, all_pages = output.split('\n')[1].split('|')
    report(f'  pages read, of {all_pages}', float(pages), '')
    return base, statistics.median(inside)


def measure_radius(table, base, arguments):
    found = psql(f'SELECT count(*) FROM {table} t, (SELECT code FROM {table}_q LIMIT 20) q WHERE hamming_within(t.code, q.code, 3)')
    inside = execution_times(f'SELECT id FROM {table} WHERE hamming_within(code, $1, 3)', 'bitcode', arguments.ours)
    report(f'radius 3, {float(found) / 20:.0f} rows, median', statistics.median(inside), 'us', statistics.median(inside) / base, 'FAISS')


def measure_two(table, single):
    """Queries a second of two backends over one's, in loops inside the server."""
    script = HEAD + many_searches(table) + '\\timing on\n' + many_searches(table)
    queries = 3 * int(psql(f'SELECT count(*) FROM {table}_q'))

    def run(count):
        processes = [subprocess.Popen(PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)]
        for process in processes:
            process.stdin.write(script)
            process.stdin.close()
        return [float(re.findall(r'^Time: ([0-9.]+) ms', process.stdout.read(), re.M)[-1]) for process in processes]
    one = min(run(1)[0] for _ in range(3))
    two = min(max(run(2)) for _ in range(3))
    report('two backends, queries a second', 2 * queries / two * 1000, '/s', 2 * one / two, 'one backend')


def measure_joins(table, codes, flat, single):
    queries = min(10000, len(codes) // 10)
    psql(f'DROP TABLE IF EXISTS {table}_many; CREATE TABLE {table}_many AS SELECT * FROM {table} WHERE id < {queries}; ANALYZE {table}_many;')
    seconds = timed(f'SELECT count(*) FROM {table}_many q, LATERAL (SELECT id FROM {table} t ORDER BY t.code <~> q.code LIMIT 10) n')
    report(f'LATERAL join of {queries}, 10 nearest each', seconds * 1000, 'ms', seconds / (queries * single * 1e-6), 'single queries')
    # Of codes in masses every pair is an answer: keep that to what a person would wait for.
    part = min(100000, len(codes))
    found = float(psql(f'SELECT count(*) FROM {table} t, (SELECT code FROM {table}_q LIMIT 20) q WHERE hamming_within(t.code, q.code, 5)')) / 20
    while part * part / len(codes) * found > 2e7:
        part //= 2
    psql(f'DROP TABLE IF EXISTS {table}_part; CREATE TABLE {table}_part AS SELECT * FROM {table} WHERE id < {part};'
         f'CREATE INDEX ON {table}_part USING xmhash (code); VACUUM ANALYZE {table}_part;')
    seconds = timed(f'SELECT count(*) FROM {table}_part a JOIN {table}_part b ON hamming_within(a.code, b.code, 5)')
    small = Flat(codes[:part])
    sample = min(2000, part)
    theirs = small.range_seconds(codes[:sample], 5) * part / sample
    pairs = part * part / len(codes) * found
    report(f'self-join of {part}, radius 5, ~{pairs:.0f} pairs', seconds * 1000, 'ms', seconds / theirs, 'FAISS range_search')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--rows', type=int, default=1000000)
    parser.add_argument('--queries', type=int, default=200)
    parser.add_argument('--faiss-queries', type=int, default=60)
    parser.add_argument('--quick', action='store_true', help='only the build and single queries')
    parser.add_argument('--keep', action='store_true')
    parser.add_argument('sets', nargs='*', default=['clustered', 'uniform'])
    arguments = parser.parse_args()
    psql('DROP SCHEMA IF EXISTS bench_index CASCADE; CREATE SCHEMA bench_index;'
         'CREATE EXTENSION IF NOT EXISTS xmhash;')
    for name in arguments.sets or ['clustered', 'uniform']:
        codes, queries = make(name, arguments.rows)
        table = name.split('=')[0]
        print(f'{table}: {len(codes)} codes of {BITS} bits', flush=True)
        load(table, codes)
        load(table + '_q', queries[:1000])
        measure_build(table, len(codes))
        arguments.ours = [f"'{code}'" for code in hexadecimal(queries[:arguments.queries])]
        arguments.faiss = range(arguments.faiss_queries)
        flat = Flat(codes)
        base, single = measure_nearest(table, flat, queries, arguments)
        measure_radius(table, base, arguments)
        if not arguments.quick:
            measure_two(table, single)
            if table != 'uniform':
                measure_joins(table, codes, flat, single)
    if not arguments.keep:
        psql('DROP SCHEMA bench_index CASCADE')


if __name__ == '__main__':
    main()

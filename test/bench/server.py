"""The server the benchmark talks to, by psql and pgbench only.

Connects as they do by themselves (PGHOST, PGUSER, PGDATABASE …).
"""
import os
import re
import subprocess
import tempfile

import numpy as np

PSQL = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']
# One core a session, no compilation, and no answers kept for equal queries.
SCHEMA = 'xmhash_bench'    # dropped and made as needed
HEAD = f'''SET search_path = {SCHEMA}, public;
SET jit = off; SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0;
SET client_min_messages = warning;
DO $$ BEGIN PERFORM set_config('enable_memoize', 'off', false); EXCEPTION WHEN undefined_object THEN NULL; END $$;
'''


class Failed(Exception):
    """A statement that failed, with the server's words."""


class TooLong(Failed):
    """A statement that did not end in its time."""


def psql(script, limit=None):
    """The output of a script; each of its statements may take limit seconds."""
    head = HEAD + (f"SET statement_timeout = '{int(limit * 1000)}ms';\n" if limit else '')
    result = subprocess.run(PSQL, input=head + script, capture_output=True, text=True)
    if result.returncode != 0:
        words = result.stderr.strip()
        if 'statement timeout' in words:
            raise TooLong(f'did not end in {number_of_seconds(limit)}')
        raise Failed(words[:500])
    return result.stdout


def number_of_seconds(limit):
    return f'{limit:g} s'


def seconds(statement, before='', limit=None):
    """How long statements take, by psql's own clock."""
    output = psql(before + '\n\\timing on\n' + statement + ';\n', limit)
    return sum(float(ms) for ms in re.findall(r'^Time: ([0-9.]+) ms', output, re.M)) / 1000


def create_extension(name):
    """Its version, or None if this server has no such extension."""
    try:
        psql(f'CREATE EXTENSION IF NOT EXISTS {name} SCHEMA public')
    except Failed:
        return None
    return psql(f"SELECT extversion FROM pg_extension WHERE extname = '{name}'").strip()


def start_afresh():
    """An empty schema to work in."""
    psql(f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA};')


def processors():
    return len(os.sched_getaffinity(0))


def remove():
    psql(f'DROP SCHEMA IF EXISTS {SCHEMA} CASCADE;')


def rows_file(file, codes, bits):
    """Rows (number, code) in COPY's binary format, which bitcode and bit have in common."""
    row = np.zeros(len(codes), np.dtype([('fields', '>i2'), ('id_size', '>i4'), ('id', '>i4'), ('code_size', '>i4'),
                                         ('bits', '>i4'), ('code', 'u1', codes.shape[1])]))
    row['fields'], row['id_size'], row['id'] = 2, 4, np.arange(len(codes))
    row['code_size'], row['bits'], row['code'] = 4 + codes.shape[1], bits, codes
    file.write(b'PGCOPY\n\xff\r\n\0' + bytes(8))
    row.tofile(file)
    file.write(b'\xff\xff')
    file.flush()


def load_codes(table, codes, bits):
    """A table (id int, code bitcode(bits)) of these codes, vacuumed."""
    with tempfile.NamedTemporaryFile('wb', suffix='.copy') as file:
        rows_file(file, codes, bits)
        psql(f'CREATE TABLE {table} (id int, code bitcode({bits}));\n'
             f'\\copy {table} from {file.name} (format binary)\nVACUUM ANALYZE {table};\n')


def explained(prepare, arguments, before='', limit=None):
    """Microseconds inside the server, execution by execution, of a prepared statement.

    prepare: 'PREPARE q(type) AS …'.  EXPLAIN ANALYZE without times of the plan's nodes.
    """
    script = before + prepare + ';\nSET plan_cache_mode = force_generic_plan;\n'
    script += ''.join(f'EXPLAIN (ANALYZE, TIMING off, COSTS off, SUMMARY on) EXECUTE q({argument});\n'
                      for argument in arguments)
    return [float(ms) * 1000 for ms in re.findall(r'Execution Time: ([0-9.]+)', psql(script, limit))]


def pgbench(statements, transactions, clients=1, options='', limit=60):
    """Latencies in microseconds and transactions a second, through the connection.

    transactions: of each client.  Each statement is a script of its own, with its arguments in it, prepared once by each
    client; which comes next is drawn by lot.  A client's first of each is not counted
    (it has the planning), unless less than half would be left, as of slow statements.
    """
    with tempfile.TemporaryDirectory() as folder:
        scripts = []
        for number, statement in enumerate(statements):
            scripts += ['-f', os.path.join(folder, f'{number}.sql')]
            with open(scripts[-1], 'w') as file:
                file.write(statement + ';\n')
        environment = dict(os.environ, PGOPTIONS=f'-c search_path={SCHEMA},public -c jit=off -c max_parallel_workers_per_gather=0 '
                           f'{options}')
        command = ['pgbench', '-n', '-M', 'prepared', '-c', str(clients), '-j', str(clients), '-t', str(transactions),
                   '-l', '--log-prefix', os.path.join(folder, 'log'), *scripts]
        try:
            result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit)
        except subprocess.TimeoutExpired:
            raise TooLong(f'did not end in {number_of_seconds(limit)}') from None
        if result.returncode != 0:
            raise Failed(result.stderr.strip()[-500:])
        all_times, times, seen = [], [], set()
        for name in os.listdir(folder):
            if name.startswith('log'):
                with open(os.path.join(folder, name)) as file:
                    for client, _, microseconds, script, *_ in map(str.split, file):
                        all_times.append(float(microseconds))
                        if (client, script) in seen:
                            times.append(float(microseconds))
                        seen.add((client, script))
    rate = float(re.search(r'^tps = ([0-9.]+)', result.stdout, re.M).group(1))
    return times if 2 * len(times) >= len(all_times) else all_times, rate

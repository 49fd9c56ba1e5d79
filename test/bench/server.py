"""The server the benchmark talks to, by psql and pgbench only.

Connects as they do by themselves (PGHOST, PGUSER, PGDATABASE …).
"""
import os
import re
import subprocess
import tempfile

PSQL = ['psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1']
# One core a session, no compilation, and no answers kept for equal queries.
HEAD = '''SET jit = off; SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0;
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
        psql(f'CREATE EXTENSION IF NOT EXISTS {name}')
    except Failed:
        return None
    return psql(f"SELECT extversion FROM pg_extension WHERE extname = '{name}'").strip()


def copy(table, lines, columns=''):
    """Load an iterable of lines in COPY's text format, without holding them all."""
    with tempfile.NamedTemporaryFile('w', suffix='.tsv') as file:
        file.writelines(lines)
        file.flush()
        psql(f'\\copy {table} {columns} from {file.name}\n')


def processors():
    return len(os.sched_getaffinity(0))

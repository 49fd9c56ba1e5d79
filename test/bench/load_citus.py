#!/usr/bin/env python3
"""Writers and readers on a table that Citus distributes, while a shard moves and a node restarts.

usage: load_citus.py [SECONDS]        300 if not said; as an ordinary user

Needs PostgreSQL's programs on PATH, with Citus and xmhash installed where they find them.  Three
servers of its own (a coordinator, two workers; 4 shards) listen on the loopback interface, in a
temporary folder.  CONFIG names a file with settings that they need besides.

Prints, by kind of statement: how many, failed, p50 and p99 of those that did not fail, in
milliseconds.  Then it looks for every row whose insertion was confirmed, and compares searches with
those of one table that has the same rows.  Exits with 1 if a row is lost or an answer differs.
"""
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
FIRST_ROWS = 200_000
SEED = int(os.environ.get('SEED', time.time()))
PSQL = ['psql', '-X', '-q', '-A', '-t', '-h', '127.0.0.1', '-U', 'postgres', '-d', 'postgres', '-p']
SETTINGS = """shared_preload_libraries = 'citus'
listen_addresses = '127.0.0.1'
citus.node_conninfo = 'sslmode=disable'
citus.shard_count = 4
citus.enable_statistics_collection = off
wal_level = logical
max_prepared_transactions = 50
max_worker_processes = 32
shared_buffers = 256MB
jit = off
"""
NEAREST = """WITH query AS MATERIALIZED (SELECT '{0}'::bitcode AS code)
SELECT id, code <~> (SELECT code FROM query) AS distance FROM {1} ORDER BY code <~> (SELECT code FROM query) LIMIT 10"""
WITHIN = "SELECT count(*) FROM {1} WHERE hamming_within(code, '{0}', 8)"


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


class Server:
    """A server in a folder of its own."""

    def __init__(self, folder, name):
        self.data = os.path.join(folder, name)
        self.port = free_port()
        subprocess.run(['initdb', '-D', self.data, '-U', 'postgres', '-A', 'trust', '-N', '-E', 'UTF8', '--locale=C'],
                       check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(self.data, 'postgresql.conf'), 'a') as conf:
            conf.write(SETTINGS + f"port = {self.port}\nunix_socket_directories = '{folder}'\n")
            if 'CONFIG' in os.environ:
                conf.write(open(os.environ['CONFIG']).read())
        self.control('start')
        self.sql('CREATE EXTENSION citus; CREATE EXTENSION xmhash')

    def control(self, action):
        subprocess.run(['pg_ctl', '-s', '-w', '-m', 'fast', '-D', self.data, '-l', self.data + '.log', action], check=True)

    def sql(self, script):
        result = subprocess.run(PSQL + [str(self.port), '-v', 'ON_ERROR_STOP=1'], input=script, capture_output=True, text=True)
        if result.returncode != 0:
            raise SystemExit(f'{script[:200]}\n{result.stderr}')
        return result.stdout.strip()


class Session:
    """A psql that goes on after errors; latencies and failures by kind of statement."""

    def __init__(self, port):
        self.psql = subprocess.Popen(PSQL + [str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, text=True, bufsize=1)
        self.taken = {}
        self.failed = {}
        self.words = set()

    def run(self, kind, statement):
        """The lines of its answer, or None if it failed."""
        before = time.monotonic()
        self.psql.stdin.write(statement + ';\n\\echo :ERROR :SQLSTATE\n')
        self.psql.stdin.flush()
        lines = []
        while True:
            line = self.psql.stdout.readline()
            if line == '':
                raise SystemExit('psql has ended: ' + ' '.join(lines))
            if line.startswith(('true ', 'false ')):
                break
            lines.append(line.rstrip())
        if line.startswith('false'):
            self.taken.setdefault(kind, []).append(time.monotonic() - before)
            return lines
        self.failed[kind] = self.failed.get(kind, 0) + 1
        self.words.add(lines[0][:120] if lines else '')
        return None


def random_code(source):
    """Near one of a thousand codes."""
    code = random.Random(source.randrange(1000)).getrandbits(64)
    for _ in range(source.randrange(8)):
        code ^= 1 << source.randrange(64)
    return f'0x{code:016x}'


def write(session, number, end, confirmed):
    source = random.Random(SEED + number)
    row = 0
    while time.monotonic() < end:
        row += 1
        identifier = number * 100_000_000 + row
        code = random_code(source)
        if session.run('insert', f"INSERT INTO item VALUES ({identifier}, '{code}')") is not None:
            confirmed[identifier] = code
        if row % 10 == 0 and session.run('delete', f'DELETE FROM item WHERE id = {identifier - 5}') is not None:
            confirmed.pop(identifier - 5, None)


def read(session, number, end):
    source = random.Random(SEED + number)
    while time.monotonic() < end:
        session.run('nearest 10', NEAREST.format(random_code(source), 'item').replace('\n', ' '))
        session.run('radius 8', WITHIN.format(random_code(source), 'item'))


def percentile(values, share):
    values = sorted(values) or [float('nan')]
    return values[min(len(values) - 1, int(share * len(values)))] * 1000


def main():
    folder = tempfile.mkdtemp(prefix='xmhash-load-', dir=os.environ.get('TMPDIR', '/tmp'))
    servers = []
    try:
        servers = [Server(folder, name) for name in ('coordinator', 'worker1', 'worker2')]
        sys.exit(run(*servers))
    finally:
        for server in servers:
            subprocess.run(['pg_ctl', '-s', '-m', 'immediate', '-D', server.data, 'stop'], check=False)
        shutil.rmtree(folder)


def run(head, *workers):
    head.sql(f"SELECT citus_set_coordinator_host('127.0.0.1', {head.port})")
    for worker in workers:
        head.sql(f"SELECT citus_add_node('127.0.0.1', {worker.port})")
    head.sql("CREATE TABLE item (id bigint PRIMARY KEY, code bitcode(64)); SELECT create_distributed_table('item', 'id');"
             "CREATE INDEX item_code ON item USING xmhash (code)")
    source = random.Random(SEED)
    confirmed = {row: random_code(source) for row in range(FIRST_ROWS)}
    head.sql('COPY item FROM stdin;\n' + ''.join(f'{row}\t{code}\n' for row, code in confirmed.items()) + '\\.\n')

    sessions = [Session(head.port) for _ in range(4)]
    end = time.monotonic() + SECONDS
    threads = [threading.Thread(target=write, args=(sessions[n], n + 1, end, confirmed)) for n in (0, 1)]
    threads += [threading.Thread(target=read, args=(sessions[n], n + 1, end)) for n in (2, 3)]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS / 4)
    shard = head.sql(f"SELECT min(shardid) FROM citus_shards WHERE table_name = 'item'::regclass AND nodeport = {workers[0].port}")
    before = time.monotonic()
    head.sql(f"SELECT citus_move_shard_placement({shard}, '127.0.0.1', {workers[0].port}, '127.0.0.1', {workers[1].port}, 'force_logical')")
    moved = time.monotonic() - before
    time.sleep(SECONDS / 4)
    before = time.monotonic()
    workers[1].control('restart')
    restarted = time.monotonic() - before
    for thread in threads:
        thread.join()

    print(f'SEED={SEED}; {SECONDS} s; a shard moved in {moved:.1f} s; a worker restarted in {restarted:.1f} s')
    print(f'{"statement":12} {"done":>8} {"failed":>7} {"p50 ms":>8} {"p99 ms":>8}')
    for kind in ('insert', 'delete', 'nearest 10', 'radius 8'):
        taken = [t for session in sessions for t in session.taken.get(kind, [])]
        failed = sum(session.failed.get(kind, 0) for session in sessions)
        print(f'{kind:12} {len(taken):8} {failed:7} {percentile(taken, .5):8.2f} {percentile(taken, .99):8.2f}')
    for words in sorted(set().union(*(session.words for session in sessions))):
        print('  ' + words)
    return compare(head, confirmed)


def compare(head, confirmed):
    """Confirmed rows and answers against one table; what differs."""
    head.sql('CREATE TABLE expected (id bigint, code bitcode(64));\nCOPY expected FROM stdin;\n' +
             ''.join(f'{row}\t{code}\n' for row, code in confirmed.items()) + '\\.\n')
    head.sql('CREATE TABLE plain AS SELECT * FROM item')
    lost = head.sql('SELECT count(*) FROM expected LEFT JOIN plain USING (id) WHERE plain.code IS DISTINCT FROM expected.code')
    more = head.sql('SELECT count(*) FROM plain LEFT JOIN expected USING (id) WHERE expected.id IS NULL')
    source = random.Random(SEED + 99)
    differ = 0
    for _ in range(50):
        code = random_code(source)
        distances = [head.sql(f"SELECT string_agg(distance::text, ',' ORDER BY distance) FROM ({NEAREST.format(code, table)}) AS n")
                     for table in ('item', 'plain')]
        counts = [head.sql(WITHIN.format(code, table)) for table in ('item', 'plain')]
        differ += (distances[0] != distances[1]) + (counts[0] != counts[1])
    checked = head.sql("SELECT count(*) FROM run_command_on_shards('item', $$SELECT count(xmhash_index_check(indexrelid, true)) "
                       "FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam "
                       "WHERE amname = 'xmhash' AND indrelid = '%s'::regclass$$) WHERE success AND result = '1'")
    print(f'{len(confirmed)} rows confirmed, {lost} lost; {more} whose insertion or deletion failed are there; '
          f'{differ} of 100 answers differ; {checked} of 4 indexes are sound')
    return 1 if lost != '0' or differ or checked != '4' else 0


if __name__ == '__main__':
    main()

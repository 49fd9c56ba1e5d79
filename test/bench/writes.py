"""What writing costs, beside a btree on the same column and no index at all.

builds    CREATE INDEX over a btree's, and the memory it takes beyond a session's own
inserts   single rows, a transaction each, by pgbench, into a table that is as large as the
          case already: mean time over that with no index and a btree, and the 99.9th
          percentile over the median; then bytes a row of an index that grows from nothing
deletes   DELETE of every tenth row, then VACUUM; and what a search takes afterwards

Contestants of pgvector have one index each, so they insert and delete once, at the end.
"""
import re
import statistics
import subprocess
import threading

import limits as limiting
import peers_sql
import server

INDEXES = {'no index': None, 'btree': '(code)', 'xmhash': 'USING xmhash (code)'}
PORTIONS = 100


def private_kilobytes(pid):
    """Memory of a process's own: without shared buffers."""
    try:
        with open(f'/proc/{pid}/status') as file:
            return int(re.search(r'^RssAnon:\s+(\d+)', file.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 0


def memory_of_build(statement):
    """Seconds of a CREATE INDEX, and the most memory it had, in kilobytes, beyond the session's."""
    process = subprocess.Popen(server.PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    process.stdin.write(server.HEAD + 'SELECT pg_backend_pid();\n')
    pid = int(process.stdout.readline())
    before, most, ended = private_kilobytes(pid), [0], threading.Event()

    def watch():
        while not ended.wait(.005):
            most[0] = max(most[0], private_kilobytes(pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    process.stdin.write(f'\\timing on\n{statement};\n')
    process.stdin.close()
    output = process.stdout.read()
    ended.set()
    watcher.join()
    process.wait()
    return float(re.search(r'^Time: ([0-9.]+) ms', output, re.M).group(1)) / 1000, max(0, most[0] - before)


def builds(limits, plan):
    seconds = {'btree': [], 'xmhash': []}
    memory = []
    for _ in range(plan['rounds']):
        for name, times in seconds.items():
            took, most = memory_of_build(f'CREATE INDEX built ON codes {INDEXES[name]}')
            times.append(took)
            if name == 'xmhash':
                memory.append(most)
            server.psql('DROP INDEX built')
    Measured = limits.report.Measured
    ours, theirs = Measured(seconds['xmhash']), Measured(seconds['btree'])
    big = len(limits.case.codes) >= limiting.M
    limits.row('build', 'CREATE INDEX', ours.over(theirs), 'btree', limit=3 if big else None, value=ours, unit='s')
    allowed = int(server.psql("SELECT setting FROM pg_settings WHERE name = 'maintenance_work_mem'"))
    limits.row('memory', '  memory, at most', Measured(memory).over(allowed), 'maintenance_work_mem', limit=1,
               value=Measured(memory), unit='kB')


def fresh(name, options):
    """A copy of the rows with one index; returns its table."""
    table = 'written_' + name.replace(' ', '_')
    server.psql(f'DROP TABLE IF EXISTS {table}; CREATE TABLE {table} AS SELECT * FROM codes ORDER BY id;' +
                (f'CREATE INDEX {table}_index ON {table} {options};' if options else '') + f'VACUUM ANALYZE {table};')
    return table


def insert(table, rows, count, type='bitcode'):
    """Times of single-row transactions, in microseconds; their rows come from a table with a key."""
    statement = (f'\\set i random(0, {rows - 1})\n'
                 f'INSERT INTO {table} SELECT id, code::{type} FROM source WHERE id = :i')
    times, rate = server.pgbench([statement], count, limit=300)
    return times, rate


def prepare_source(case):
    """New codes of the same kind to insert, found by a key at little cost."""
    rows = min(len(case.codes), 100000)
    server.psql('DROP TABLE IF EXISTS source;'
                f'CREATE TABLE source AS SELECT * FROM codes WHERE id < {rows}; ALTER TABLE source ADD PRIMARY KEY (id);'
                'VACUUM ANALYZE source;')
    return rows


def inserts(limits, plan):
    rows = prepare_source(limits.case)
    means = {name: [] for name in INDEXES}
    medians, tails = {name: [] for name in INDEXES}, {name: [] for name in INDEXES}
    tables = {name: fresh(name, options) for name, options in INDEXES.items()}
    for _ in range(plan['rounds']):
        for name, table in tables.items():
            times, rate = insert(table, rows, plan['inserts'])
            means[name].append(1e6 / rate)
            medians[name].append(statistics.median(times))
            tails[name].append(limiting.percentile(times, .999) / medians[name][-1])
    Measured = limits.report.Measured
    big = len(limits.case.codes) >= limiting.M
    for name in INDEXES:
        limits.row('insert', f'INSERT of a row, {name}', Measured(means[name]).over(Measured(means['btree'])), 'btree',
                   limit=1.3 if name == 'xmhash' and big else None, value=Measured(means[name]), unit='us')
        limits.row('tail', '  99.9th percentile', Measured(tails[name]), 'the median',
                   limit=50 if name == 'xmhash' and big else None,
                   value=Measured(tail * median for tail, median in zip(tails[name], medians[name])), unit='us')
    for table in tables.values():
        server.psql(f'DROP TABLE {table}')


def growing(limits):
    """The most bytes a row at any time while an index grows from nothing."""
    rows = min(len(limits.case.codes), limiting.M)
    portion = max(1000, rows // PORTIONS)
    server.psql('CREATE TABLE grown (id int, code bitcode); CREATE INDEX grown_index ON grown USING xmhash (code);')
    output = server.psql(''.join(
        f'INSERT INTO grown SELECT id, code FROM codes WHERE id >= {start} AND id < {start + portion};\n'
        f"SELECT pg_relation_size('grown_index')::float8 / {start + portion};\n"
        for start in range(0, rows - portion + 1, portion))).split()
    server.psql('DROP TABLE grown')
    after = [float(word) for word in output[len(output) // 10:]]    # a handful of rows has whole pages to itself
    least_words = limits.case.bits == 64
    limits.row('bytes', 'bytes a row, while inserting, at most', max(after), 'bytes', limit=36 if least_words else None)
    limits.row('bytes', '  at the end', after[-1], 'bytes', limit=36 if least_words else None)
    size = int(server.psql("SELECT pg_relation_size('codes_xmhash')"))
    limits.row('bytes', '  after a build', size / len(limits.case.codes), 'bytes',
               limit=18 if least_words and len(limits.case.codes) >= limiting.M else None)


def delete_and_vacuum(table):
    return server.seconds(f'DELETE FROM {table} WHERE id % 10 = 3;\nVACUUM {table}', limit=1200)


def deletes(limits, xmhash, plan):
    case = limits.case
    times = {'btree': [], 'xmhash': []}
    before, after, through = [], [], []
    for _ in range(min(2, plan['rounds'])):
        for name in times:
            table = fresh(name, INDEXES[name])
            if name == 'xmhash':
                prepare = f'PREPARE q(bitcode) AS SELECT id FROM {table} ORDER BY code <~> $1 LIMIT 10'
                arguments = [f"'x{code}'" for code in case.arguments[:plan['queries']]]
                before.append(statistics.median(server.explained(prepare, arguments, xmhash.session(()))))
            times[name].append(delete_and_vacuum(table))
            if name == 'xmhash':
                after.append(statistics.median(server.explained(prepare, arguments, xmhash.session(()))))
                statements = [f"SELECT id FROM {table} ORDER BY code <~> 'x{code}' LIMIT 10"
                              for code in case.arguments[:plan['queries']]]
                through.append(statistics.median(server.pgbench(statements, limiting.transactions(plan, after[-1] / 1e6))[0]))
            server.psql(f'DROP TABLE {table}')
    Measured = limits.report.Measured
    ours = Measured(times['xmhash'])
    limits.row('delete', 'DELETE of 10 %, then VACUUM', ours.over(Measured(times['btree'])), 'btree',
               limit=2 if len(case.codes) >= limiting.M else None, value=ours, unit='s')
    limits.row(None, '  10 nearest inside the server after it', Measured(after).over(Measured(before)), 'before',
               value=Measured(after), unit='us')
    limits.row(None, '  through a connection', None, None, value=Measured(through), unit='us')


def others(report, case, peer, plan, only, limit):
    """The same of pgvector's indexes, which are built already."""
    if 'inserts' in only:
        times, rate = insert(peer.table, prepare_source(case), plan['inserts'] // 10, f'bit({case.bits})')
        report.row('retrieval: writes', f'INSERT of a row, {peer.name}', mean_us=1e6 / rate, median_us=statistics.median(times),
                   ratio_tail=limiting.percentile(times, .999) / statistics.median(times))
    if 'deletes' in only:
        seconds = server.seconds(f'DELETE FROM {peer.table} WHERE id % 10 = 3;\nVACUUM {peer.table}', limit=limit)
        words, variant = peer.variants[0]
        after = statistics.median(peer.times(variant, 10, case.arguments[:plan['queries']]))
        report.row('retrieval: writes', f'DELETE of 10 %, then VACUUM, {peer.name}', seconds=seconds, inside_us_after=after,
                   variant=words)


def run(report, case, built, plan, only, limit):
    xmhash = next((peer for peer in built if isinstance(peer, peers_sql.Xmhash)), None)
    limits = limiting.Limits(report, case)
    measures = {'builds': lambda: builds(limits, plan), 'inserts': lambda: (inserts(limits, plan), growing(limits)),
                'deletes': lambda: deletes(limits, xmhash, plan)}
    for word, measure in measures.items():
        if word in only and xmhash is not None:
            try:
                measure()
            except server.Failed as failure:
                report.skip(f'xmhash, {word}', str(failure))
    for peer in built:
        if isinstance(peer, peers_sql.Pgvector) and only & {'inserts', 'deletes'}:
            try:
                others(report, case, peer, plan, only, limit)
            except server.Failed as failure:
                report.skip(f'{peer.name}, writes', str(failure))

"""What xmhash promises of searches, each beside its limit, as ratios in one run.

nearest   the 10 nearest inside the server, through a connection, and in processor time of
          a loop, over FAISS IndexBinaryFlat's; pages read
two       queries a second of two backends looping inside the server over one's
radius    hamming_within, radius 3, less what it takes to return the rows found (a scan of
          the same tids), over the same yardstick; uniform codes also WITH (bands = 4)
joins     a self-join by radius 5 over FAISS's range_search of the same; a LATERAL join of
          10 nearest over as many single queries

A limit holds or does not; without FAISS, or at another size, there is none to compare.
"""
import os
import re
import statistics
import subprocess
import time

import chosen
import peers_array
import peers_faiss
import peers_sql
import server

RADIUS = 3
BANDS = 4
JOIN_RADIUS = 5
M = 1000000

# Of 64-bit codes: what, set, rows.
LIMITS = {
    ('inside', 'clustered', M): .14, ('connection', 'clustered', M): .25,
    ('inside', 'clustered', 10 * M): .015, ('percentile', 'clustered', 10 * M): .06,
    ('inside', 'uniform', M): 1.0, ('inside', 'uniform', 10 * M): .6,
    ('inside', 'jdsh', M): .14, ('inside', 'dmsh_ln', M): .35,
    ('pages', 'jdsh', M): 144, ('pages', 'dmsh_ln', M): 627,
    ('radius', 'clustered', M): .14, ('radius', 'clustered', 10 * M): .015, ('bands', 'uniform', 10 * M): .005,
    ('join', 'clustered', M): .5, ('lateral', 'clustered', M): 1,
}


class Limits:
    """Rows of one case with the limits that apply to it."""

    def __init__(self, report, case):
        self.report, self.case = report, case

    def row(self, key, what, ratio, of, limit=None, least=False, value=None, unit=None):
        """ratio: a Measured or a number; of: of what; least: the limit is a lower one."""
        if limit is None and self.case.bits == 64:
            limit = LIMITS.get((key, self.case.name, len(self.case.codes)))
        holds = None
        if limit is not None and ratio is not None:
            holds = 'yes' if (float(ratio) >= limit if least else float(ratio) <= limit) else 'NO'
        self.report.row('retrieval: limits', what, value=value, unit=unit, ratio=ratio, of=of, limit=limit, holds=holds)


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def transactions(plan, seconds):
    """How many there is time for through a connection, which takes some time of its own."""
    return max(5, int(plan['connection'] / (seconds + .0001)))


def loop(table, k=10, times=3):
    """One statement of several times as many searches as there are queries, none of them shared."""
    queries = ' UNION ALL '.join(['SELECT * FROM queries'] * times)
    return f'SELECT count(*) FROM ({queries}) q, LATERAL (SELECT id FROM {table} t ORDER BY t.code <~> q.code LIMIT {k}) n'


def processor_microseconds(before, times):
    """Processor time of one search of a loop inside the server, as /proc counts it."""
    ticks = "\\! awk '{print \"ticks\", $14 + $15}' /proc/$BACKEND/stat\n"
    statement = loop('codes', times=times) + ';\n'
    output = server.psql('SELECT pg_backend_pid() AS backend \\gset\n\\setenv BACKEND :backend\n' + before +
                         (statement + ticks) * 2 + "SELECT 'scans ' || scans FROM xmhash_last_scan();")
    first, last = [int(number) for number in re.findall(r'ticks (\d+)', output)]
    scans = int(re.search(r'scans (\d+)', output).group(1))
    return (last - first) / os.sysconf('SC_CLK_TCK') * 1e6 / scans


def nearest(limits, xmhash, flat, array, plan):
    """Returns the yardstick and a single search inside the server, in microseconds."""
    case, Measured = limits.case, limits.report.Measured
    figures = {name: [] for name in ('base', 'processor', 'array', 'widest', 'inside', 'percentile', 'connection')}
    part = len(case.arguments) // plan['rounds']
    for turn in range(plan['rounds']):
        arguments = case.arguments[turn * part:(turn + 1) * part]
        few = arguments[:max(5, min(part, int(40e6 / len(case.codes))))]
        if flat:
            before = time.process_time()
            figures['base'].append(statistics.median(flat.times(None, 10, few)))
            figures['processor'].append((time.process_time() - before) / len(few) * 1e6)
        for name, variant in zip(('array', 'widest'), (array.variants[0], array.variants[-1]) if array else ()):
            figures[name].append(statistics.median(array.times(variant[1], 10, few)))
        times = xmhash.times((), 10, arguments)
        figures['inside'].append(statistics.median(times))
        figures['percentile'].append(percentile(times, .99))
        times, _ = xmhash.through_connection((), 10, arguments[:plan['queries']],
                                             transactions(plan, figures['inside'][-1] / 1e6), 1)
        figures['connection'].append(statistics.median(times))
    figures = {name: Measured(values) for name, values in figures.items() if values}
    base = figures.get('base')
    over = (lambda name: figures[name].over(base)) if base else (lambda name: None)
    if base:
        limits.row(None, 'FAISS IndexBinaryFlat, 10 nearest', None, None, value=base, unit='us')
    for name, variant in zip(('array', 'widest'), (array.variants[0], array.variants[-1]) if array else ()):
        limits.row(None, f'{array.name}, {variant[0]}', over(name), 'Flat', value=figures[name], unit='us')
    limits.row('inside', '10 nearest inside the server', over('inside'), 'Flat', value=figures['inside'], unit='us')
    if array:
        limits.row(None, '  beside one array with POPCNT', figures['inside'].over(figures['array']), array.variants[0][0])
        limits.row(None, '  beside one array, widest kernel', figures['inside'].over(figures['widest']), array.variants[-1][0])
    limits.row('percentile', '  99th percentile', over('percentile'), 'Flat', value=figures['percentile'], unit='us')
    limits.row('connection', '  through a connection', over('connection'), 'Flat', value=figures['connection'], unit='us')
    used = processor_microseconds(xmhash.session(()), 3 if float(figures['inside']) < 1000 else 1)
    limits.row(None, '  processor time in a loop', used / figures['processor'].median if base else None, "Flat's",
               value=used, unit='us')
    pages, all_pages = xmhash.pages((), 10, len(case.queries))
    limits.row('pages', f'  pages read, of {all_pages}', pages, 'pages')
    return base, figures['inside']


def two(limits, xmhash, plan, single):
    """Two backends that loop inside the server; both are warm before the clock starts."""
    times = max(1, min(30, int(plan['loop'] * 1e6 / (float(single) * len(limits.case.queries)))))
    script = server.HEAD + xmhash.session(()) + f'{loop("codes", times=1)};\n\\timing on\n{loop("codes", times=times)};\n'

    def run(count):
        processes = [subprocess.Popen(server.PSQL, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                     for _ in range(count)]
        for process in processes:
            process.stdin.write(script)
            process.stdin.close()
        return max(float(re.findall(r'^Time: ([0-9.]+) ms', process.stdout.read(), re.M)[-1]) for process in processes)
    ratios, rates = [], []
    for _ in range(plan['rounds']):
        one, both = run(1), run(2)
        ratios.append(2 * one / both)
        rates.append(2 * times * len(limits.case.queries) / both * 1000)
    Measured = limits.report.Measured
    limit = 1.8 if server.processors() >= 2 and limits.case.bits == 64 and len(limits.case.codes) >= M else None
    limits.row('two', 'two backends looping', Measured(ratios), 'one backend', limit=limit, least=True,
               value=Measured(rates), unit='/s')


def radius_microseconds(case, table, before, arguments, rounds):
    """Medians of each round: the search; a scan of the tids that it finds."""
    prepare = f'PREPARE q(bitcode) AS SELECT id FROM {table} WHERE hamming_within(code, $1, {RADIUS})'
    tids = f'PREPARE q(tid[]) AS SELECT id FROM {table} WHERE ctid = ANY($1)'
    search, returning = [], []
    found = server.psql(before + ''.join(
        f"SELECT coalesce(array_agg(ctid), '{{}}'::tid[]) FROM {table} WHERE hamming_within(code, 'x{code}', {RADIUS});\n"
        for code in arguments)).split('\n')[:-1]
    rows = statistics.mean(line.count('(') for line in found)
    for _ in range(rounds):
        times = server.explained(prepare, [f"'x{code}'" for code in arguments], before, 120)
        scans = server.explained(tids, [f"'{line}'" for line in found], '', 120)
        search.append(statistics.median(times))
        returning.append(statistics.median(time - scan for time, scan in zip(times, scans)))
    return search, returning, rows


def radius(limits, xmhash, base, plan):
    case, Measured = limits.case, limits.report.Measured
    contests = [('radius', 'codes', '')]
    if case.name == 'uniform':
        server.psql('CREATE TABLE codes_bands AS SELECT * FROM codes ORDER BY id;'
                    f'CREATE INDEX codes_bands_index ON codes_bands USING xmhash (code) WITH (bands = {BANDS});'
                    'VACUUM ANALYZE codes_bands;')
        contests.append(('bands', 'codes_bands', f', WITH (bands = {BANDS})'))
    for key, table, words in contests:
        arguments = case.arguments[:plan['queries']]
        search, beyond, rows = radius_microseconds(case, table, xmhash.session(()), arguments, plan['rounds'])
        limits.row(None, f'radius {RADIUS}{words}, {rows:.0f} rows', None, None, value=Measured(search), unit='us')
        limits.row(key, '  without returning the rows', Measured(beyond).over(base) if base else None, 'Flat',
                   value=Measured(beyond), unit='us')
        if key == 'bands':
            size = int(server.psql("SELECT pg_relation_size('codes_bands_index')"))
            limits.row(None, '  bytes a row', None, None, value=size / len(case.codes), unit='')
    server.psql('DROP TABLE IF EXISTS codes_bands')


def lateral(limits, xmhash, single, plan):
    queries = min(10000, len(limits.case.codes) // 10)
    server.psql(f'DROP TABLE IF EXISTS many; CREATE TABLE many AS SELECT * FROM codes WHERE id < {queries}; ANALYZE many;')
    statement = 'SELECT count(*) FROM many q, LATERAL (SELECT id FROM codes t ORDER BY t.code <~> q.code LIMIT 10) n'
    # The single search of these very codes: the sets' own queries may lie further off.
    arguments = [line[1:] for line in server.psql('SET xmhash.bitcode_output = hex; SELECT code FROM many LIMIT 200').split()]
    ratios, seconds = [], []
    for _ in range(plan['rounds']):
        each = statistics.mean(xmhash.times((), 10, arguments))
        seconds.append(server.seconds(statement, xmhash.session(()), 300))
        ratios.append(seconds[-1] / (queries * each / 1e6))
    Measured = limits.report.Measured
    limits.row('lateral', f'LATERAL join of {queries}, 10 nearest each', Measured(ratios), 'single searches',
               value=Measured(seconds), unit='s')


def self_join(limits, xmhash, flat, plan):
    """Of codes in masses every pair is an answer: keep that to what a person would wait for."""
    case, Measured = limits.case, limits.report.Measured
    part = min(100000, len(case.codes))
    found = float(server.psql(xmhash.session(()) + 'SELECT count(*) FROM codes t, (SELECT code FROM codes LIMIT 50) q '
                              f'WHERE hamming_within(t.code, q.code, {JOIN_RADIUS})')) / 50
    while part * part / len(case.codes) * found > 1e8:
        part //= 2
    server.psql(f'DROP TABLE IF EXISTS part; CREATE TABLE part AS SELECT * FROM codes WHERE id < {part};'
                'CREATE INDEX ON part USING xmhash (code); VACUUM ANALYZE part;')
    statement = f'SELECT count(*) FROM part a JOIN part b ON hamming_within(a.code, b.code, {JOIN_RADIUS})'
    index = None
    if flat:
        index = peers_faiss.Flat(case)
        index.index = index.make_index(part, case.bits)
        index.index.add(case.codes[:part])
    sample = min(2000, part)
    ratios, seconds = [], []
    for turn in range(plan['rounds']):
        seconds.append(server.seconds(statement, xmhash.session(()), 300))
        if index:
            theirs = index.range_seconds(case.codes[:sample], JOIN_RADIUS) * part / sample
            ratios.append(seconds[-1] / theirs)
    limits.row('join', f'self-join of {part}, radius {JOIN_RADIUS}, about {part * part / len(case.codes) * found:.0f} pairs',
               Measured(ratios) if ratios else None, 'Flat range_search', value=Measured(seconds), unit='s')


def run(report, case, built, plan, only):
    xmhash = next((peer for peer in built if isinstance(peer, peers_sql.Xmhash)), None)
    flat = next((peer for peer in built if isinstance(peer, peers_faiss.Flat)), None)
    if xmhash is None or not only & set(chosen.LIMITS):
        return
    array = next((peer for peer in built if isinstance(peer, peers_array.Array)), None)
    limits = Limits(report, case)
    base, single = nearest(limits, xmhash, flat, array, plan)
    measures = {'two': lambda: two(limits, xmhash, plan, single), 'radius': lambda: radius(limits, xmhash, base, plan)}
    if case.name != 'uniform':    # there a join is as many scans of everything
        measures['joins'] = lambda: (lateral(limits, xmhash, single, plan), self_join(limits, xmhash, flat, plan))
    for word, measure in measures.items():
        if word in only:
            try:
                measure()
            except server.Failed as failure:
                report.skip(f'xmhash, {word}', str(failure))

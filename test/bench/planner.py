"""What the planner believes of a query, and what it takes.

Queries by k, radius, selectivity of a condition that the index does not know (with a btree
beside), work_mem, length of codes and kind of set.  Each is planned and run as the planner
wants it and by each way there is, forced by the enable_ settings: by xmhash; by the btree and
a sort; by a sequential scan and a sort.  Of each: the planned cost, and the time inside the
server, the mean over a few queries of the set, the median of the rounds.  Ways take turns.

So that none gets the caches that another has filled each time, every other round turns them round.

At the end: Spearman's rank correlation of planned cost and time over all of them, the
greatest ratio of the planner's choice to the fastest way, and for how many queries it is
above 1.25.  The sets are made by SQL.
"""
import json
import statistics

import numpy as np

import server

#       set, bits, rows
FULL = {'tables': (('clustered', 64, 1000000), ('uniform', 64, 200000), ('clustered', 128, 300000),
                   ('uniform', 128, 200000), ('clustered', 256, 200000)), 'queries': 4, 'rounds': 4}
QUICK = {'tables': (('clustered', 64, 50000), ('uniform', 64, 20000)), 'queries': 2, 'rounds': 2}

OFF = {'xmhash': ('seqscan', 'sort', 'bitmapscan'), 'btree': ('seqscan', 'indexscan'),
       'sequential': ('indexscan', 'bitmapscan')}
RADIUS_OFF = {'xmhash': ('seqscan', 'bitmapscan'), 'xmhash_bitmap': ('seqscan', 'indexscan'),
              'sequential': ('indexscan', 'bitmapscan')}
PARTS = 10000    # values of the column that the index does not know

HALF = """(CASE WHEN {clustered} THEN ('x' || md5('c' || (300 * pow(r, 2))::int || '/{j}'))::bit(128)
  # (('x' || md5('a' || i || '/{j}'))::bit(128) & ('x' || md5('b' || i || '/{j}'))::bit(128)
     & ('x' || md5('d' || i || '/{j}'))::bit(128) & ('x' || md5('e' || i || '/{j}'))::bit(128))
  ELSE ('x' || md5('u' || i || '/{j}'))::bit(128) END)"""


def codes(name, bits, first, last):
    """A query that makes codes: near one of 300 of the squares' sizes, each bit flipped with 1/16, or fair bits."""
    halves = ' || '.join(HALF.format(clustered=name == 'clustered', j=j) for j in range((bits + 127) // 128))
    return f"""SELECT i AS id, (hashint4(i) & 2147483647) % {PARTS} AS part, substring(({halves})::text FROM 1 FOR {bits})::bitcode({bits}) AS code
FROM (SELECT i, (hashint4extended(i, 7) & 1048575) / 1048576.0 AS r FROM generate_series({first}, {last}) AS i) AS x"""


def load(name, bits, rows, queries):
    """The table t and its indexes; returns the queries' codes as literals."""
    server.start_afresh()
    server.psql(f"""CREATE TABLE t (id int, part int, code bitcode({bits}));
INSERT INTO t {codes(name, bits, 1, rows)};
CREATE INDEX t_code ON t USING xmhash (code); CREATE INDEX t_part ON t (part); VACUUM ANALYZE t;""")
    found = server.psql(f'SELECT code FROM ({codes(name, bits, rows + 1, rows + queries)}) AS q').split()
    return [f"'{code}'::bitcode" for code in found]


def cases(bits, rows):
    """(what, ways, statement, work_mem) of a table."""
    nearest = 'SELECT id FROM t{where} ORDER BY code <~> {{query}}{limit}'
    for k in (1, 10, 100, 1000, 10000):
        yield f'{k} nearest', OFF, nearest.format(where='', limit=f' LIMIT {k}'), '4MB'
    for share in (5, 50, 1000):
        yield (f'10 nearest of {share / PARTS:.2%}', OFF,
               nearest.format(where=f' WHERE part < {share}', limit=' LIMIT 10'), '4MB')
    yield '10000 nearest, 64 kB', OFF, nearest.format(where='', limit=' LIMIT 10000'), '64kB'
    yield '1000 nearest of 1%, 64 kB', OFF, nearest.format(where=' WHERE part < 100', limit=' LIMIT 1000'), '64kB'
    yield 'all in order, 64 MB', OFF, nearest.format(where='', limit=''), '64MB'
    for radius in (bits // 32, bits // 8, bits // 4):
        yield f'within {radius}', RADIUS_OFF, f'SELECT id FROM t WHERE hamming_within(code, {{query}}, {radius})', '4MB'


def way_of(plan):
    """Which way a plan goes."""
    nodes, names = [plan], set()
    while nodes:
        node = nodes.pop()
        nodes += node.get('Plans', [])
        names.add((node['Node Type'], node.get('Index Name')))
    if ('Index Scan', 't_code') in names:
        return 'xmhash'
    if ('Bitmap Index Scan', 't_code') in names:
        return 'xmhash_bitmap'
    return 'btree' if any(index == 't_part' for _, index in names) else 'sequential'


def explained(statements, memory, off):
    """A script that runs each statement without some ways."""
    script = f"RESET ALL; {server.HEAD} SET work_mem = '{memory}';\n"
    script += ''.join(f'SET enable_{what} = off;\n' for what in off)
    return script + ''.join(f'EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) {statement};\n\\echo ;\n' for statement in statements)


def measure(case, queries, rounds):
    """By way: planned cost, milliseconds; and the way that the planner takes most often."""
    _, ways, statement, memory = case
    statements = [statement.format(query=query) for query in queries]
    script = explained(statements, memory, ())
    order = [list(ways)[::-1 if turn % 2 else 1] for turn in range(rounds)]
    for turn in order:
        script += ''.join(explained(statements, memory, ways[way]) for way in turn)
    answers = [json.loads(answer)[0] for answer in server.psql(script).split(';') if answer.strip()]
    turns = [answers[i:i + len(statements)] for i in range(0, len(answers), len(statements))]
    chosen = statistics.mode(way_of(answer['Plan']) for answer in turns[0])
    costs, times = {}, {}
    for way, found in zip(sum(order, []), turns[1:]):
        if all(way_of(answer['Plan']) == way for answer in found):
            costs[way] = statistics.mean(answer['Plan']['Total Cost'] for answer in found)
            times.setdefault(way, []).append(statistics.mean(answer['Execution Time'] for answer in found))
    return costs, {way: statistics.median(values) for way, values in times.items()}, chosen


def ranks(values):
    """1, 2, …; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    rounds = settings.rounds or plan['rounds']
    points, ratios = [], []
    for name, bits, rows in plan['tables']:
        if bits not in (settings.bits or (bits,)) or name not in (settings.sets or (name,)):
            continue
        report.common(set=name, bits=bits, rows=rows)
        queries = load(name, bits, rows, plan['queries'])
        for case in cases(bits, rows):
            costs, times, chosen = measure(case, queries, rounds)
            best = min(times, key=times.get)
            points += [(costs[way], times[way]) for way in times]
            if chosen not in times:
                raise server.Failed(f'{case[0]}: the planner takes a way that was not measured, {chosen}')
            ratios.append(times[chosen] / times[best])
            columns = {}
            for way in ('xmhash', 'xmhash_bitmap', 'btree', 'sequential'):
                columns[f'{way}_cost'], columns[f'{way}_ms'] = costs.get(way), times.get(way)
            report.row('planner', case[0], **columns, chosen=chosen, best=best, ratio_best=ratios[-1])
    report.common()
    cost, time = np.array(points).T
    report.row('planner: all', f'{len(ratios)} queries, {len(points)} plans',
               rank_correlation=float(np.corrcoef(ranks(cost), ranks(time))[0, 1]),
               ratio_worst=max(ratios), above_1_25=sum(ratio > 1.25 for ratio in ratios))
    server.remove()

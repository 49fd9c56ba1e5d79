"""Nearest neighbours under a condition: what filter columns are for.

One set of codes with a tenant each, a million tenants of sizes by Zipf's law.  For tenants of four
sizes the 10 nearest codes of that tenant, by tables of the same rows with different indexes:

without   xmhash (code): the scan goes on until ten rows pass the condition
filter    xmhash (code, tenant)
btree     (tenant): the tenant's rows, sorted
planned   all three on one table: what the planner takes, named in a column

Times are inside the server, medians over queries, the contestants in turns; recall by distance,
against counting over the tenant's codes; pages of the filtered index by xmhash_last_scan.
"""
import re
import statistics

import numpy as np

import server
import sets

RANKS = (1, 5, 50, 500)
TENANTS = 1000000
NEIGHBOURS = 10
INDEXES = {'without': ('USING xmhash (code)',), 'filter': ('USING xmhash (code, tenant)',), 'btree': ('(tenant)',)}
INDEXES['planned'] = sum(INDEXES.values(), ())
FULL = {'sets': ('clustered',), 'bits': (64,), 'rows': 1000000, 'rounds': 3, 'queries': 100}
QUICK = {'sets': ('clustered',), 'bits': (64,), 'rows': 50000, 'rounds': 2, 'queries': 20}


def tenants(rows, seed):
    """A tenant a row."""
    share = 1 / np.arange(1, TENANTS + 1)
    return 1 + np.random.default_rng(seed).choice(TENANTS, rows, p=share / share.sum())


def load(case, tenant):
    """The tables; a row's tenant comes by its number."""
    case.load()
    values = ','.join(map(str, tenant))
    server.psql(f"CREATE TABLE owner AS SELECT (n - 1)::int AS id, t AS tenant FROM unnest('{{{values}}}'::int[]) WITH ORDINALITY AS o (t, n);"
                'ANALYZE owner;')
    for name, indexes in INDEXES.items():
        server.psql(f'CREATE TABLE t_{name} AS SELECT id, code, tenant FROM codes JOIN owner USING (id) ORDER BY id;'
                    + ''.join(f'CREATE INDEX t_{name}_{i} ON t_{name} {index};' for i, index in enumerate(indexes))
                    + f'VACUUM ANALYZE t_{name};')


def query(name, tenant):
    return f'SELECT code <~> $1 AS d FROM t_{name} WHERE tenant = {tenant} ORDER BY code <~> $1 LIMIT {NEIGHBOURS}'


def times(name, tenant, arguments, before=''):
    return server.explained(f'PREPARE q(bitcode) AS {query(name, tenant)}', [f"'x{argument}'" for argument in arguments], before)


def recall(case, name, tenant, of, arguments):
    """The share of answers no farther than the true last one."""
    codes = case.codes[of == tenant]
    found = server.psql(''.join(f"SELECT string_agg(d::text, ' ') FROM ({query(name, tenant)}) AS x;\n".replace('$1', f"'x{argument}'::bitcode")
                                for argument in arguments)).splitlines()
    shares = []
    for argument, line in zip(arguments, found):
        truth = sets.nearest_distances(codes, case.packed(argument), NEIGHBOURS)
        shares.append(sum(int(d) <= truth[-1] for d in line.split()) / len(truth))
    return statistics.mean(shares)


def pages(tenant, arguments):
    """Pages read and codes compared by the last of the queries, with the index that has the column."""
    out = server.psql(''.join(f'{query("filter", tenant)};\n'.replace('$1', f"'x{argument}'::bitcode") +
                              'SELECT \'pages\', pages_read, data_pages FROM xmhash_last_scan();\n' for argument in arguments))
    found = [tuple(map(int, match)) for match in re.findall(r'^pages\|(\d+)\|(\d+)$', out, re.M)]
    return statistics.mean(read for read, _ in found), found[0][1]


def taken(tenant, argument):
    """The index that the planner takes where there are all."""
    plan = server.psql(f'EXPLAIN (COSTS off) {query("planned", tenant)}'.replace('$1', f"'x{argument}'::bitcode"))
    number = re.search(r't_planned_(\d)', plan)
    return list(INDEXES)[int(number.group(1))] if number else 'none'


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    for name in ('sets', 'bits', 'rounds'):
        plan[name] = getattr(settings, name) or plan[name]
    for bits in plan['bits']:
        for name in plan['sets']:
            for rows in settings.rows or (plan['rows'],):
                case = sets.make(name, bits, rows, settings)
                of = tenants(rows, settings.seed)
                report.common(set=name, bits=bits, rows=rows, **sets.source(name, settings))
                load(case, of)
                sizes = dict(re.findall(r'^(\w+)\|(\d+)$', server.psql(
                    "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relname IN ('t_without_0', 't_filter_0')"), re.M))
                report.row('filter: size', 'xmhash (code, tenant) over (code)',
                           ratio_bytes=int(sizes['t_filter_0']) / int(sizes['t_without_0']))
                for tenant in RANKS:
                    measure(report, plan, case, tenant, of)
    server.remove()


def measure(report, plan, case, tenant, of):
    arguments = case.arguments[:plan['queries']]
    figures, counts = {name: [] for name in INDEXES}, {}
    for turn in range(plan['rounds'] + 1):
        for name, found in figures.items():
            # the first round warms up; the slow ones get fewer queries
            took = times(name, tenant, arguments[:counts.get(name, 3)])
            if turn > 0:
                found.append(statistics.median(took))
            else:
                counts[name] = max(5, min(len(arguments), int(1e6 / max(took[1:]))))
    figures = {name: report.Measured(values) for name, values in figures.items()}
    read, all_pages = pages(tenant, arguments[:20])
    report.row('filter', f'{int((of == tenant).sum()):,} rows pass', **{f'{name}_us': figure for name, figure in figures.items()},
               ratio_without=figures['filter'].over(figures['without']), takes=taken(tenant, arguments[0]),
               pages=read, of_pages=all_pages, recall=recall(case, 'filter', tenant, of, arguments[:20]))

"""Nearest neighbours under a condition: what filter columns are for.

One set of codes with a tenant each, a million tenants of sizes by Zipf's law.  For tenants of four
sizes the 10 nearest codes of that tenant, by tables of the same rows with different indexes:

without   xmhash (code): the scan goes on until ten rows pass the condition
filter    xmhash (code, tenant)
btree     (tenant): the tenant's rows, sorted
planned   these three on one table: what the planner takes, named in a column
hnsw      pgvector's index on the codes, iterative scans in strict order, nothing on the tenant

Times are inside the server, medians over queries, the contestants in turns; recall by distance,
against counting over the tenant's codes; pages of the filtered index by xmhash_last_scan.
"""
import re
import statistics

import numpy as np

import peers_sql
import server
import sets

RANKS = (1, 5, 50, 500)
TENANTS = 1000000
NEIGHBOURS = 10
INDEXES = {'without': ('USING xmhash (code)',), 'filter': ('USING xmhash (code, tenant)',), 'btree': ('(tenant)',)}
INDEXES['planned'] = sum(INDEXES.values(), ())
ITERATIVE = (('hnsw.iterative_scan', 'strict_order'),)
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


class Contestant:
    """A table that is searched: of codes, or of what a peer makes of them."""

    def __init__(self, name, peer, variant=()):
        self.name, self.peer, self.variant = name, peer, variant

    def query(self, tenant, argument='$1'):
        distance = self.peer.distance(argument)
        return f'SELECT {distance} AS d FROM t_{self.name} WHERE tenant = {tenant} ORDER BY {distance} LIMIT {NEIGHBOURS}'

    def times(self, tenant, arguments):
        return server.explained(f'PREPARE q({self.peer.type}) AS {self.query(tenant)}',
                                [self.peer.literal(argument) for argument in arguments], self.peer.session(self.variant))

    def distances(self, tenant, arguments):
        """A line of the answers' distances for each argument."""
        return server.psql(self.peer.session(self.variant) + ''.join(
            f"SELECT string_agg(d::text, ' ') FROM ({self.query(tenant, self.peer.literal(argument))}) AS x;\n"
            for argument in arguments)).splitlines()


def contestants(report, case, limit):
    """Those of xmhash and the btree, and pgvector's if it is there and builds its index in time."""
    found = [Contestant(name, peers_sql.Table(case)) for name in INDEXES]
    hnsw = Contestant('hnsw', peers_sql.Hnsw(case), ITERATIVE)
    if not server.create_extension('vector'):
        report.skip('pgvector', 'not installed on this server; see PGVECTOR in test/bench/README.md')
        return found
    try:
        server.psql(f'CREATE TABLE t_hnsw AS SELECT id, code::bit({case.bits}) AS code, tenant FROM codes JOIN owner USING (id) ORDER BY id;')
        seconds = server.seconds('CREATE INDEX t_hnsw_0 ON t_hnsw USING hnsw (code bit_hamming_ops)',
                                 hnsw.peer.session(hnsw.peer.build_settings), limit)
        server.psql('VACUUM ANALYZE t_hnsw;')
        hnsw.times(1, case.arguments[:1])
    except server.Failed as failure:
        report.skip(hnsw.peer.name, str(failure))
        return found
    report.row('filter: build', hnsw.peer.name, build_seconds=seconds)
    return found + [hnsw]


def recall(case, contestant, tenant, of, arguments):
    """The share of answers no farther than the true last one; answers that are missing count against."""
    codes = case.codes[of == tenant]
    shares = []
    for argument, line in zip(arguments, contestant.distances(tenant, arguments)):
        truth = sets.nearest_distances(codes, case.packed(argument), NEIGHBOURS)
        shares.append(sum(float(d) <= truth[-1] for d in line.split()) / len(truth))
    return statistics.mean(shares)


def pages(contestant, tenant, arguments):
    """Pages read by the last of the queries, with the index that has the column."""
    out = server.psql(''.join(f'{contestant.query(tenant, contestant.peer.literal(argument))};\n'
                              'SELECT \'pages\', pages_read, data_pages FROM xmhash_last_scan();\n' for argument in arguments))
    found = [tuple(map(int, match)) for match in re.findall(r'^pages\|(\d+)\|(\d+)$', out, re.M)]
    return statistics.mean(read for read, _ in found), found[0][1]


def taken(contestant, tenant, argument):
    """The index that the planner takes where there are all."""
    plan = server.psql(f'EXPLAIN (COSTS off) {contestant.query(tenant, contestant.peer.literal(argument))}')
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
                searched = contestants(report, case, settings.limit)
                for tenant in RANKS:
                    measure(report, plan, case, searched, tenant, of)
    server.remove()


def measure(report, plan, case, searched, tenant, of):
    arguments = case.arguments[:plan['queries']]
    figures, counts = {contestant.name: [] for contestant in searched}, {}
    named = {contestant.name: contestant for contestant in searched}
    for turn in range(plan['rounds'] + 1):
        for name, contestant in named.items():
            # the first round warms up; the slow ones get fewer queries
            took = contestant.times(tenant, arguments[:counts.get(name, 3)])
            if turn > 0:
                figures[name].append(statistics.median(took))
            else:
                counts[name] = max(5, min(len(arguments), int(1e6 / max(took[1:]))))
    figures = {name: report.Measured(values) for name, values in figures.items()}
    read, all_pages = pages(named['filter'], tenant, arguments[:20])
    shares = {name: recall(case, named[name], tenant, of, arguments[:20]) for name in ('filter', 'hnsw') if name in named}
    report.row('filter', f'{int((of == tenant).sum()):,} rows pass', **{f'{name}_us': figure for name, figure in figures.items()},
               ratio_without=figures['filter'].over(figures['without']), takes=taken(named['planned'], tenant, arguments[0]),
               pages=read, of_pages=all_pages, recall=shares['filter'], hnsw_recall=shares.get('hnsw'))

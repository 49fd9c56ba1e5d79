"""How searches grow with the number of rows, and by which power.

The same queries on ever more rows of one set (each size the first rows of the largest):
the 10 nearest inside the server, pages read by each, FAISS IndexBinaryFlat and the
sequential scan beside them, in turns at each size.  The exponent e of time = c · rows^e
is fitted by least squares on logarithms, as is that of the pages.  A scan of everything
has 1 beyond what a call costs; pages are counts, the same in every run.
"""
import math
import statistics

import numpy as np

import peers_faiss
import peers_sql
import server
import sets

FULL = {'sets': sets.SETS, 'bits': (64,), 'least': 10000, 'most': 10000000, 'step': math.sqrt(10), 'rounds': 3,
        'queries': 200, 'sequential': 1000000}
QUICK = {'sets': ('clustered', 'jdsh'), 'bits': (64,), 'least': 5000, 'most': 50000, 'step': math.sqrt(10), 'rounds': 2,
         'queries': 50, 'sequential': 50000}


def steps(plan, rows):
    if rows:
        return sorted(rows)
    count = round(math.log(plan['most'] / plan['least']) / math.log(plan['step']))
    return [round(plan['least'] * plan['step'] ** i) for i in range(count + 1)]


def exponent(sizes, values):
    """Of the power that fits best: the slope on logarithms."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def measure(report, case, plan, flat_there, limit):
    """Medians of the rounds by contestant, and the pages."""
    case.load()
    peers = {'xmhash': peers_sql.Xmhash(case)}
    if flat_there:
        peers['flat'] = peers_faiss.Flat(case)
    if len(case.codes) <= plan['sequential']:
        peers['sequential'] = peers_sql.Sequential(case)
    for peer in peers.values():
        peer.build(limit)
    figures = {name: [] for name in peers}
    for turn in range(plan['rounds'] + 1):
        for name, peer in peers.items():
            most = plan['queries'] if name == 'xmhash' else max(5, min(plan['queries'], 20000000 // len(case.codes)))
            if name == 'sequential':
                most = 5
            times = peer.times(() if name != 'flat' else None, 10, case.arguments[:most])
            if turn:    # the first warms up
                figures[name].append(statistics.median(times))
    pages, all_pages = peers['xmhash'].pages((), 10, plan['queries'])
    figures = {name: report.Measured(values) for name, values in figures.items()}
    report.row('growth', f'{len(case.codes):,} rows', grown_rows=len(case.codes), inside_us=figures['xmhash'], pages=pages,
               of_pages=all_pages, flat_us=figures.get('flat'),
               ratio_flat=figures['xmhash'].over(figures['flat']) if flat_there else None,
               sequential_us=figures.get('sequential'))
    return {**{name: float(value) for name, value in figures.items()}, 'pages': pages}


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    for name in ('sets', 'bits', 'rounds'):
        plan[name] = getattr(settings, name) or plan[name]
    flat_there = peers_faiss.faiss is not None
    if not flat_there:
        report.skip('FAISS', 'not installed here; apt-get install python3-faiss')
    for bits in plan['bits']:
        for name in plan['sets']:
            sizes = steps(plan, settings.rows)
            report.common(set=name, bits=bits, **sets.source(name, settings))
            largest = sets.make(name, bits, sizes[-1], settings)
            found = [measure(report, largest.first(rows), plan, flat_there, settings.limit) for rows in sizes]
            columns = {}
            for key, column in (('xmhash', 'exponent_time'), ('pages', 'exponent_pages'), ('flat', 'exponent_flat'),
                                ('sequential', 'exponent_sequential')):
                known = [(size, figures[key]) for size, figures in zip(sizes, found) if figures.get(key)]
                columns[column] = exponent(*zip(*known)) if len(known) > 1 else None
            report.row('growth: exponents', f'{sizes[0]:,} to {sizes[-1]:,} rows', **columns)
    server.remove()

"""How searches grow with the number of rows, and by which power.

The same queries on ever more rows of one set (each size the first rows of the largest):
the 10 nearest by each contestant, in turns at each size, xmhash's inside the server, its
99th percentile too; pages read by it.  The exponent e of time = c · rows^e is fitted by least
squares on logarithms, as is that of the pages.  A scan of everything has 1 beyond what a
call costs; pages are counts, the same in every run.  Contestants whose builds or scans would
take hours stop at some size (MOST); PEERS= chooses others, each with its first variant.
"""
import math
import statistics

import numpy as np

import limits
import retrieval
import server
import sets

PEERS = ('xmhash', 'array', 'flat', 'sequential')
MOST = {'sequential': 1000000, 'bit_count': 1000000, 'hnsw': 316228, 'ivfflat': 3162278, 'faiss_hnsw': 1000000,
        'multihash': 3162278, 'faiss_ivf': 3162278}
FULL = {'sets': sets.SETS, 'bits': (64,), 'least': 10000, 'most': 10000000, 'step': math.sqrt(10), 'rounds': 3,
        'queries': 1000, 'turn': .5}
QUICK = {'sets': ('clustered', 'jdsh'), 'bits': (64,), 'least': 5000, 'most': 50000, 'step': math.sqrt(10), 'rounds': 2,
         'queries': 50, 'turn': .1}


def steps(plan, rows):
    if rows:
        return sorted(rows)
    count = round(math.log(plan['most'] / plan['least']) / math.log(plan['step']))
    return [round(plan['least'] * plan['step'] ** i) for i in range(count + 1)]


def exponent(sizes, values):
    """Of the power that fits best: the slope on logarithms."""
    known = [(size, value) for size, value in zip(sizes, values) if value]
    return float(np.polyfit(*np.log(known).T, 1)[0]) if len(known) > 1 else None


def built(report, case, keys, limit):
    """Contestants that can be had at this size."""
    case.load()
    found = {}
    for key in keys:
        if len(case.codes) <= MOST.get(key, math.inf):
            peer = retrieval.PEERS[key](case)
            try:
                peer.make_table()
                peer.build(limit)
                found[key] = peer
            except server.Failed as failure:
                report.skip(f'{peer.name}, {len(case.codes):,} rows', str(failure))
    return found


def measure(report, case, plan, keys, limit):
    """One row: medians of the rounds by contestant, and the pages; returns them as numbers."""
    peers = built(report, case, keys, limit)
    figures, counts, late = {key: [] for key in peers}, {}, []
    for turn in range(plan['rounds'] + 1):
        for key, peer in peers.items():
            variant = peer.variants[0][1]
            if turn == 0:    # warms up, and tells how many queries there is time for
                took = statistics.median(peer.times(variant, 10, case.arguments[:3])[1:]) / 1e6
                counts[key] = max(3, min(plan['queries'], int(plan['turn'] / took)))
            else:
                times = peer.times(variant, 10, case.arguments[:counts[key]])
                figures[key].append(statistics.median(times))
                if key == 'xmhash':
                    late.append(limits.percentile(times, .99))
    figures = {key: report.Measured(values) for key, values in figures.items()}
    columns = {f'{key}_us': figures.get(key) for key in keys}
    for other in ('flat', 'array'):
        if other in figures and 'xmhash' in figures:
            columns[f'ratio_{other}'] = figures['xmhash'].over(figures[other])
    if 'xmhash' in peers:
        columns['xmhash_p99_us'] = report.Measured(late)
        columns['pages'], columns['of_pages'] = peers['xmhash'].pages((), 10, plan['queries'])
    for peer in peers.values():
        peer.drop()
    report.row('growth', f'{len(case.codes):,} rows', grown_rows=len(case.codes), **columns)
    return {**{key: float(value) for key, value in figures.items()},
            'xmhash_p99': float(columns['xmhash_p99_us']) if late else None, 'pages': columns.get('pages')}


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    for name in ('sets', 'bits', 'rounds'):
        plan[name] = getattr(settings, name) or plan[name]
    keys = retrieval.present(report, settings.peers or PEERS, plan['bits'])
    for bits in plan['bits']:
        for name in plan['sets']:
            sizes = steps(plan, settings.rows)
            report.common(set=name, bits=bits, **sets.source(name, settings))
            largest = sets.make(name, bits, sizes[-1], settings)
            found = [measure(report, largest.first(rows), plan, keys, settings.limit) for rows in sizes]
            report.row('growth: exponents', f'{sizes[0]:,} to {sizes[-1]:,} rows',
                       **{f'exponent_{key}': exponent(sizes, [figures.get(key) for figures in found])
                          for key in (*keys, 'xmhash_p99', 'pages')})
    server.remove()

"""Long codes: pages that a search reads, and what abandoning codes in their middle would gain.

See pages.py.  Counts, so the same in every run; src/README.md, rejected designs, says what follows.
"""
import pages

FULL = {'sets': ('clustered', 'jdsh', 'quantised'), 'bits': (1024,), 'rows': (200000,), 'factors': ('0', '24')}
QUICK = {'sets': ('clustered',), 'bits': (512,), 'rows': (10000,), 'factors': ('0',)}


def run(report, settings):
    pages.run(report, settings, 'long', FULL, QUICK)

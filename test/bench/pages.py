"""How many pages an exact search reads, by the number of centres (bench_index_pages.c).

The index's own search on codes in centre order, without a server: centres in units of
√pages, seconds to find them and to assign every row, pages that the 10 nearest of a query
take.  Counts, so the same in every run.  First comes the number that the index itself chooses.
The part `long` is the same of long codes, with the share of a code's words that would have to
be looked at if codes were abandoned as soon as they are known to be too far away.
"""
import os
import re
import subprocess
import tempfile

import kernels
import sets

FULL = {'sets': sets.SETS, 'bits': (64, 128, 256), 'rows': (1000000,), 'factors': ('0', '1.5', '3', '6', '12', '24')}
QUICK = {'sets': ('clustered',), 'bits': (64,), 'rows': (20000,), 'factors': ('0', '3', '6')}
HEAD = re.compile(r'on (\d+) pages')
LINE = re.compile(r'^ *(\d+) +(\S+) +(\S+) +(\S+) +(\d+) +(\d+)' + r' +(\S+)' * 5 + '$', re.M)


def measure(report, part, program, case, factors):
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, name) for name in ('codes', 'queries')]
        case.codes.tofile(files[0])
        case.queries.tofile(files[1])
        output = subprocess.run([program, *files, str(case.bits), *factors], capture_output=True, text=True,
                                check=True, timeout=900).stdout
    all_pages = int(HEAD.search(output).group(1))
    for factor, found in zip(factors, LINE.findall(output)):
        centres, find, assign, mean, median, percentile, microseconds, distance, *words = map(float, found)
        shares = dict(zip(('words_by_code', 'words_by_block', 'words_by_block_bounded'), words)) if part == 'long' else {}
        report.row(part, f'{centres:.0f} centres, ' + (f'{factor} √pages' if factor != '0' else 'as the index chooses'), find_seconds=find, assign_seconds=assign,
                   pages_mean=mean, pages_median=int(median), pages_p99=int(percentile), of_pages=all_pages,
                   search_us=microseconds, tenth_distance=distance, **shares)


def run(report, settings, part='pages', full=FULL, quick=QUICK):
    plan = dict(quick if settings.quick else full)
    for name in ('sets', 'bits', 'rows'):
        plan[name] = getattr(settings, name) or plan[name]
    with tempfile.TemporaryDirectory() as folder:
        program = kernels.compiled('bench_index_pages', ['*.c'], folder)
        for bits in plan['bits']:
            for rows in plan['rows']:
                for name in plan['sets']:
                    report.common(set=name, bits=bits, rows=rows, **sets.source(name, settings))
                    measure(report, part, program, sets.make(name, bits, rows, settings), plan['factors'])

"""What the benchmark finds: a table to read, and JSON lines to keep.

report.row(part, what='…', **columns) prints a row of the part's table and appends one
line to the results.  A value is a number, a word, None (not measured), or
Measured(values): several repetitions, of which median, least and greatest are kept; printed
is the median ± half the range, as a share of it.
Ratios are columns of their own, named ratio_…, so that a table needs no arithmetic.
report.common(**columns) says what the rows that follow share (a set, its size …).
report.skip(what, why) records what was left out.  The first line of the results has the
machine, the versions, the date and the seed.
"""
import datetime
import json
import os
import platform
import re
import statistics


class Measured:
    """Repetitions of one measurement: median, least, greatest."""

    def __init__(self, values):
        self.values = [float(value) for value in values]
        if not self.values:
            raise ValueError('nothing was measured')
        self.median = statistics.median(self.values)
        self.min, self.max = min(self.values), max(self.values)

    def __float__(self):
        return self.median

    def over(self, other):
        """Ratios, repetition by repetition; over one number if it is one."""
        if isinstance(other, Measured):
            if len(other.values) == len(self.values):
                return Measured(ours / theirs for ours, theirs in zip(self.values, other.values))
            other = other.median
        return Measured(ours / other for ours in self.values)

    def json(self):
        return {'median': self.median, 'min': self.min, 'max': self.max, 'repetitions': len(self.values)}


def number(value):
    """Three significant digits, thousands apart."""
    if isinstance(value, int) or value == int(value) and abs(value) < 1e15:
        return f'{int(value):,}'
    if abs(value) >= 100:
        return f'{value:,.0f}'
    if abs(value) < .001:
        return f'{value:.2g}'
    return f'{value:.3g}'


def shown(value):
    if value is None:
        return '-'
    if isinstance(value, Measured):
        spread = (value.max - value.min) / 2 / value.median if value.median else 0
        return number(value.median) + (f' ±{spread:.0%}'.rjust(6) if len(value.values) > 1 else '')
    if isinstance(value, (bool, str)):
        return str(value)
    return number(value)


def plain(value):
    if isinstance(value, Measured):
        return value.json()
    if hasattr(value, 'item'):    # NumPy's numbers
        return value.item()
    return value


def processor():
    try:
        with open('/proc/cpuinfo') as file:
            return re.search(r'model name\s*: (.*)', file.read()).group(1)
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def memory_gigabytes():
    return round(os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30, 1)


class Report:
    Measured = Measured

    def __init__(self, file, settings, versions):
        """file: an open file for the JSON lines; settings, versions: dictionaries to record."""
        self.file = file
        self.heading = None
        self.shared = {}
        self.write({'kind': 'run', 'date': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
                    'machine': platform.machine(), 'system': platform.platform(), 'processor': processor(),
                    'cores': len(os.sched_getaffinity(0)), 'memory_gigabytes': memory_gigabytes(),
                    'versions': versions, **settings})

    def write(self, line):
        self.file.write(json.dumps(line) + '\n')
        self.file.flush()

    def row(self, part, what, **columns):
        self.write({'kind': 'row', 'part': part, 'what': what, **self.shared,
                    **{name: plain(value) for name, value in columns.items()}})
        heading = (part, *columns)
        cells = [shown(value) for value in columns.values()]
        if heading != self.heading:
            self.heading = heading
            self.widths = [max(len(name), len(cell) + 2) for name, cell in zip(columns, cells)]
            names = [name.rjust(width) for name, width in zip(columns, self.widths)]
            print(f'\n{part:44}  ' + '  '.join(names), flush=True)
        print(f'{what:44}  ' + '  '.join(cell.rjust(width) for cell, width in zip(cells, self.widths)), flush=True)

    def common(self, **columns):
        """What the next rows have in common: on a line of its own, and in each row's JSON."""
        self.shared = columns
        self.heading = None
        if columns:
            print('\n' + ', '.join(f'{name} {shown(value)}' for name, value in columns.items()), flush=True)

    def skip(self, what, why):
        self.write({'kind': 'skip', 'what': what, 'why': why, **self.shared})
        self.heading = None
        print(f'\nskipped: {what}: {why}', flush=True)

    def note(self, words):
        """A sentence for the reader."""
        self.write({'kind': 'note', 'words': words})
        self.heading = None
        print('\n' + words, flush=True)

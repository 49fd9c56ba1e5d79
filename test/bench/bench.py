#!/usr/bin/python3
"""The benchmark: runs its parts against the server that psql connects to.

`make bench` starts a private server and this with it; README.md tells the variables.
Each part is a module here with run(report, settings).
"""
import os

# Read once, when the first of FAISS and PyTorch is loaded.  Else PyTorch's threads spin
# while they wait, and on a busy machine take ten times as long.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import importlib
import importlib.util
import re
import subprocess
import sys
import time
import traceback
import types

import chosen
import report as reporting
import server

PARTS = ('kernels', 'pages', 'long', 'retrieval', 'growth', 'filter', 'planner', 'groups', 'training', 'accuracy')
HERE = os.path.dirname(os.path.abspath(__file__))


def words(name, convert=str):
    """A list from a variable, None if it is not set."""
    found = re.split(r'[\s,]+', os.environ.get(name, '').strip())
    try:
        return [convert(word) for word in found] if found != [''] else None
    except ValueError:
        sys.exit(f'{name} is "{" ".join(found)}"; expected numbers, as 64 or 1M')


def count(word):
    """1000000, 1M or 100k."""
    units = {'k': 1000, 'm': 1000000}
    return int(float(word[:-1]) * units[word[-1].lower()]) if word[-1].lower() in units else int(word)


def check(settings):
    unknown = set(settings.only or ()) - set(chosen.WORDS)
    if unknown:
        sys.exit(f'ONLY is {", ".join(sorted(unknown))}; expected words of {" ".join(chosen.WORDS)}')
    for bits in settings.bits or ():
        if bits < 16 or bits % 16:
            sys.exit(f'BITS is {bits}; expected multiples of 16')


def read_settings():
    return types.SimpleNamespace(
        quick=os.environ.get('QUICK', '') not in ('', '0'),
        data=os.environ.get('DATA') or None,        # a folder with the real sets
        seed=int(os.environ.get('SEED') or 1),
        only=words('ONLY'),                         # what of a part: each part says what its words are
        rows=words('ROWS', count), bits=words('BITS', int), neighbours=words('K', int), sets=words('SETS'), peers=words('PEERS'),
        rounds=int(os.environ.get('ROUNDS') or 0) or None,
        limit=float(os.environ.get('LIMIT') or 1200))   # seconds a peer's build may take


def python_version(module):
    """Of a module that need not be there; without loading it here."""
    if not importlib.util.find_spec(module):
        return None
    # FAISS also tells what it was compiled for, on which its speed depends.
    found = subprocess.run([sys.executable, '-c', f'import {module} as m; '
                            'print(m.__version__, getattr(m, "get_compile_options", str)())'],
                           capture_output=True, text=True)
    return found.stdout.strip() or None


def read_versions():
    return {'xmhash': server.create_extension('xmhash'), 'commit': os.environ.get('XMHASH_COMMIT') or None,
            'postgresql': server.psql('SHOW server_version').strip(),
            'pgvector': server.create_extension('vector'), 'python': sys.version.split()[0],
            **{name: python_version(name) for name in ('numpy', 'faiss', 'torch')}}


def main():
    parts = words('PARTS') or [part for part in PARTS if os.path.exists(os.path.join(HERE, part + '.py'))]
    unknown = set(parts) - set(PARTS)
    if unknown:
        sys.exit(f'there is no part {", ".join(sorted(unknown))}; there are {", ".join(PARTS)}')
    settings = read_settings()
    check(settings)
    # The results' file is open already: the server's user may not be allowed to open it.
    results = os.environ.get('RESULTS', 'results.jsonl')
    with open(int(results) if results.isdigit() else results, 'a') as file:
        report = reporting.Report(file, {'parts': parts, **vars(settings)}, read_versions())
        failed = []
        for part in parts:
            start = time.time()
            try:
                importlib.import_module(part).run(report, settings)
            except Exception as failure:    # the others are worth having all the same
                traceback.print_exc()
                report.skip(part, f'failed: {failure}')
                failed.append(part)
            report.common()
            report.note(f'{part}: {time.time() - start:.0f} s')
        if failed:
            sys.exit(f'failed: {", ".join(failed)}')


if __name__ == '__main__':
    main()

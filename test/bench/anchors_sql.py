#!/usr/bin/python3
"""Retrieval quality through SQL: load, train, encode and evaluate in a server.

    anchors_sql.py DATA_DIRECTORY [method] [set]      method: jdsh, dmsh_ln, dmsh_ln_linear, kernel_ridge

Makes a schema xmhash_anchors in the database that psql connects to (PGHOST,
PGDATABASE …; the extension must be there), trains with three seeds, and prints
storage-order mAP (image→text / text→image) and how far the means are from the
reference values.  DMsH-LN has these for its paper's linear networks
(dmsh_ln_linear); as it is by default it is trained at three lengths.  So is
kernel ridge hashing, with labels and without, and its seconds are compared with
those of 30 epochs of jdsh, both on one thread.  The schema and the models are
dropped again.
"""
import io
import json
import subprocess
import sys

import numpy as np

from core import VARIANTS
from pairs import ANCHORS, ANCHOR_LIMIT, EPOCHS, KERNEL_RIDGE, KERNEL_RIDGE_LIMIT, SETS, load

SEEDS = (1, 2, 3)
LENGTHS = (16, 64, 128)


def psql(script, copied=b''):
    command = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-f', '-']
    done = subprocess.run(command, input=script.encode() + copied, capture_output=True)
    if done.returncode != 0:
        sys.exit(done.stderr.decode()[:2000])
    return done.stdout.decode().split()


def array(values):
    return '{' + ','.join('%.9g' % value for value in values) + '}'


def copy(part, table):
    """Load (images, texts, labels) into a table, in this order."""
    rows = io.StringIO()
    for number, (image, text, labels) in enumerate(zip(*part)):
        rows.write(f'{number}\t{array(image)}\t{array(text)}\t{array(labels)}\n')
    psql(f'CREATE TABLE xmhash_anchors.{table} (id integer, image real[], words real[], labels smallint[]);\n'
         f'COPY xmhash_anchors.{table} FROM STDIN;\n', (rows.getvalue() + '\\.\n').encode())


def load_tables(directory, name):
    psql('DROP SCHEMA IF EXISTS xmhash_anchors CASCADE; CREATE SCHEMA xmhash_anchors;')
    train, query, database = load(directory, name)
    if name == 'openclipart':   # load() drops the zero texts of all parts
        assert all(part[1].any(axis=1).all() for part in (train, query))
    for part, table in ((train, 'train'), (query, 'query'), (database, 'unseen')):
        copy(part, table)


def run(method, options, tables, bits=64, labels="'labels'"):
    """Seconds; mAP of each table, both ways."""
    method, own = VARIANTS.get(method, (method, {}))
    options = json.dumps({**own, **options})
    script = f"""SET client_min_messages = error;
SET xmhash.threads = 1;
CALL xmhash_train('xmhash_anchors.model', 'xmhash_anchors.train', 'image', 'words', {bits}, '{method}', {labels}, '{options}');
SELECT seconds FROM xmhash_models WHERE model = 'xmhash_anchors.model'::regclass;\n"""
    for table in sorted({'query', *tables.values()}):
        script += f"""CREATE TABLE xmhash_anchors.c_{table} AS
SELECT labels, xmhash_encode_image('xmhash_anchors.model', image) AS image, xmhash_encode_text('xmhash_anchors.model', words) AS words
FROM (SELECT * FROM xmhash_anchors.{table} ORDER BY id) AS t;\n"""
    for table in tables.values():
        for side, other in (('image', 'words'), ('words', 'image')):
            script += (f"SELECT map_ties_by_position FROM xmhash_evaluate('xmhash_anchors.c_query', '{side}', "
                       f"'xmhash_anchors.c_{table}', '{other}', 'labels');\n")
    script += ''.join(f'DROP TABLE xmhash_anchors.c_{table};\n' for table in sorted({'query', *tables.values()}))
    script += "DROP TABLE xmhash_anchors.model;\nSELECT 'done';\n"
    values = [float(value) for value in psql(script)[:-1]]
    return values[0], np.array(values[1:]).reshape(-1, 2)


def measured(runs, number=0):
    """Of several seeds: scores of a table, [seeds × 2], and as words."""
    values = np.array([scores[number] for _, scores in runs])
    mean, spread = values.mean(axis=0), (values.max(axis=0) - values.min(axis=0)) / 2
    return values, f'{mean[0]:.4f} ±{spread[0]:.4f} / {mean[1]:.4f} ±{spread[1]:.4f}'


def mean_seconds(runs):
    return f'{np.mean([seconds for seconds, _ in runs]):.2f} s'


def anchored(name, method):
    """How far the worst mean is from the reference."""
    anchors = ANCHORS[name, method]
    tables = {protocol: protocol for protocol in anchors}
    epochs = EPOCHS[name, VARIANTS.get(method, (method,))[0]]
    runs = [run(method, {'epochs': epochs, 'seed': seed}, tables) for seed in SEEDS]
    worst = 0
    for number, (protocol, anchor) in enumerate(anchors.items()):
        values, words = measured(runs, number)
        distance = np.abs(values.mean(axis=0) - anchor).max()
        worst = max(worst, distance)
        print(f'{name:12} {method:14} {protocol:7} {words}   reference {anchor[0]:.3f} / {anchor[1]:.3f}   '
              f'off by {distance:.3f}   {mean_seconds(runs)}', flush=True)
    return worst


def default_dmsh_ln(name):
    for bits in LENGTHS:
        runs = [run('dmsh_ln', {'epochs': EPOCHS[name, 'dmsh_ln'], 'seed': seed}, {'unseen': 'unseen'}, bits) for seed in SEEDS]
        print(f'{name:12} dmsh_ln {bits:3} bits {measured(runs)[1]}   {mean_seconds(runs)}', flush=True)


def kernel_ridge(name):
    """How far the worst mean is below the reference."""
    seconds = np.mean([run('jdsh', {'epochs': 30, 'seed': seed}, {})[0] for seed in SEEDS])
    print(f'{name:12} jdsh, 30 epochs, 64 bits: {seconds:.2f} s', flush=True)
    worst = 0
    for labels in (False, True):
        for bits, anchor in KERNEL_RIDGE[name, labels].items():
            runs = [run('kernel_ridge', {'seed': seed}, {'unseen': 'unseen'}, bits, "'labels'" if labels else 'NULL')
                    for seed in SEEDS]
            values, words = measured(runs)
            below = np.mean(anchor) - values.mean()
            worst = max(worst, below)
            print(f'{name:12} kernel_ridge{", labels" if labels else "":8} {bits:3} bits {words}   '
                  f'reference {anchor[0]:.3f} / {anchor[1]:.3f}   below by {below:+.4f}   {mean_seconds(runs)}', flush=True)
    return worst


def main():
    directory, words = sys.argv[1], sys.argv[2:]
    worst, below = 0, 0
    for name in SETS:
        for method in ('jdsh', 'dmsh_ln_linear', 'dmsh_ln', 'kernel_ridge'):
            if any(word not in (name, method) for word in words):
                continue
            load_tables(directory, name)
            if method == 'kernel_ridge':
                below = max(below, kernel_ridge(name))
            elif method == 'dmsh_ln':
                default_dmsh_ln(name)
            else:
                worst = max(worst, anchored(name, method))
    psql('DROP SCHEMA IF EXISTS xmhash_anchors CASCADE')
    print(f'largest distance from the reference: {worst:.3f}; kernel_ridge at most {below:.4f} below')
    return int(worst > ANCHOR_LIMIT or below > KERNEL_RIDGE_LIMIT)


if __name__ == '__main__':
    sys.exit(main())

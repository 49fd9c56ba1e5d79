#!/usr/bin/python3
"""Retrieval quality of the trainers on real pairs: three seeds, mean and spread.

    anchors.py DATA_DIRECTORY [method] [set] [option=value …]

Prints storage-order mAP over the whole ranking (image→text / text→image) and how
far the means are from the reference values of an independent implementation.
DATA_DIRECTORY holds wikipedia/pairs.csv, openclipart/pairs.csv, flickr8k/flickr8k.npz.
"""
import csv
import os
import sys
import time

import numpy as np

import core as harness

# (set, method): epochs, {protocol: (image→text, text→image)}; 64 bits
ANCHORS = {
    ('wikipedia', 'jdsh'): (30, {'train': (.245, .290), 'unseen': (.254, .209)}),
    ('wikipedia', 'dmsh_ln'): (300, {'train': (.241, .322), 'unseen': (.244, .190)}),
    ('openclipart', 'jdsh'): (30, {'train': (.432, .425), 'unseen': (.438, .415)}),
    ('openclipart', 'dmsh_ln'): (60, {'train': (.626, .650), 'unseen': (.610, .590)}),
    ('flickr8k', 'jdsh'): (10, {'unseen': (.560, .556)}),
    ('flickr8k', 'dmsh_ln'): (40, {'unseen': (.555, .562)}),
}


def array(text):
    return np.fromstring(text[1:-1], sep=',', dtype=np.float32)


def read_csv(path, image, text, label):
    csv.field_size_limit(1 << 30)
    rows = list(csv.DictReader(open(path)))
    images = np.stack([array(row[image]) for row in rows])
    texts = np.stack([array(row[text]) for row in rows])
    if label == 'labels':
        labels = np.stack([array(row[label]) for row in rows]) > 0
    else:
        names = sorted({row[label] for row in rows})
        labels = np.array([[row[label] == name for name in names] for row in rows])
    return images, texts, labels.astype(np.uint8), np.array([row['split'] == 'train' for row in rows])


def load(directory, name):
    """Parts of a set, each (images, texts, labels): train, query, unseen database."""
    if name == 'flickr8k':
        data = np.load(os.path.join(directory, name, name + '.npz'))
        split = data['split']
        columns = [data['image_features'].astype(np.float32), data['text_features'].astype(np.float32),
                   data['labels']]
        return [tuple(column[split == part] for column in columns) for part in (0, 2, 1)]
    path = os.path.join(directory, name, 'pairs.csv')
    if name == 'wikipedia':
        images, texts, labels, train = read_csv(path, 'img', 'txt', 'labels')
    else:
        images, texts, labels, train = read_csv(path, 'image_features', 'text_features', 'category')
        said = texts.any(axis=1)
        images, texts, labels, train = images[said], texts[said], labels[said], train[said]
    parts = [tuple(column[where] for column in (images, texts, labels)) for where in (train, ~train)]
    return [parts[0], parts[1], parts[1]]


def mean_average_precision(query_codes, query_labels, codes, labels):
    """Whole ranking by Hamming distance, ties in storage order; no relevant row counts 0."""
    queries = 2.0 * query_codes - 1
    database = 2.0 * codes - 1
    distances = (queries.shape[1] - queries @ database.T) / 2
    order = np.argsort(distances, axis=1, kind='stable')
    relevant = (query_labels.astype(int) @ labels.T.astype(int)) > 0
    relevant = np.take_along_axis(relevant, order, axis=1)
    precision = np.cumsum(relevant, axis=1) / np.arange(1, len(codes) + 1)
    found = relevant.sum(axis=1)
    return (np.where(relevant, precision, 0).sum(axis=1) / np.maximum(found, 1)).mean()


def run(core, parts, method, options):
    train, query, database = parts
    scales = [1 / np.sqrt((part.astype(np.float64) ** 2).mean()) for part in train[:2]]
    scaled = [tuple((part[i] * scales[i]).astype(np.float32) for i in (0, 1)) for part in parts]
    sparse = (train[1] != 0).mean() < .25
    start = time.time()
    session = harness.Session(core, method, scaled[0][0], scaled[0][1],
                              train[2] if method == 'dmsh_ln' else None, text_sparse=sparse, **options)
    session.fit()
    for epoch in range(int(options['epochs'])):
        session.epoch(epoch)
    seconds = time.time() - start
    codes = [(session.encode('image', part[0]), session.encode('text', part[1])) for part in scaled]
    session.close()
    result = {}
    for protocol, part, codes_of in (('train', train, codes[0]), ('unseen', database, codes[2])):
        result[protocol] = (mean_average_precision(codes[1][0], query[2], codes_of[1], part[2]),
                            mean_average_precision(codes[1][1], query[2], codes_of[0], part[2]))
    return result, seconds


def main():
    core = harness.load()
    directory = sys.argv[1]
    words = [word for word in sys.argv[2:] if '=' not in word]
    extra = {name: float(value) for name, value in (word.split('=') for word in sys.argv[2:] if '=' in word)}
    worst = 0
    for (name, method), (epochs, anchors) in ANCHORS.items():
        if words and not {name, method} & set(words):
            continue
        if len(words) == 2 and {name, method} != set(words):
            continue
        parts = load(directory, name)
        runs = []
        for seed in (1, 2, 3):
            options = {'bits': 64, 'epochs': epochs, 'seed': seed}
            options.update(extra)
            runs.append(run(core, parts, method, options))
        for protocol, anchor in anchors.items():
            values = np.array([result[protocol] for result, _ in runs])
            mean, spread = values.mean(axis=0), (values.max(axis=0) - values.min(axis=0)) / 2
            distance = np.abs(mean - anchor).max()
            worst = max(worst, distance)
            print(f'{name:12} {method:8} {protocol:7} '
                  f'{mean[0]:.3f} ±{spread[0]:.3f} / {mean[1]:.3f} ±{spread[1]:.3f}   '
                  f'reference {anchor[0]:.3f} / {anchor[1]:.3f}   off by {distance:.3f}   '
                  f'{np.mean([seconds for _, seconds in runs]):.1f} s', flush=True)
    print(f'largest distance from the reference: {worst:.3f}')
    return int(worst > .01 and not extra)


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/env python3
"""Rankings and their metrics by brute force, for test_metrics to compare with.

usage: reference_metrics.py SEED [openclipart.csv]

Prints problems, random ones and one of real features, each with every item's
code and classes and with all metrics.  Nothing is shared with core/metrics.c:
rankings are sorted, and expectations are summed rank by rank.
"""
import csv
import math
import sys

import numpy as np


def scores(distance, shared, k):
    """Metrics of one query: (relevant, ap, ap_storage, precision, recall, ndcg), and relevant rows expected at each rank."""
    rows = len(distance)
    k = min(k or rows, rows)
    relevant = shared > 0
    total = int(relevant.sum())
    order = np.argsort(distance, kind='stable')
    ranked_distance, ranked_relevant = distance[order], relevant[order]
    gain = [2 ** int(s) - 1 for s in shared]
    at_rank = np.zeros(rows)
    ap, dcg = [], []
    first = 0
    while first < rows:
        last = int(np.searchsorted(ranked_distance, ranked_distance[first], side='right'))
        n = last - first
        r = int(ranked_relevant[first:last].sum())
        before = int(ranked_relevant[:first].sum())
        mean_gain = sum(gain[row] for row in order[first:last]) / n
        at_rank[first:last] = r / n
        for rank in range(first + 1, min(last, k) + 1):
            earlier = (rank - first - 1) * (r - 1) / (n - 1) if n > 1 else 0
            ap.append(r / n * (before + 1 + earlier) / rank)
            dcg.append(mean_gain / math.log2(1 + rank))
        first = last
    if total == 0:
        return (0, 0, 0, 0, 0, 0), at_rank
    hits = np.cumsum(ranked_relevant)
    storage = math.fsum(int(hits[i]) / (i + 1) for i in range(k) if ranked_relevant[i])
    best = sorted(gain, reverse=True)
    ideal = math.fsum(best[i] / math.log2(2 + i) for i in range(k))
    found = math.fsum(at_rank[:k])
    most = min(total, k)
    return (total, math.fsum(ap) / most, storage / most, found / k, found / total, math.fsum(dcg) / ideal), at_rank


def write(name, query_codes, query_labels, codes, labels, k):
    """A problem: codes are rows of 0 and 1, labels multi-hot rows."""
    queries, bits = query_codes.shape
    rows = len(codes)
    print('problem', name)
    print(bits, labels.shape[1], k, queries, rows)
    for code, label in zip(np.vstack([query_codes, codes]), np.vstack([query_labels, labels])):
        classes = np.flatnonzero(label)
        print(''.join(map(str, code)), len(classes), *classes)
    ranks = min(k or rows, rows)
    by_radius = [[[], []] for _ in range(bits + 1)]
    precision_at, recall_at = [[] for _ in range(ranks)], [[] for _ in range(ranks)]
    for code, label in zip(query_codes, query_labels):
        distance = (codes != code).sum(axis=1)
        shared = labels.astype(int) @ label.astype(int)
        values, at_rank = scores(distance, shared, k)
        print(*('%.17g' % value for value in values))
        total = int((shared > 0).sum())
        for radius in range(bits + 1):
            within = distance <= radius
            hits = int((shared[within] > 0).sum())
            if within.any():
                by_radius[radius][0].append(hits / int(within.sum()))
            by_radius[radius][1].append(hits / total if total else 0)
        found = np.cumsum(at_rank)
        for rank in range(ranks):
            precision_at[rank].append(found[rank] / (rank + 1))
            recall_at[rank].append(found[rank] / total if total else 0)
    for precision, recall in by_radius:
        print(len(precision), '%.17g %.17g' % (math.fsum(precision) / max(len(precision), 1), math.fsum(recall) / queries))
    for precision, recall in zip(precision_at, recall_at):
        print('%.17g %.17g' % (math.fsum(precision) / queries, math.fsum(recall) / queries))


def random_problems(random):
    for number in range(40):
        bits = int(random.choice([1, 3, 8, 16, 64, 65, 130]))
        classes = int(random.choice([1, 2, 5, 24, 70]))
        rows = int(random.choice([1, 2, 17, 300]))
        queries = 12
        k = int(random.choice([0, 0, 1, 5, 50, 1000]))
        density = random.choice([.02, .1, .5])
        codes = random.integers(0, 2, (rows + queries, bits))
        if random.integers(2):
            # Learned codes: a few, each many times.
            codes = codes[random.integers(0, max(rows // 20, 1), rows + queries)]
        labels = (random.random((rows + queries, classes)) < density).astype(int)
        write('random_%d' % number, codes[:queries], labels[:queries], codes[queries:], labels[queries:], k)


def real_problem(path, random):
    """Texts look for pictures; codes are the signs of random projections."""
    array = lambda text: np.array(text.strip('{}').split(','), dtype=float)
    with open(path, newline='') as lines:
        pairs = list(csv.DictReader(lines))
    names = sorted({pair['category'] for pair in pairs})
    labels = np.array([[int(pair['category'] == name) for name in names] for pair in pairs])
    test = np.array([pair['split'] == 'test' for pair in pairs])
    codes = {}
    for side in ('image_features', 'text_features'):
        features = np.array([array(pair[side]) for pair in pairs])
        codes[side] = (features @ random.standard_normal((features.shape[1], 64)) > 0).astype(int)
    for k in (0, 100):
        write('openclipart_k%d' % k, codes['text_features'][test][:60], labels[test][:60],
              codes['image_features'][~test], labels[~test], k)


if __name__ == '__main__':
    generator = np.random.default_rng(int(sys.argv[1]))
    random_problems(generator)
    if len(sys.argv) > 2:
        real_problem(sys.argv[2], generator)

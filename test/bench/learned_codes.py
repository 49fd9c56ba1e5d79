#!/usr/bin/python3
"""Codes as the trainers make them, many: to measure the index on.

    learned_codes.py DATA_DIRECTORY METHOD BITS ROWS PREFIX

Trains METHOD (jdsh, dmsh_ln) on flickr8k's training pairs.  The set is enlarged by
mixing: each image is a·x + (1 − a)·y + noise, x and y two random real rows, a uniform
in [0.5, 1], noise a tenth of the features' deviation.  PREFIX.bin gets the image codes,
PREFIX.q.bin the codes of the query split's real texts, packed; PREFIX.tsv and
PREFIX.q.tsv the same for COPY (number, code).
"""
import os
import sys

import numpy as np

import anchors
import core as harness

EPOCHS = {'jdsh': 10, 'dmsh_ln': 40}


def mixed(features, rows, random):
    first, second = random.integers(0, len(features), (2, rows))
    share = random.uniform(.5, 1, (rows, 1)).astype(np.float32)
    noise = random.standard_normal((rows, features.shape[1]), dtype=np.float32) * (.1 * features.std())
    return share * features[first] + (1 - share) * features[second] + noise


def write(prefix, codes):
    packed = np.packbits(codes, axis=1)
    packed.tofile(prefix + '.bin')
    digits = packed.tobytes().hex()
    width = 2 * packed.shape[1]
    with open(prefix + '.tsv', 'w') as file:
        file.writelines(f'{i}\tx{digits[i * width:(i + 1) * width]}\n' for i in range(len(packed)))


def main():
    directory, method, bits, rows, prefix = sys.argv[1:]
    bits, rows = int(bits), int(rows)
    train, query, database = anchors.load(directory, 'flickr8k')
    scales = [np.float32(1 / np.sqrt((part.astype(np.float64) ** 2).mean())) for part in train[:2]]
    session = harness.Session(harness.load(), method, train[0] * scales[0], train[1] * scales[1],
                              train[2] if method == 'dmsh_ln' else None, text_sparse=True,
                              bits=bits, epochs=EPOCHS[method], seed=1)
    session.fit()
    for epoch in range(EPOCHS[method]):
        session.epoch(epoch)
    images = np.concatenate([train[0], database[0]]) * scales[0]
    random = np.random.default_rng(1)
    parts = []
    while sum(map(len, parts)) < rows:
        part = min(20000, rows - sum(map(len, parts)))
        parts.append(session.encode('image', mixed(images, part, random)))
    write(prefix, np.concatenate(parts))
    write(prefix + '.q', session.encode('text', query[1] * scales[1]))
    session.close()


if __name__ == '__main__':
    main()

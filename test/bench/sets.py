"""Codes to search: made up, and as the trainers make them.

uniform     independent fair bits: no neighbourhoods at all
clustered   1000 centres, cluster sizes by Zipf's law, each bit flipped with 6 %
jdsh, dmsh_ln   codes of a model trained here: on flickr8k where its folder is given, else
            on the drawings of test/data.  There are a few thousand real pairs, so the set
            is enlarged by mixing: each image is a·x + (1 − a)·y + noise, x and y two real
            rows, a uniform in [0.5, 1], noise a tenth of the features' deviation; then
            encoded.  Queries are the codes of texts that the model was not trained on.
quantised   the same mixtures' features themselves, less their mean, one bit each (as
            pgvector's binary_quantize makes them); queries are other images'

Packed codes, [rows × bits / 8] bytes, the first bit the highest of the first byte.
"""
import numpy as np

import core as harness
import pairs
import server

MADE_UP = ('uniform', 'clustered')
LEARNED = ('jdsh', 'dmsh_ln')
LINEAR = {'dmsh_ln': 'dmsh_ln_linear'}    # the limits are of such codes
SETS = MADE_UP[::-1] + LEARNED
QUANTISED = 'quantised'    # only where it is asked for: it has as many bits as features
QUERIES = 1000
CENTRES = 1000
FLIPPED = .06
QUICK_EPOCHS = 5
PIECE = 20000    # rows made at a time

models = {}      # what has been trained in this run


def flipped(centres, rows, random):
    share = 1 / np.arange(1, len(centres) + 1)
    cluster = random.choice(len(centres), rows, p=share / share.sum())
    codes = np.empty((rows, centres.shape[1] // 8), np.uint8)
    for start in range(0, rows, PIECE):
        part = centres[cluster[start:start + PIECE]]
        codes[start:start + PIECE] = np.packbits(part ^ (random.random(part.shape, dtype=np.float32) < FLIPPED), axis=1)
    return codes


def real_pairs(data):
    """Name; train, query, database parts of (images, texts, labels)."""
    name = 'flickr8k' if pairs.path(data, 'flickr8k') else 'openclipart'
    return name, pairs.load(data, name)


def trained(method, bits, settings):
    """A session with a trained model, its scaled images, the scaled texts to query with."""
    if (method, bits) not in models:
        name, parts = real_pairs(settings.data)
        train, query, database = pairs.scaled(parts)
        session = harness.trained(harness.load(), train, LINEAR.get(method, method), bits=bits, seed=settings.seed,
                                  epochs=QUICK_EPOCHS if settings.quick else pairs.EPOCHS[name, method])
        images = train[0] if name == 'openclipart' else np.concatenate([train[0], database[0]])
        models[method, bits] = session, images, query[1]
    return models[method, bits]


def mixed(features, rows, random):
    first, second = random.integers(0, len(features), (2, rows))
    share = random.uniform(.5, 1, (rows, 1)).astype(np.float32)
    noise = random.standard_normal((rows, features.shape[1]), dtype=np.float32) * np.float32(.1 * features.std())
    return share * features[first] + (1 - share) * features[second] + noise


def learned(method, bits, rows, settings, random):
    session, images, texts = trained(method, bits, settings)
    codes = np.empty((rows, bits // 8), np.uint8)
    for start in range(0, rows, PIECE):
        part = mixed(images, min(PIECE, rows - start), random)
        codes[start:start + PIECE] = np.packbits(session.encode('image', part), axis=1)
    return codes, np.packbits(session.encode('text', texts), axis=1)[:QUERIES]


def quantised(bits, rows, settings, random):
    """The first features of images, a bit each: above their mean or not."""
    name, (train, query, _) = real_pairs(settings.data)
    mean = train[0].mean(axis=0)
    if bits > len(mean):
        raise SystemExit(f'the images of {name} have {len(mean)} features, fewer than {bits} bits')
    codes = [np.packbits(mixed(train[0] - mean, min(PIECE, rows - start), random)[:, :bits] > 0, axis=1)
             for start in range(0, rows, PIECE)]
    return np.concatenate(codes), np.packbits((query[0] - mean)[:QUERIES, :bits] > 0, axis=1)


def make(name, bits, rows, settings):
    """The codes of a set; the same for the same seed."""
    if name not in (*SETS, QUANTISED):
        raise SystemExit(f'there is no set {name}; there are {", ".join((*SETS, QUANTISED))}')
    random = np.random.default_rng(settings.seed)
    if name == 'uniform':
        codes, queries = [random.integers(0, 256, (count, bits // 8), dtype=np.uint8) for count in (rows, QUERIES)]
    elif name == 'clustered':
        centres = random.integers(0, 2, (CENTRES, bits), dtype=np.uint8)
        codes, queries = [flipped(centres, count, random) for count in (rows, QUERIES)]
    elif name == QUANTISED:
        codes, queries = quantised(bits, rows, settings, random)
    else:
        codes, queries = learned(name, bits, rows, settings, random)
    return Codes(name, bits, codes, queries)


def source(name, settings):
    """What learned codes come from, as a column; nothing of others."""
    return {} if name in MADE_UP else {'source': real_pairs(settings.data)[0]}


def hexadecimal(codes):
    digits = codes.tobytes().hex()
    width = 2 * codes.shape[1]
    return [digits[i * width:(i + 1) * width] for i in range(len(codes))]


class Codes:
    """A set's codes, and queries, packed and as hexadecimal digits."""

    def __init__(self, name, bits, codes, queries):
        self.name, self.bits, self.codes, self.queries = name, bits, codes, queries
        self.arguments = hexadecimal(queries)
        self.number = {code: i for i, code in enumerate(self.arguments)}

    def first(self, rows):
        return Codes(self.name, self.bits, self.codes[:rows], self.queries)

    def packed(self, argument):
        i = self.number[argument]
        return self.queries[i:i + 1]

    def load(self):
        """Tables codes and queries, in an empty schema."""
        server.start_afresh()
        server.load_codes('codes', self.codes, self.bits)
        server.load_codes('queries', self.queries, self.bits)


WEIGHTS = np.array([bin(value).count('1') for value in range(1 << 16)], np.uint8)


def nearest_distances(codes, query, most):
    """The least `most` distances of a query, in order: by counting, nothing clever."""
    different = (codes ^ query).view(np.uint16)
    distances = WEIGHTS[different].sum(axis=1, dtype=np.uint16)
    counts = np.bincount(distances)
    return np.repeat(np.arange(len(counts)), counts)[:most]

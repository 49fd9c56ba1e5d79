"""What recall to expect of embeddings of one bit a dimension: the figures in sql/README.md.

python3 quantised.py flickr8k.npz, an archive with image_features (rows × dimensions) and split (2:
queries).  For each way to make codes, and for so many candidates by Hamming distance: the share of
the true ten nearest by cosine among them.  What rescoring finds is just that.
"""

import sys

import numpy

CANDIDATES = (10, 50, 100, 200, 400)


def unit(rows):
    return rows / numpy.linalg.norm(rows, axis=1, keepdims=True)


def signs(rows):
    """As binary_quantize: above 0 or not.  The products of two count the bits that agree."""
    return numpy.where(rows > 0, 1, -1).astype(numpy.float32)


def recall(queries, rows, query_codes, codes):
    nearest = numpy.argsort(-(unit(queries) @ unit(rows).T), axis=1, kind="stable")[:, :10]
    ranked = numpy.argsort(-(signs(query_codes) @ signs(codes).T), axis=1, kind="stable")
    return [numpy.mean([numpy.isin(true, found[:number]).mean() for true, found in zip(nearest, ranked)]) for number in CANDIDATES]


def main(path):
    archive = numpy.load(path)
    features, split = archive["image_features"].astype(numpy.float32), archive["split"]
    queries, rows = features[split == 2], features[split != 2]
    mean = rows.mean(axis=0)
    print(f"{len(rows)} rows, {len(queries)} queries, {features.shape[1]} dimensions, {(rows > 0).mean():.2f} of the elements above 0")
    print("candidates", *CANDIDATES)

    def line(name, *vectors):
        print(name, *(f"{share:.2f}" for share in recall(*vectors)), flush=True)

    line("as they are", queries, rows, queries, rows)
    line("less their mean", queries, rows, queries - mean, rows - mean)
    line("less their mean, the cosine too", queries - mean, rows - mean, queries - mean, rows - mean)
    random = numpy.random.default_rng(1)
    for bits in 64, 128, 256, 512:
        projection = random.standard_normal((features.shape[1], bits)).astype(numpy.float32)
        line(f"{bits} bits of a random projection", queries, rows, (queries - mean) @ projection, (rows - mean) @ projection)


main(sys.argv[1])

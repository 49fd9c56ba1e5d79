"""Encoding's speed: a row alone against one product of a matrix and a vector, tables against PyTorch.

Networks as a training leaves them after an epoch, 64 bits, on the pairs of training.py, in
this process, without a server (sql_encoding.py has that):

one row: rows encoded one at a time, by the core's function that SQL's function calls,
against cblas_sgemv of the same sizes by the same OpenBLAS; 100 rows in turn.  What bounds it
is reading the weights, once a row.  Of kernel ridge hashing, 1,000 anchors: against the two
products that it needs, one after the other, of sparse texts the first one with as many rows as
words occur.

tables: batches of 1,000 rows.  PyTorch's side is the forward pass and the sign, in batches
of the same size; with sparse texts the faster of Linear and embedding_bag.  What bounds it
is the products' operations at the peak rate, and reading the features.
"""
import time

import numpy as np

import core as harness
import peer_torch
import sql_encoding
from report import Measured

BITS = 64
BATCH = 1000
ANCHORS = 1000


def trained(core, data, image_hidden, text_hidden):
    image, text, _ = data
    session = harness.Session(core, 'jdsh', image, text, text_sparse=True, bits=BITS,
                              image_hidden=image_hidden, text_hidden=text_hidden)
    session.fit()
    session.epoch(0)
    return session


def one_row(report, core, limits, session, hidden, data, quick):
    """Microseconds a row; sparse texts cost next to nothing and have no sgemv to be compared with."""
    image, text, _ = data
    core.harness_threads(1)
    repetitions = 21 if quick else 101
    for modality, matrix, sparse in (('image', image, False), ('text', text, True)):
        matrix = matrix[:100]
        inputs = matrix.shape[1]
        ours = Measured(1e6 * s / 100 for s in session.encode_seconds(modality, matrix, 1, sparse, repetitions))
        product, reading = None, None
        if not sparse:
            weights = inputs * (hidden or BITS) + hidden * BITS
            reading = 1e6 * 4 * weights / limits.bandwidth(weights, False)
            if hidden == 0:
                product = Measured(1e6 * s for s in harness.vector_product_seconds(core, inputs, BITS, repetitions))
        report.row('encoding a row', f'{modality}, {shape(inputs, hidden)}{", sparse" * sparse}',
                   microseconds=ours, sgemv=product, ratio_sgemv=ours.median / product.median if product else None,
                   reading_weights=reading, ratio_reading=ours.median / reading if reading else None)


def one_row_of_kernels(report, core, data, quick):
    image, text, _ = data
    core.harness_threads(1)
    repetitions = 21 if quick else 101
    session = harness.Session(core, 'kernel_ridge', image, text, text_sparse=True, bits=BITS)
    for phase in range(harness.PHASES):
        session.epoch(phase)
    for modality, matrix, sparse in (('image', image, False), ('text', text, False), ('text', text, True)):
        matrix = matrix[:100]
        inputs = round(np.count_nonzero(matrix) / 100) if sparse else matrix.shape[1]
        ours, products = [], []
        for _ in range(repetitions):    # in turns, so that what happens to the machine happens to both
            ours += session.encode_seconds(modality, matrix, 1, sparse, 1)
            products += harness.vector_product_seconds(core, inputs, ANCHORS, 1, then=BITS)
        ours, products = Measured(1e6 * s / 100 for s in ours), Measured(1e6 * s for s in products)
        report.row('encoding a row', f'{modality}, kernels, {shape(matrix.shape[1], ANCHORS)}{", sparse" * sparse}',
                   microseconds=ours, sgemv=products, ratio_sgemv=ours.over(products))
    session.close()


def shape(inputs, hidden):
    return f'{inputs:,} → {f"{hidden:,} → " if hidden else ""}{BITS}'


def in_turns(core, session, modality, matrix, hidden, sparse, threads, rounds):
    """Ours, and PyTorch's with the faster way to give it the rows, None without it; round by round."""
    encoders = []
    if peer_torch.torch:
        peer_torch.torch.set_num_threads(threads)
        encoders = [peer_torch.Encoder(matrix, hidden, BITS, bag) for bag in (False, True)[:1 + sparse]]
    seconds = []
    for _ in range(rounds + 1):
        core.harness_threads(threads)    # both sides may use the same OpenBLAS
        seconds.append(session.encode_seconds(modality, matrix, BATCH, sparse, 1))
        for encoder in encoders:
            start = time.perf_counter()
            encoder.encode(BATCH)
            seconds[-1].append(time.perf_counter() - start)
    ours, *theirs = [Measured(column) for column in zip(*seconds[1:])]    # the first round warms up
    return ours, min(theirs, key=float, default=None)


def table(report, core, limits, session, modality, matrix, hidden, sparse, threads, rounds):
    count, inputs = matrix.shape
    ours, theirs = in_turns(core, session, modality, matrix, hidden, sparse, threads, rounds)
    core.harness_threads(threads)
    alone = min(session.encode_seconds(modality, matrix[:50], 1, sparse, 3)) / 50
    first = np.count_nonzero(matrix) if sparse else matrix.size
    operations = 2.0 * first * (hidden or BITS) + 2.0 * count * hidden * BITS
    features = (8.0 if sparse else 4.0) * first
    bound = operations / limits.peak(threads) + features / limits.bandwidth(int(features / 4), False)
    report.row('encoding', f'{modality}, {shape(inputs, hidden)}{", sparse" * sparse}, '
                           f'{threads} thread{"s"[:threads > 1]}',
               rows_per_second=Measured(count / s for s in ours.values),
               torch_rows_per_second=Measured(count / s for s in theirs.values) if theirs else None,
               ratio_torch=ours.over(theirs) if theirs else None,
               share_of_peak=operations / ours.median / limits.peak(threads),
               ratio_bound=ours.median / bound, ratio_alone=ours.median / count / alone)


def run(report, settings, core, limits, data, wanted):
    """wanted(settings, …): is what has these words asked for?"""
    rounds = 3 if settings.quick else 9
    if wanted(settings, 'encoding'):
        networks = [(hidden, trained(core, data, hidden, hidden)) for hidden in (0, 512, 4096)
                    if hidden != 512 or not settings.quick]
        for hidden, session in networks:
            one_row(report, core, limits, session, hidden, data, settings.quick)
        one_row_of_kernels(report, core, data, settings.quick)
        for threads in (1, 2):
            for hidden, session in networks:
                for modality, matrix, sparse in (('image', data[0], False), ('text', data[1], False),
                                                 ('text', data[1], True)):
                    if wanted(settings, 'sparse' if sparse else 'dense', str(threads)):
                        if not settings.quick or modality == 'image' and (threads == 2 or hidden == 0) or sparse and threads == 1:
                            table(report, core, limits, session, modality, matrix, hidden, sparse, threads, rounds)
        for _, session in networks:
            session.close()
    if wanted(settings, 'sql'):
        sql_encoding.run(report, settings)

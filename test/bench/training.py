"""Training's speed: seconds an epoch against PyTorch, and against what the machine can do.

Both methods, 64 bits, their default batch sizes, on 5,000 pairs with images of 1,280
dimensions and texts of 1,000 words: flickr8k's training pairs when DATA has them, else made
up in their shape.  Networks: linear; a hidden layer of 512 in both; texts through a hidden
layer of 4,096.  Texts dense and sparse; 1 and 2 threads.  PyTorch trains the same network
on the same batches' size with its own modules (peer_torch.py).  Epochs of the contestants
take turns; medians are compared, with least and greatest.

The limits are measured in the same run, with the same OpenBLAS and number of threads: the
rate of one large square product ("peak"), and of y += a·x over arrays of the size that the
optimizer goes over.  The bound of an epoch is the operations of its products at the peak
rate, and the optimizer's bytes at that bandwidth, one after the other.  A profiled epoch
tells what the time is spent on; what is not a product is ours, and runs in one thread.

ONLY= takes some of: jdsh dmsh_ln, linear hidden512 text4096, dense sparse, 1 2 (threads),
limits epochs encoding sql.
"""
import functools
import time

import numpy as np

import core as harness
import encoding
import pairs
import peer_torch
from chosen import TRAINING, chosen
from report import Measured

BITS = 64
BATCH = {'jdsh': 32, 'dmsh_ln': 128}
NETWORKS = {'linear': (0, 0), 'hidden512': (512, 512), 'text4096': (0, 4096)}    # hidden units: image, text
QUICK_ROWS = 1500
SIDE = 960    # of the square product whose rate is the peak: one slice of the core's


def wanted(settings, *words):
    return chosen(settings.only, TRAINING, *words)


def made_up(seed, rows=5000, classes=24):
    """Pairs in flickr8k's shape: what a class says and shows, and noise; a dozen frequent words a text."""
    random = np.random.default_rng(seed)
    labels = random.random((rows, classes)) < .1
    labels[np.arange(rows), random.integers(0, classes, rows)] = True
    image = np.maximum(labels @ random.standard_normal((classes, 1280)) + random.standard_normal((rows, 1280)), 0)
    weight = 1 / np.arange(1., 1001)
    words = labels @ (random.random((classes, 1000)) < .02) * .2 + weight / weight.sum() * 8
    text = random.random((rows, 1000)) < np.minimum(words, 1)
    text[np.arange(rows), random.integers(0, 1000, rows)] = True
    return image, text, labels.astype(np.uint8)


def training_set(report, settings):
    """Image and text features, scaled, and labels of the training pairs; QUICK: of 1,500."""
    if pairs.path(settings.data, 'flickr8k'):
        name, part = 'flickr8k', pairs.load(settings.data, 'flickr8k')[0]
    else:
        name, part = 'made up in the shape of flickr8k (no DATA)', made_up(settings.seed)
    if settings.quick:
        part = [column[:QUICK_ROWS] for column in part]
    image, text, labels = pairs.scaled([part])[0]
    report.note(f'pairs: {name}: {len(image):,}, images of {image.shape[1]:,} dimensions, texts of '
                f'{text.shape[1]:,} with {np.count_nonzero(text) / len(text):.1f} that are not zero')
    return image, text, labels


class Limits:
    """What this machine can do, measured when it is first asked for."""

    def __init__(self, core):
        self.core = core

    @functools.lru_cache(None)
    def peak(self, threads):
        """Operations a second of a large product: the best of a second's worth.

        A system may keep both threads on one processor for the first tenths of a second.
        """
        self.core.harness_threads(threads)
        return 2 * SIDE ** 3 / min(harness.product_seconds(self.core, SIDE, SIDE, SIDE, 60 * threads))

    @functools.lru_cache(None)
    def bandwidth(self, floats, writing=True):
        return harness.bandwidth(self.core, floats, writing)

    def report(self, report, quick):
        for threads in (1, 2):
            report.row('limits', f'sgemm, {SIDE}³, {threads} thread{"s"[:threads > 1]}', unit='GFLOP/s',
                       rate=self.peak(threads) / 1e9)
        for floats, where in ((2 ** 15, '.25 MB'), (2 ** 21, '16 MB'), (2 ** 26, '512 MB'))[:2 if quick else 3]:
            report.row('limits', f'y += a·x, {where}, 1 thread', unit='GB/s', rate=self.bandwidth(floats) / 1e9)
            report.row('limits', f'reading, {where}, 1 thread', unit='GB/s',
                       rate=self.bandwidth(2 * floats, False) / 1e9)


class Case:
    """One method, network, kind of texts and number of threads: ours, and PyTorch's."""

    def __init__(self, core, data, method, network, texts, threads):
        self.core, self.data, self.method, self.network = core, data, method, network
        self.sparse, self.threads, self.batch = texts == 'sparse', threads, BATCH[method]
        self.hidden = NETWORKS[network]
        self.name = f'{method} {network}, {texts} texts, {threads} thread{"s"[:threads > 1]}'
        image, text, labels = data
        self.session = harness.Session(
            core, method, image, text, labels if method == 'dmsh_ln' else None, threads=threads,
            text_sparse=self.sparse, bits=BITS, batch_size=self.batch, epochs=100,
            image_hidden=self.hidden[0], text_hidden=self.hidden[1])
        self.fit = self.session.fit()

    def contestants(self):
        """Name → a function that trains an epoch."""
        found = {'xmhash': self.session.epoch}
        if peer_torch.torch:
            peer_torch.torch.set_num_threads(self.threads)
            for name, bag in (('torch', False), ('torch_bag', True))[:1 + self.sparse]:
                found[name] = peer_torch.TRAINERS[self.method](
                    self.data, BITS, self.batch, *self.hidden, self.fit, bag).epoch
        return found

    def measure(self, rounds, patience):
        """Name → seconds an epoch; the first round warms up, at least one counts."""
        sides = self.contestants()
        seconds = {name: [] for name in sides}
        begun = time.perf_counter()
        for number in range(rounds + 1):
            if number > 1 and time.perf_counter() - begun > patience:
                break
            for name, epoch in sides.items():
                self.core.harness_threads(self.threads)    # the contestants may share one OpenBLAS
                start = time.perf_counter()
                epoch(number)
                seconds[name].append(time.perf_counter() - start)
        return {name: Measured(values[1:]) for name, values in seconds.items()}

    def profile(self, number):
        self.core.harness_threads(self.threads)
        with harness.Profile(self.core) as profile:
            self.session.epoch(number)
        return profile

    def optimizer_seconds(self, limits):
        """Of an epoch's compulsory traffic: parameters and optimizer state, read and written once a step.

        SGD: weight and velocity; of sparse texts only rows of words that occur in the batch.
        Adam: two moments beside, and the gradient is written and read, its norm being needed
        before the first step.
        """
        image, text, labels = self.data
        steps = len(image) // self.batch
        total = 0
        for features, hidden, bag in ((image, self.hidden[0], False), (text, self.hidden[1], self.sparse)):
            inputs, first = features.shape[1], hidden or BITS
            touched = inputs
            if bag:
                touched = np.mean([features[i * self.batch:(i + 1) * self.batch].any(axis=0).sum() for i in range(20)])
            rest = first + (hidden * BITS + BITS if hidden else 0)
            if self.method == 'jdsh':
                size = touched * first + rest
                total += steps * 16 * size / limits.bandwidth(round(size))
            else:
                size = inputs * first + rest
                traffic = 24 * size + 8 * (touched * first + rest)
                total += steps * traffic / limits.bandwidth(round(2 * size))
        return total

    def sparse_operations(self):
        """What sparse texts cost instead of the first layer's products: forward and gradient."""
        return 4.0 * np.count_nonzero(self.data[1]) * (self.hidden[1] or BITS) if self.sparse else 0


def compare(report, case, limits, settings):
    seconds = case.measure(2 if settings.quick else 15, 1 if settings.quick else 12)
    ours = seconds['xmhash']
    theirs = [seconds[name] for name in ('torch', 'torch_bag') if name in seconds]
    best = min(theirs, key=float) if theirs else None
    rows = len(case.data[0]) // case.batch * case.batch
    report.row('training', case.name, seconds=ours, rows_per_second=rows / ours.median,
               torch_seconds=seconds.get('torch'), torch_bag_seconds=seconds.get('torch_bag'),
               ratio_torch=ours.over(best) if best else None)
    return ours


def explain(report, case, ours, limits):
    """An epoch by what it is spent on, in per cent, and how far it is from the bound."""
    profile = case.profile(20)
    total = sum(profile.seconds.values())
    share = {name: 100 * value / total for name, value in profile.seconds.items()}
    operations = profile.operations + case.sparse_operations()
    products = operations / limits.peak(case.threads)
    memory = case.optimizer_seconds(limits)
    report.row('training profile', case.name, gflop=operations / 1e9,
               share_of_peak=operations / ours.median / limits.peak(case.threads),
               bound_seconds=products + memory, ratio_bound=ours.median / (products + memory),
               products=share['products'], optimizer=share['sgd'] + share['adam'], sparse=share['sparse products'],
               loss=share['similarity'] + share['dsdw'] + share['multi-similarity'] + share['tanh and back'],
               batches=share['batches'], other=sum(value for name, value in share.items()
                                                   if name in ('rest', 'shuffle', 'finite')))


def cases(settings):
    """What is to be measured; QUICK leaves out what tells least."""
    for threads in (1, 2):
        for method in BATCH:
            for network in NETWORKS:
                for texts in ('dense', 'sparse'):
                    quick = texts == 'sparse' and (
                        threads == 1 and network in ('linear', 'text4096' if method == 'jdsh' else 'hidden512') or
                        method == 'dmsh_ln' and network == 'hidden512')
                    if (quick or not settings.quick) and wanted(settings, method, network, texts, str(threads)):
                        yield method, network, texts, threads


def epochs(report, settings, core, limits, data):
    measured = []
    for words in cases(settings):
        case = Case(core, data, *words)
        ours = compare(report, case, limits, settings)
        measured.append((words, ours))
        case.session.close()
    for words, ours in measured:    # a table of its own
        case = Case(core, data, *words)
        case.session.epoch(0)
        explain(report, case, ours, limits)
        case.session.close()


def run(report, settings):
    core = harness.load()
    limits = Limits(core)
    if not peer_torch.torch:
        report.skip('PyTorch', 'not installed (apt-get install python3-torch)')
    report.note(core.harness_version().decode())
    if wanted(settings, 'limits'):
        limits.report(report, settings.quick)
    data = training_set(report, settings)
    if wanted(settings, 'epochs'):
        epochs(report, settings, core, limits, data)
    encoding.run(report, settings, core, limits, data, wanted)

#!/usr/bin/python3
"""Seconds an epoch, this core against PyTorch on the CPU, in one process.

    bench_train.py DATA_DIRECTORY [rounds [case …]]

flickr8k's 5,000 training pairs (1280-d images, 1000-d sparse word occurrence),
64 bits.  The same network, data, batch size, optimizer and number of threads;
PyTorch's side is what one writes with its own modules and optimizers, with
dense texts.  Epochs of the two sides take turns; medians are compared.  If
PyTorch is not installed, only this core is timed.  Cases are numbered from 0.
"""
import os
import sys
import time

import numpy as np

import core as harness

# Else PyTorch's threads spin while they wait, and on a busy machine take a hundred times as long.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')
try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

BITS = 64
PATIENCE = 20    # seconds a case, after one round to warm up and one that counts
CASES = [
    # name, method, batch, image hidden, text hidden
    ('jdsh, linear', 'jdsh', 32, 0, 0),
    ('jdsh, text hidden 4096', 'jdsh', 32, 0, 4096),
    ('dmsh_ln, linear', 'dmsh_ln', 128, 0, 0),
    ('dmsh_ln, hidden 512', 'dmsh_ln', 128, 512, 512),
]


def network(inputs, hidden, outputs):
    if hidden == 0:
        return torch.nn.Linear(inputs, outputs)
    return torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))


class TorchJdsh:
    def __init__(self, image, text, labels, batch, image_hidden, text_hidden, fit):
        self.image, self.text, self.batch, self.fit = torch.from_numpy(image), torch.from_numpy(text), batch, fit
        self.nets = [network(image.shape[1], image_hidden, BITS), network(text.shape[1], text_hidden, BITS)]
        self.optimizers = [torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=5e-4)
                           for net in self.nets]

    def target(self, image, text):
        image, text = F.normalize(image), F.normalize(text)
        s_image, s_text = image @ image.T * 2 - 1, text @ text.T * 2 - 1
        high = F.normalize(s_image) @ F.normalize(s_text).T
        s = .4 * s_image + .3 * s_text + .3 * (high + high.T) / 2
        far, near = (s < self.fit['low']) & (s < 0), (s > self.fit['high']) & (s > 0)
        s[far] = s[far] * (1 + .1 * torch.exp(-(s[far] - self.fit['minimum'])))
        s[near] = s[near] * (1 + .2 * torch.exp(s[near] - self.fit['maximum']))
        return 1.4 * s

    def epoch(self, number):
        a = np.sqrt(number + 1)
        order = torch.randperm(len(self.image))
        total = 0
        for at in range(0, len(order) - self.batch + 1, self.batch):
            rows = order[at:at + self.batch]
            image, text = self.image[rows], self.text[rows]
            s = self.target(image, text)
            b_image, b_text = [F.normalize(torch.tanh(a * net(x))) for net, x in zip(self.nets, (image, text))]
            across = b_image @ b_text.T
            loss = (2 * F.mse_loss(across, s) - across.diagonal().mean() + .1 * F.mse_loss(b_image @ b_image.T, s) +
                    .1 * F.mse_loss(b_text @ b_text.T, s))
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in self.optimizers:
                optimizer.step()
            total += loss.item()
        return total


class TorchDmshLn:
    def __init__(self, image, text, labels, batch, image_hidden, text_hidden, fit):
        self.data = [torch.from_numpy(part) for part in (image, text, labels.astype(np.float32))]
        self.batch = batch
        classes = labels.shape[1]
        self.nets = [network(image.shape[1], image_hidden, BITS), network(text.shape[1], text_hidden, BITS),
                     network(classes, (classes + BITS) // 2, BITS)]
        self.optimizers = [torch.optim.AdamW(net.parameters(), lr=rate, betas=(.9, .98), eps=1e-6, weight_decay=.2)
                           for net, rate in zip(self.nets, (1e-3, 1e-3, 1e-2))]

    @staticmethod
    def multi_similarity(s, similar, within):
        """All anchors at once, by masks."""
        positive, negative = similar.clone(), ~similar
        if within:
            positive.fill_diagonal_(False)
        least = torch.where(positive, s, torch.inf).amin(1, keepdim=True)
        most = torch.where(negative, s, -torch.inf).amax(1, keepdim=True)
        positive, negative = positive & (s < most + .1), negative & (s > least - .1)
        positives = torch.where(positive, torch.exp(-2 * (s - .5)), 0).sum(1)
        negatives = torch.where(negative, torch.exp(40 * (s - .5)), 0).sum(1)
        return (torch.log1p(positives) / 2 + torch.log1p(negatives) / 40).mean()

    def epoch(self, number):
        order = torch.randperm(len(self.data[0]))
        total = 0
        for at in range(0, len(order) - self.batch + 1, self.batch):
            rows = order[at:at + self.batch]
            image, text, labels = [part[rows] for part in self.data]
            similar = labels @ labels.T > 0
            image = F.normalize(torch.tanh(F.dropout(self.nets[0](image), .2)))
            text = F.normalize(torch.tanh(F.dropout(self.nets[1](text), .2)))
            label = F.normalize(torch.tanh(np.sqrt(number + 1) * self.nets[2](labels)))
            loss = sum(self.multi_similarity(x @ y.T, similar, x is y)
                       for x, y in ((image, image), (text, text), (label, label),
                                    (image, text), (image, label), (text, label)))
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            loss.backward()
            for net, optimizer in zip(self.nets, self.optimizers):
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1)
                optimizer.step()
            total += loss.item()
        return total


def timed(call, *arguments):
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def compare(core, data, case, threads, rounds):
    name, method, batch, image_hidden, text_hidden = case
    image, text, labels = data
    session = harness.Session(core, method, image, text, labels, threads=threads, text_sparse=True, bits=BITS,
                              batch_size=batch, epochs=100, image_hidden=image_hidden, text_hidden=text_hidden)
    fit = session.fit()
    sides = [session.epoch]
    if torch:
        side = TorchJdsh if method == 'jdsh' else TorchDmshLn
        side = side(image, text, labels, batch, image_hidden, text_hidden, fit)
        torch.set_num_threads(threads)
        sides.append(side.epoch)
    seconds = []
    start = time.perf_counter()
    for number in range(rounds + 1):
        if number > 1 and time.perf_counter() - start > PATIENCE:
            break
        seconds.append([])
        for epoch in sides:
            core.harness_threads(threads)    # both sides may use the same OpenBLAS
            seconds[-1].append(timed(epoch, number))
    seconds = seconds[1:]    # the first one warms up
    medians = np.median(seconds, axis=0)
    session.close()
    line = f'{name:24} {threads} thread{"s" if threads > 1 else " "}  {medians[0]:7.3f} s an epoch'
    if torch:
        line += f'   PyTorch {medians[1]:7.3f} s   ratio {medians[0] / medians[1]:.3f}'
    print(line, flush=True)
    return medians[0] / medians[-1] if torch else 0


def main():
    core = harness.load()
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    stored = np.load(os.path.join(sys.argv[1], 'flickr8k', 'flickr8k.npz'))
    train = stored['split'] == 0
    data = [stored[name][train].astype(np.float32) for name in ('image_features', 'text_features')]
    data = [part / np.sqrt((part ** 2).mean()) for part in data] + [stored['labels'][train]]
    cases = [case for number, case in enumerate(CASES) if len(sys.argv) < 4 or str(number) in sys.argv[3:]]
    ratios = [compare(core, data, case, threads, rounds) for threads in (1, 2) for case in cases]
    print(core.harness_version().decode(), '' if not torch else f'| PyTorch {torch.__version__}')
    if torch:
        print(f'largest ratio: {max(ratios):.3f}')


if __name__ == '__main__':
    main()

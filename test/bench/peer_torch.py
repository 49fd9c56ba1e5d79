"""PyTorch's side of the training and encoding benchmarks.

What one writes with its own modules, autograd and optimizers for the same networks, loss,
batch size and data.  Sparse texts are given to it twice: dense, through Linear, and sparse,
through embedding_bag, its own means for bags of words.  None of it is needed: without
PyTorch, `torch` here is None.
"""

import numpy as np

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None


class Dense:
    """A modality as a matrix."""

    def __init__(self, matrix):
        self.matrix = torch.from_numpy(matrix)

    def rows(self, rows):
        return self.matrix[rows]

    @staticmethod
    def cosines(batch):
        unit = F.normalize(batch)
        return unit @ unit.T


class Bag:
    """A modality by its non-zeros; a batch is (columns, values, offsets, width)."""

    def __init__(self, matrix):
        rows, self.columns = (torch.from_numpy(part) for part in np.nonzero(matrix))
        self.values = torch.from_numpy(matrix[matrix != 0])
        self.start = torch.from_numpy(np.concatenate([[0], np.cumsum((matrix != 0).sum(axis=1))]))
        self.width = matrix.shape[1]

    def rows(self, rows):
        start, count = self.start[rows], self.start[rows + 1] - self.start[rows]
        offsets = torch.cumsum(count, 0) - count
        at = torch.arange(int(count.sum())) + torch.repeat_interleave(start - offsets, count)
        return self.columns[at], self.values[at], offsets, self.width

    @staticmethod
    def cosines(batch):
        columns, values, offsets, width = batch
        matrix = torch.zeros(len(offsets), width)
        count = torch.diff(offsets, append=torch.tensor([len(columns)]))
        matrix[torch.repeat_interleave(torch.arange(len(offsets)), count), columns] = values
        return Dense.cosines(matrix)


if torch:
    class FirstOfBag(torch.nn.Module):
        """Linear on a bag of words: the weights' rows of the words, weighted and added up."""

        def __init__(self, inputs, outputs):
            super().__init__()
            linear = torch.nn.Linear(inputs, outputs)
            self.weight = torch.nn.Parameter(linear.weight.detach().T.contiguous())
            self.bias = torch.nn.Parameter(linear.bias.detach())

        def forward(self, batch):
            columns, values, offsets, _ = batch
            return F.embedding_bag(columns, self.weight, offsets, mode='sum', per_sample_weights=values) + self.bias


def network(inputs, hidden, outputs, bag=False):
    first = FirstOfBag if bag else torch.nn.Linear
    if hidden == 0:
        return first(inputs, outputs)
    return torch.nn.Sequential(first(inputs, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, outputs))


class Jdsh:
    """fit: what DSDW found in the training set (our trainer's; finding it is not timed)."""

    def __init__(self, data, bits, batch, image_hidden, text_hidden, fit, bag):
        image, text, _ = data
        self.image, self.text = Dense(image), (Bag if bag else Dense)(text)
        self.count, self.batch, self.fit = len(image), batch, fit
        self.nets = [network(image.shape[1], image_hidden, bits), network(text.shape[1], text_hidden, bits, bag)]
        self.optimizers = [torch.optim.SGD(net.parameters(), lr=.01, momentum=.9, weight_decay=5e-4)
                           for net in self.nets]

    def target(self, image, text):
        s_image, s_text = self.image.cosines(image) * 2 - 1, self.text.cosines(text) * 2 - 1
        high = F.normalize(s_image) @ F.normalize(s_text).T
        s = .4 * s_image + .3 * s_text + .3 * (high + high.T) / 2
        far, near = (s < self.fit['low']) & (s < 0), (s > self.fit['high']) & (s > 0)
        s[far] = s[far] * (1 + .1 * torch.exp(-(s[far] - self.fit['minimum'])))
        s[near] = s[near] * (1 + .2 * torch.exp(s[near] - self.fit['maximum']))
        return 1.4 * s

    def epoch(self, number):
        a = np.sqrt(number + 1)
        order = torch.randperm(self.count)
        total = 0
        for at in range(0, self.count - self.batch + 1, self.batch):
            rows = order[at:at + self.batch]
            image, text = self.image.rows(rows), self.text.rows(rows)
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


class DmshLn:
    def __init__(self, data, bits, batch, image_hidden, text_hidden, fit, bag):
        image, text, labels = data
        self.image, self.text = Dense(image), (Bag if bag else Dense)(text)
        self.labels = torch.from_numpy(labels.astype(np.float32))
        self.count, self.batch = len(image), batch
        classes = labels.shape[1]
        self.nets = [network(image.shape[1], image_hidden, bits), network(text.shape[1], text_hidden, bits, bag),
                     network(classes, (classes + bits) // 2, bits)]
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
        order = torch.randperm(self.count)
        total = 0
        for at in range(0, self.count - self.batch + 1, self.batch):
            rows = order[at:at + self.batch]
            labels = self.labels[rows]
            similar = labels @ labels.T > 0
            image = F.normalize(torch.tanh(F.dropout(self.nets[0](self.image.rows(rows)), .2)))
            text = F.normalize(torch.tanh(F.dropout(self.nets[1](self.text.rows(rows)), .2)))
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


TRAINERS = {'jdsh': Jdsh, 'dmsh_ln': DmshLn}


class Encoder:
    """Forward pass and sign, so many rows at a time; the bits are not even packed."""

    def __init__(self, matrix, hidden, bits, bag):
        self.table = (Bag if bag else Dense)(matrix)
        self.count = len(matrix)
        self.net = network(matrix.shape[1], hidden, bits, bag)

    def encode(self, batch):
        with torch.no_grad():
            for at in range(0, self.count, batch):
                rows = torch.arange(at, min(at + batch, self.count))
                x = self.table.matrix[at:at + batch] if isinstance(self.table, Dense) else self.table.rows(rows)
                torch.sign(self.net(x))

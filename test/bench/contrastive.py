"""A contrastive hashing baseline without labels, from the same features.

It is like "Unsupervised Contrastive Cross-Modal Hashing" (UCCH), IEEE TPAMI 45 (2023), doi
10.1109/TPAMI.2022.3177356, in its main idea alone, and no reproduction of it: an image and its
text attract each other, the other pairs of a batch repel.  Two linear heads H = X·W + b give
codes B = tanh(H), brought to length 1 as U; with S = U_image·U_textᵀ/temperature of a batch of m
pairs the loss is InfoNCE in both directions,

    L = ½·(cross entropy of the rows of S + that of its columns), each pair's own as the class,

by Adam with a rate that falls as a cosine.  UCCH's momentum, ranking loss and deep image network
are not there.  Gradients are by hand: dS = ½·(softmax of rows + of columns − 2·I)/m.
"""
import numpy as np

BATCH = 128
RATE = 1e-3
DECAYS = (.9, .999)
EPSILON = 1e-8


def softmax(logits, axis):
    power = np.exp(logits - logits.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


class Head:
    """X [m × d] → unit rows [m × bits]; forward, backward with Adam's step."""

    def __init__(self, features, bits, random):
        self.mean = features.mean(axis=0)
        bound = 1 / np.sqrt(features.shape[1])
        self.weights = [random.uniform(-bound, bound, (features.shape[1], bits)).astype(np.float32), np.zeros(bits, np.float32)]
        self.moments = [[np.zeros_like(weight), np.zeros_like(weight)] for weight in self.weights]
        self.steps = 0

    def outputs(self, features):
        return (features - self.mean) @ self.weights[0] + self.weights[1]

    def forward(self, features):
        self.features = features - self.mean
        self.code = np.tanh(self.outputs(features))
        self.length = np.linalg.norm(self.code, axis=1, keepdims=True)
        self.unit = self.code / self.length
        return self.unit

    def backward(self, gradient, rate):
        """gradient [m × bits]: of the unit rows."""
        gradient = (gradient - self.unit * (self.unit * gradient).sum(axis=1, keepdims=True)) / self.length
        gradient *= 1 - self.code ** 2
        self.steps += 1
        for weight, moments, change in zip(self.weights, self.moments, (self.features.T @ gradient, gradient.sum(axis=0))):
            for moment, decay, power in zip(moments, DECAYS, (change, change ** 2)):
                moment += (1 - decay) * (power - moment)
            first, second = (moment / (1 - decay ** self.steps) for moment, decay in zip(moments, DECAYS))
            weight -= rate * first / (np.sqrt(second) + EPSILON)


class Contrastive:
    """Trained on pairs; encode() gives 0/1 [rows × bits]."""

    def __init__(self, image, text, bits, seed, temperature, epochs):
        random = np.random.default_rng(seed)
        data = [image.astype(np.float32), text.astype(np.float32)]
        self.heads = [Head(part, bits, random) for part in data]
        steps = len(image) // BATCH
        for epoch in range(epochs):
            order = random.permutation(len(image))
            for step in range(steps):
                rows = order[step * BATCH:(step + 1) * BATCH]
                rate = RATE * .5 * (1 + np.cos(np.pi * (epoch * steps + step) / (epochs * steps)))
                self.step([part[rows] for part in data], temperature, rate)

    def step(self, batch, temperature, rate):
        image, text = (head.forward(part) for head, part in zip(self.heads, batch))
        logits = image @ text.T / temperature
        gradient = (softmax(logits, 1) + softmax(logits, 0)) / 2
        gradient[np.diag_indices(len(gradient))] -= 1
        gradient /= len(gradient) * temperature
        for head, change in zip(self.heads, (gradient @ text, gradient.T @ image)):
            head.backward(change, rate)

    def encode(self, modality, features):
        return (self.heads[modality].outputs(features) > 0).astype(np.uint8)

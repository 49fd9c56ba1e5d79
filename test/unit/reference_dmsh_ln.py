"""Epochs of DMsH-LN in float64 NumPy, written from the formulas alone.

usage: reference_dmsh_ln.py FILE     (a case written by test_train_step)

The multi-similarity loss is computed anchor by anchor with explicit lists of
pairs; the C side works on whole rows of cosines.
"""
import sys

import numpy as np

from reference import Case, Net, unit, unit_backward


def multi_similarity(case, cosines, similar, within):
    """Loss of rows as anchors and dL/d cosines."""
    m = len(cosines)
    p, n = case.number('scale_positive'), case.number('scale_negative')
    t, margin = case.number('threshold'), case.number('margin')
    loss, gradient, kept = 0, np.zeros((m, m)), 0
    for i, s in enumerate(cosines):
        positives = [j for j in range(m) if similar[i, j] and not (within and i == j)]
        negatives = [j for j in range(m) if not similar[i, j]]
        if not positives or not negatives:
            continue
        least, most = s[positives].min(), s[negatives].max()
        positives = [j for j in positives if s[j] < most + margin]
        negatives = [j for j in negatives if s[j] > least - margin]
        if not positives and not negatives:
            continue
        kept += len(positives) + len(negatives)
        e_positive, e_negative = np.exp(-p * (s[positives] - t)), np.exp(n * (s[negatives] - t))
        loss += np.log(1 + e_positive.sum()) / p + np.log(1 + e_negative.sum()) / n
        gradient[i, positives] = -e_positive / (1 + e_positive.sum())
        gradient[i, negatives] = e_negative / (1 + e_negative.sum())
    return loss / m, gradient / m, kept


TERMS = (('image', 'image', 'ii'), ('text', 'text', 'tt'), ('label', 'label', 'yy'),
         ('image', 'text', 'it'), ('image', 'label', 'iy'), ('text', 'label', 'ty'))


def losses(case, codes, similar):
    """Terms, dL/dB of each network, number of pairs kept by mining."""
    units = {name: unit(code) for name, code in codes.items()}
    gradients = {name: np.zeros_like(code) for name, code in codes.items()}
    terms, kept = [], 0
    for left, right, short in TERMS:
        weight = case.number('weight_' + short)
        pairs = [(left, right)]
        if case.number('symmetric') and left != right:
            pairs.append((right, left))
        term = 0
        for a, b in pairs:
            loss, gradient, number = multi_similarity(case, units[a] @ units[b].T, similar, a == b)
            term, kept = term + weight * loss, kept + number
            gradients[a] += weight * gradient @ units[b]
            gradients[b] += weight * gradient.T @ units[a]
        terms.append(term)
    return np.array(terms), {name: unit_backward(codes[name], gradients[name]) for name in codes}, kept


class Adam:
    def __init__(self, case, size):
        self.case, self.m, self.v, self.t = case, np.zeros(size), np.zeros(size), 0

    def step(self, weights, gradient, rate):
        case = self.case
        self.t += 1
        gradient = gradient * min(1, case.number('clip_norm') / (np.sqrt((gradient ** 2).sum()) + 1e-6))
        beta1, beta2 = case.number('adam_beta1'), case.number('adam_beta2')
        self.m = beta1 * self.m + (1 - beta1) * gradient
        self.v = beta2 * self.v + (1 - beta2) * gradient ** 2
        m_hat, v_hat = self.m / (1 - beta1 ** self.t), self.v / (1 - beta2 ** self.t)
        return weights - rate * (m_hat / (np.sqrt(v_hat) + case.number('adam_epsilon')) +
                                 case.number('weight_decay') * weights)


def schedule(case, done, total):
    f = (done + 1) / total
    warmup = case.number('warmup')
    return f / warmup if f <= warmup else .5 * (1 + np.cos(np.pi * f))


def main():
    case = Case(sys.argv[1])
    m, bits, classes = case.number('batch_size'), case.number('bits'), case.number('classes')
    features = {'image': case.matrix('image'), 'text': case.matrix('text'), 'label': case.matrix('labels')}
    hidden = {'image': case.number('image_hidden'), 'text': case.number('text_hidden'),
              'label': case.number('label_hidden') or (classes + bits) // 2}
    nets = {name: Net(case[f'before.{name}.parameters'], features[name].shape[1], hidden[name], bits)
            for name in features}
    adams = {name: Adam(case, nets[name].flat().size) for name in features}
    rows_total = len(features['image'])
    steps = rows_total // m
    kept = epoch = 0
    while f'after.{epoch}.terms' in case:
        order = case[f'after.{epoch}.permutation']
        dropout = {name: case[f'after.{epoch}.dropout.{name}'].reshape(steps, m, bits) for name in ('image', 'text')}
        a = {'image': 1, 'text': 1, 'label': np.sqrt(epoch + 1)}
        before = {name: nets[name].flat() for name in nets}
        sums = 0
        for step in range(steps):
            rows = order[step * m:(step + 1) * m]
            labels = features['label'][rows]
            similar = labels @ labels.T > 0
            codes = {}
            for name, net in nets.items():
                h = net.forward(features[name][rows])
                if name in dropout:
                    h = h * dropout[name][step]
                codes[name] = np.tanh(a[name] * h)
            terms, gradients, number = losses(case, codes, similar)
            sums, kept = sums + terms / steps, kept + number
            for name, net in nets.items():
                dh = a[name] * (1 - codes[name] ** 2) * gradients[name]
                if name in dropout:
                    dh = dh * dropout[name][step]
                rate = case.number('learning_rate_' + name) * schedule(
                    case, epoch * steps + step, case.number('epochs') * steps)
                net.set(adams[name].step(net.flat(), net.backward(dh), rate))
        case.compare('loss terms', case[f'after.{epoch}.terms'], sums, 1, 1e-5)
        for name in nets:
            after, adam = nets[name].flat(), adams[name]
            change = np.abs(after - before[name]).max()
            case.compare('weights, of their change', case[f'after.{epoch}.{name}.parameters'], after, change, 1e-3)
            case.compare('first moment', case[f'after.{epoch}.{name}.moment1'], adam.m, np.abs(adam.m).max(), 1e-4)
            case.compare('second moment', case[f'after.{epoch}.{name}.moment2'], adam.v, np.abs(adam.v).max(), 1e-4)
        epoch += 1
    total = epoch * steps * m * m * (9 if case.number('symmetric') else 6)
    print(f'    {epoch} epochs of {steps} steps; mining kept {kept} of {total} pairs')
    assert epoch > 0 and 0 < kept < total
    case.finish()


main()

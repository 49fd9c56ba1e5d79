"""Kernel ridge hashing in float64 NumPy, written from the formulas alone.

usage: reference_kernel_ridge.py FILE     (a case written by test_kernel_ridge)

Each phase starts from what the C side has after the one before, and from its
random choices.  Eigenvectors are compared by the projections they make.
"""
import sys

import numpy as np

from reference import Case, unit

SIDES = ('image', 'text')


class Side:
    """Features of one side: φ(x), as far as the phase before has fitted them."""

    def __init__(self, case, name):
        self.case, self.name = case, name
        self.x = case.matrix(name)
        self.n = min(case.number('anchors'), len(self.x))
        self.u = unit(self.x)
        if self.n:
            self.anchors = self.u[case[name + '.anchors'][:self.n]]
            sample = self.u[case[name + '.sample'][:500]]
            self.width = max(1e-3, case.number('kernel_width') * (2 - 2 * sample @ self.anchors.T).mean())
        g = self.g()
        self.mean = g.mean(axis=0)
        self.factor = 1 / np.sqrt(((g - self.mean) ** 2).sum(axis=1).mean())

    def after(self, phase, what):
        return self.case[f'{self.name}.{phase}.{what}'].astype(np.float64)

    def g(self):
        return np.exp((self.u @ self.anchors.T - 1) / self.width) if self.n else self.u

    def phi(self):
        return (self.g() - self.mean) * self.factor


def check_anchors(case, side):
    if side.n:
        d = side.x.shape[1]
        parameters = side.after(0, 'parameters')
        case.compare('anchors', parameters[:d * side.n].reshape(d, side.n).T, side.anchors, 1, 1e-6)
        case.compare('width', parameters[d * side.n:(d + 1) * side.n], side.width, side.width, 1e-6)
    sample = side.g()[case[side.name + '.sample'][:500]]
    case.compare('centre', side.after(0, 'centre'), sample.mean(axis=0), 1, 1e-5)


def fused(case, sides):
    """√(1−β)·p, √β·q side by side; and F from the C side's eigenvectors."""
    share = (1 - case.number('text_weight'), case.number('text_weight'))
    z = np.hstack([np.sqrt(part) * unit(side.x - side.x.mean(axis=0)) for part, side in zip(share, sides)])
    q = case['omega'].reshape(z.shape[1], -1)
    for _ in range(2):
        q = np.linalg.qr(z.T @ (z @ q))[0]
    w, v = np.linalg.eigh((z @ q).T @ (z @ q) / len(z))
    count = min(case.number('dimensions'), len(w))
    w, v = np.maximum(w[::-1][:count], 0), (q @ v[:, ::-1])[:, :count]
    found = np.vstack([side.after(1, 'subspace').reshape(side.x.shape[1], -1) for side in sides])
    expected = (z @ v) * w ** .25
    case.compare('Z₀·V·w^¼, by its inner products', (z @ found) @ (z @ found).T, expected @ expected.T,
                 np.abs(expected @ expected.T).max(), 1e-4)
    return unit(z @ found)[:, :count]


def target(case, sides):
    classes, mix = case.number('classes'), case.number('label_mix')
    parts = []
    if classes:
        labels = unit(case['labels'].astype(np.float64).reshape(-1, classes))
        parts.append(np.sqrt(1 - mix) * labels)
    if not classes or mix > 0:
        parts.append(np.sqrt(mix if classes else 1) * fused(case, sides))
    z = np.hstack(parts)
    return z - z.mean(axis=0)


def check_sums(case, side, z):
    phi = side.phi()
    n = phi.shape[1]
    case.compare('c', side.after(2, 'factor'), side.factor, side.factor, 1e-5)
    case.compare('mean of g', side.after(2, 'moved') + side.after(2, 'centre'), side.mean, 1, 1e-5)
    gram = phi.T @ phi / len(phi)
    case.compare('φᵀφ/N', np.tril(side.after(2, 'gram').reshape(n, n)), np.tril(gram), np.abs(gram).max(), 1e-5)
    cross = phi.T @ z / len(phi)
    case.compare('φᵀZ/N', side.after(2, 'cross').reshape(n, -1), cross, np.abs(cross).max(), 1e-5)


def check_solution(case, side, z):
    """W from the C side's sums, and what it leaves of Z."""
    n = side.after(2, 'moved').size
    gram = np.tril(side.after(2, 'gram').reshape(n, n))
    gram += np.tril(gram, -1).T
    w = np.linalg.solve(gram + case.number('ridge') * np.eye(n), side.after(2, 'cross').reshape(n, -1))
    found = side.after(3, 'solution').reshape(n, -1)
    case.compare('W', found, w, np.abs(w).max(), 1e-7)
    left = ((z - side.phi() @ found) ** 2).sum() / (z ** 2).sum()
    case.compare('residual', case['terms.3'][SIDES.index(side.name)], left, 1, 1e-4)
    return found


def signs(x):
    return np.where(x > 0, 1.0, -1.0)


def nearest_rotation(m):
    u, _, v = np.linalg.svd(m, full_matrices=False)
    return u @ v


def check_rotation(case, e):
    """P by its projection, R from the C side's P."""
    basis = case['basis'].reshape(case.number('common'), -1)
    w, v = np.linalg.eigh(e.T @ e / len(e))
    v, gap = v[:, ::-1][:, :len(basis)], len(w) == len(basis) or w[-len(basis)] - w[-len(basis) - 1] > 1e-3 * w[-1]
    if gap:
        case.compare('P·Pᵀ', basis.T @ basis, v @ v.T, 1, 1e-2)
    case.compare('variance within P', np.trace(basis @ e.T @ e @ basis.T) / len(e), w[-len(basis):].sum(), w.sum(), 1e-4)
    rows = len(e) // 2
    sample = case['rotated_rows'][:1024]
    h = e[np.concatenate([sample, rows + sample])] @ basis.T
    r = nearest_rotation(case['rotation'].reshape(len(basis), -1))
    for _ in range(case.number('rotations')):
        r = nearest_rotation(h.T @ signs(h @ r))
    found = case['rotated'].reshape(len(basis), -1)
    case.compare('R', found, r, 1, 1e-2)
    turned = h @ found
    case.compare('quantization', case['terms.4'][2], 1 - np.abs(turned).mean() ** 2 / (turned ** 2).mean(), 1, 1e-4)
    return basis.T @ found


def check_network(case, side, w, mixed):
    """The last layer takes g itself."""
    v = side.factor * w @ mixed
    flat = side.after(4, 'parameters')[-(v.size + v.shape[1]):]
    case.compare('V', flat[:v.size].reshape(v.shape), v, np.abs(v).max(), 1e-4)
    case.compare('bias', flat[v.size:], -side.mean @ v, np.abs(v).max(), 1e-4)
    found = side.g() @ flat[:v.size].reshape(v.shape) + flat[v.size:]
    expected = side.phi() @ w @ mixed
    case.compare('outputs', found, expected, np.abs(expected).max(), 1e-3)


def main():
    case = Case(sys.argv[1])
    sides = [Side(case, name) for name in SIDES]
    for side in sides:
        check_anchors(case, side)
    z = target(case, sides)
    assert z.shape[1] == case.number('target')
    for side in sides:
        check_sums(case, side, z)
    w = [check_solution(case, side, z) for side in sides]
    e = np.vstack([unit(side.phi() @ one) for side, one in zip(sides, w)])
    mixed = check_rotation(case, e)
    for side, one in zip(sides, w):
        check_network(case, side, one, mixed)
    case.finish()


main()

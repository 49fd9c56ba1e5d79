"""What the NumPy references share: reading a case, networks in float64, comparison."""
import sys

import numpy as np

TYPES = {'d': np.float64, 'f': np.float32, 'i': np.int32, 'b': np.uint8}


class Case(dict):
    """The values of a file written by test_train_step; numbers also as attributes."""

    def __init__(self, path):
        super().__init__()
        with open(path, 'rb') as file:
            while line := file.readline():
                name, kind, count = line.decode().split()
                self[name] = np.frombuffer(file.read(int(count) * TYPES[kind]().itemsize), TYPES[kind])
        self.worst = {}
        self.failed = False

    def number(self, name):
        value = float(self[name][0])
        return int(value) if value == int(value) else value

    def matrix(self, name):
        return self[name].astype(np.float64).reshape(self.number('rows'), -1)

    def compare(self, what, found, expected, scale, tolerance):
        """Largest difference, relative to scale; remembers the worst of each kind."""
        error = np.abs(np.asarray(found, np.float64) - expected).max() / scale
        self.worst[what] = max(self.worst.get(what, (0, 0))[0], error), tolerance
        if not error <= tolerance:
            print(f'    {what}: error {error:.1e} is beyond {tolerance:.0e}')
            self.failed = True

    def finish(self):
        print('    ' + ', '.join(f'{what} {error:.1e} (≤ {tolerance:.0e})'
                                 for what, (error, tolerance) in self.worst.items()))
        sys.exit(self.failed)


class Net:
    """Layers of (weight [inputs × outputs], bias), split from a flat array."""

    def __init__(self, flat, inputs, hidden, outputs):
        self.layers = []
        flat = flat.astype(np.float64)
        widths = [inputs, hidden, outputs] if hidden else [inputs, outputs]
        for rows, columns in zip(widths, widths[1:]):
            weight, flat = flat[:rows * columns].reshape(rows, columns), flat[rows * columns:]
            bias, flat = flat[:columns], flat[columns:]
            self.layers.append([weight.copy(), bias.copy()])
        assert flat.size == 0

    def flat(self):
        return np.concatenate([part.ravel() for layer in self.layers for part in layer])

    def forward(self, x):
        self.inputs = [x]
        for number, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if number < len(self.layers) - 1:
                x = np.maximum(x, 0)
                self.inputs.append(x)
        return x

    def backward(self, dy):
        """Gradients of weights and biases, one flat array, from dL/d output."""
        parts = []
        for (weight, _), x in zip(self.layers[::-1], self.inputs[::-1]):
            parts = [(x.T @ dy).ravel(), dy.sum(axis=0)] + parts
            dy = (dy @ weight.T) * (x > 0)
        return np.concatenate(parts)

    def set(self, flat):
        self.__init__(flat, self.layers[0][0].shape[0],
                      self.layers[0][0].shape[1] if len(self.layers) == 2 else 0,
                      self.layers[-1][0].shape[1])


def unit(x):
    """Rows at unit length; what is shorter than 1e-12 becomes zero."""
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))
    return np.where(length < 1e-12, 0, x / np.maximum(length, 1e-300))


def unit_backward(x, dy):
    """dL/dx from dL/d unit(x)."""
    length = np.sqrt((x * x).sum(axis=1, keepdims=True))
    y = unit(x)
    return (dy - y * (y * dy).sum(axis=1, keepdims=True)) / length

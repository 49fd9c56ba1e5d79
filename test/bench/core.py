"""The numeric core through its harness (harness.c) and with its profile (profile.c), for NumPy."""
import ctypes
import glob
import os
import re
import subprocess

import numpy as np

FLOATS = ctypes.POINTER(ctypes.c_float)
BYTES = ctypes.POINTER(ctypes.c_uint8)


TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
FLAGS = '-std=gnu99 -O3 -fPIC -shared -fvisibility=hidden -w'.split()
OWN = ('harness.c', 'profile.c')


def wrapped_functions(path):
    """The functions that profile.c has wrappers for."""
    with open(path) as file:
        return sorted(set(re.findall(r'WRAP(?:_VALUE)?\(\w+, (?:\w+, )?(\w+),\s*\(', file.read())) | {'blas_product'})


def build():
    """The core and the harness as build/bench/core.so, compiled as the module is."""
    target = os.path.join(TOP, 'build', 'bench', 'core.so')
    sources = sorted(glob.glob(os.path.join(TOP, 'src', 'core', '*.c')))
    sources += [os.path.join(TOP, 'test', 'bench', name) for name in OWN]
    wrapped = ['-Wl,--wrap=' + name for name in wrapped_functions(sources[-1])]
    headers = glob.glob(os.path.join(TOP, 'include', 'core', '*.h'))
    newest = max(map(os.path.getmtime, sources + headers))
    if not os.path.exists(target) or os.path.getmtime(target) < newest:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        subprocess.run([os.environ.get('CC', 'cc'), *FLAGS, *wrapped, '-I' + os.path.join(TOP, 'include'), '-o', target,
                        *sources, '-ldl', '-lm', '-lpthread'], check=True)
    return target


def load(path=None):
    core = ctypes.CDLL(os.path.abspath(path or os.environ.get('XMHASH_CORE') or build()))
    core.harness_open.restype = ctypes.c_void_p
    core.harness_version.restype = ctypes.c_char_p
    core.harness_permutation.restype = ctypes.POINTER(ctypes.c_int32)
    core.profile_end.restype = ctypes.c_double
    core.profile_bandwidth.restype = ctypes.c_double
    core.harness_load()
    return core


def floats(matrix):
    return matrix.ctypes.data_as(FLOATS)


def doubles(count):
    return (ctypes.c_double * count)()


class Profile:
    """Within `with`: seconds by phase, and the products' operations."""

    def __init__(self, core, timed=True):
        self.core, self.timed = core, timed
        names = (ctypes.c_char_p * 64)()
        self.names = [names[i].decode() for i in range(core.profile_phases(names))]

    def __enter__(self):
        self.core.profile_begin(int(self.timed))
        return self

    def __exit__(self, *_):
        seconds = doubles(len(self.names))
        self.operations = self.core.profile_end(seconds)
        self.seconds = dict(zip(self.names, seconds))


def product_seconds(core, m, n, k, repetitions=7):
    """Of a product [m × k] · [k × n], with the threads set last."""
    seconds = doubles(repetitions)
    core.profile_product(m, n, k, repetitions, seconds)
    return list(seconds)


def vector_product_seconds(core, inputs, outputs, repetitions=101, then=0):
    """Of a matrix and a vector, and of another matrix [then × outputs] and the result; None if there is no such library."""
    seconds = doubles(repetitions)
    return list(seconds) if core.profile_vector_product(inputs, outputs, then, repetitions, seconds) else None


def bandwidth(core, floats, writing=True):
    """Bytes a second over arrays of so many floats: y += a·x, or only read."""
    return core.profile_bandwidth(ctypes.c_size_t(int(floats)), int(writing))


class Session:
    """One training: options, data, epochs, state, codes."""

    def __init__(self, core, method, image, text, labels=None, threads=1,
                 image_sparse=False, text_sparse=False, **options):
        self.core = core
        self.pointer = ctypes.c_void_p(core.harness_open(method.encode(), threads))
        for name, value in options.items():
            known = core.harness_option(self.pointer, name.encode(), ctypes.c_double(value))
            assert known, f'no option {name}'
        image = np.ascontiguousarray(image, np.float32)
        text = np.ascontiguousarray(text, np.float32)
        classes = 0
        pointer = None
        if labels is not None:
            labels = np.ascontiguousarray(labels, np.uint8)
            classes = labels.shape[1]
            pointer = labels.ctypes.data_as(BYTES)
        self.rows = len(image)
        self.bits = int(options.get('bits', 64))
        core.harness_data(self.pointer, len(image), floats(image), image.shape[1], int(image_sparse),
                          floats(text), text.shape[1], int(text_sparse), pointer, classes)

    def fit(self):
        fit = (ctypes.c_double * 7)()
        self.core.harness_fit(self.pointer, fit)
        return dict(zip(('minimum', 'maximum', 'mode', 'sigma', 'b', 'low', 'high'), fit))

    def epoch(self, number):
        loss = ctypes.c_double()
        terms = (ctypes.c_double * 6)()
        finite = self.core.harness_epoch(self.pointer, number, ctypes.byref(loss), terms)
        assert finite, 'the loss is not finite'
        return loss.value, list(terms)

    def permutation(self):
        return np.ctypeslib.as_array(self.core.harness_permutation(self.pointer), (self.rows,)).copy()

    def state(self):
        """Name → view of the array itself: writing to it changes the training."""
        result = {}
        name, data, count = ctypes.c_char_p(), FLOATS(), ctypes.c_size_t()
        while self.core.harness_state(self.pointer, len(result), ctypes.byref(name),
                                      ctypes.byref(data), ctypes.byref(count)):
            result[name.value.decode()] = np.ctypeslib.as_array(data, (count.value,))
        return result

    def dropout(self, epoch, step, text, shape):
        factors = np.empty(shape, np.float32)
        self.core.harness_dropout(self.pointer, epoch, step, int(text), factors.size, floats(factors))
        return factors

    def encode(self, modality, matrix):
        """Codes as 0/1, [rows × bits]."""
        matrix = np.ascontiguousarray(matrix, np.float32)
        codes = np.empty((len(matrix), (self.bits + 7) // 8), np.uint8)
        self.core.harness_encode(self.pointer, int(modality == 'text'), floats(matrix),
                                 len(matrix), codes.ctypes.data_as(BYTES))
        return np.unpackbits(codes, axis=1)[:, :self.bits]

    def encode_seconds(self, modality, matrix, batch, sparse=False, repetitions=5):
        """To encode all rows, so many at a time; each repetition."""
        matrix = np.ascontiguousarray(matrix, np.float32)
        seconds = doubles(repetitions)
        self.core.harness_encode_seconds(self.pointer, int(modality == 'text'), floats(matrix), len(matrix),
                                         int(sparse), batch, repetitions, seconds)
        return list(seconds)

    def reorder(self, seed):
        """Hand the rows out in another order from now on."""
        self.core.harness_reorder(self.pointer, ctypes.c_int64(seed))

    def close(self):
        self.core.harness_close(self.pointer)


PHASES = 5    # of kernel ridge hashing, instead of epochs

# What goes by a name of its own: the method, and its options
VARIANTS = {
    'dmsh_ln_linear': ('dmsh_ln', {'image_hidden': 0, 'text_hidden': 0}),    # as in the paper
    'kernel_ridge_labels': ('kernel_ridge', {}),
}


def trained(core, part, method, continuation=True, **options):
    """A session trained to its end on (images, texts, labels), scaled already.

    kernel_ridge_labels is kernel_ridge guided by the labels, dmsh_ln_linear has no hidden layers.
    Sparse texts are trained on as such.  continuation=False: tanh as in the first epoch.
    """
    image, text, labels = part
    plain, own = VARIANTS.get(method, (method, {}))
    labelled = plain == 'dmsh_ln' or method == 'kernel_ridge_labels'
    session = Session(core, plain, image, text, labels if labelled else None,
                      text_sparse=(text != 0).mean() < .25, **{**own, **options})
    session.fit()
    for epoch in range(int(options.get('epochs', PHASES))):
        if not continuation:
            session.reorder(epoch)
        session.epoch(epoch if continuation else 0)
    return session

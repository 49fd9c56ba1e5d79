"""The contestant that is hard to beat where everything must be read: one array (array.c).

The module's own kernels over all codes in one array, called from this process.  With POPCNT
it is the yardstick of an exhaustive search in a library that is compiled for this
processor; Debian's FAISS is compiled for every x86-64, and does not have that instruction.
With the widest kernel it is what this processor can do.
"""
import ctypes
import os
import tempfile
import time

import numpy as np

import kernels

PIECES = ['hamming*.c']
library = None


def load():
    """Compiled once a run; the file may go when it is loaded."""
    global library
    if library is None:
        with tempfile.TemporaryDirectory() as folder:
            library = ctypes.CDLL(kernels.compiled('array', PIECES, folder, ['-shared', '-fPIC']))
    return library


def pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


class Array:
    name = 'one array'
    library = True

    def __init__(self, case):
        self.case = case
        names = (ctypes.c_char_p * 8)()
        count = load().array_kernels(names)
        known = [name.decode() for name in names[:count]]
        chosen = sorted({known.index('popcnt') if 'popcnt' in known else 0, count - 1})
        self.variants = tuple((known[number], number) for number in chosen)
        self.words = case.bits // 64

    def make_table(self):
        """Nothing to load: the codes are here."""

    def build(self, limit):
        return None, None

    def search(self, kernel, query, k):
        ids, distances = np.empty(k, np.int32), np.empty(k, np.int32)
        found = library.array_search(kernel, pointer(query), pointer(self.case.codes), self.words,
                                     len(self.case.codes), k, pointer(ids), pointer(distances))
        return distances[:found]

    def times(self, variant, k, arguments):
        """Microseconds of each call."""
        result = []
        for code in arguments:
            query = np.ascontiguousarray(self.case.packed(code))
            start = time.perf_counter()
            self.search(variant, query, k)
            result.append((time.perf_counter() - start) * 1e6)
        return result

    def distances(self, variant, k, queries):
        return [self.search(variant, np.ascontiguousarray(query), k).tolist() for query in self.case.queries[:queries]]

    def pages(self, variant, k, queries):
        return None, None

    def drop(self):
        """Nothing was made."""


PEERS = {'array': Array}

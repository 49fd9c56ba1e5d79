"""Contestants in FAISS, called from this process, one thread a search.

Times are those of one call with one query: no server, no connection, no visibility of
rows.  IndexBinaryFlat reads everything and is exact; the yardstick of the ratios.
"""
import math
import threading
import time

import server

try:
    import faiss
except ImportError:
    faiss = None

PIECE = 10000    # codes added between two looks at the clock


class Library:
    library = True
    variants = (('', None),)
    index = None

    def __init__(self, case):
        self.case = case

    def make_table(self):
        """Nothing to load: the codes are here."""

    def build(self, limit):
        faiss.omp_set_num_threads(1)
        start = time.perf_counter()
        self.index = self.make_index(len(self.case.codes), self.case.bits)
        if not self.index.is_trained:
            self.index.train(self.case.codes)
        for first in range(0, len(self.case.codes), PIECE):
            self.index.add(self.case.codes[first:first + PIECE])
            if time.perf_counter() - start > limit:
                raise server.TooLong(f'was not built in {limit:g} s')
        return time.perf_counter() - start, faiss.serialize_index_binary(self.index).nbytes if self.countable() else None

    def countable(self):
        """Serialized the index may take as much memory again."""
        return len(self.case.codes) <= 1000000

    def choose(self, variant):
        pass

    def times(self, variant, k, arguments):
        """Microseconds of each call."""
        self.choose(variant)
        result = []
        for code in arguments:
            query = self.case.packed(code)
            start = time.perf_counter()
            self.index.search(query, k)
            result.append((time.perf_counter() - start) * 1e6)
        return result

    def rate(self, variant, k, arguments, seconds, clients):
        """Queries a second of as many threads, each with queries of its own."""
        self.choose(variant)
        queries = [self.case.packed(code) for code in arguments]
        done = [0] * clients
        end = time.perf_counter() + seconds

        def search(thread):
            faiss.omp_set_num_threads(1)    # a setting of each thread
            while time.perf_counter() < end:
                self.index.search(queries[done[thread] % len(queries)], k)
                done[thread] += 1
        start = time.perf_counter()
        threads = [threading.Thread(target=search, args=(thread,)) for thread in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - start)

    def distances(self, variant, k, queries):
        self.choose(variant)
        found, numbers = self.index.search(self.case.queries[:queries], k)
        return [distances[rows >= 0].tolist() for distances, rows in zip(found, numbers)]

    def pages(self, variant, k, queries):
        return None, None

    def drop(self):
        self.index = None


class Flat(Library):
    name = 'FAISS IndexBinaryFlat'

    def make_index(self, rows, bits):
        return faiss.IndexBinaryFlat(bits)

    def range_seconds(self, queries, radius):
        start = time.perf_counter()
        self.index.range_search(queries, radius + 1)
        return time.perf_counter() - start


class Hnsw(Library):
    name = 'FAISS IndexBinaryHNSW'
    variants = tuple((f'efSearch {ef}', ef) for ef in (16, 128))

    def make_index(self, rows, bits):
        return faiss.IndexBinaryHNSW(bits, 16)

    def choose(self, variant):
        self.index.hnsw.efSearch = variant


class MultiHash(Library):
    name = 'FAISS IndexBinaryMultiHash'
    variants = tuple((f'4 × 16 bits, nflip {flips}', flips) for flips in (0, 1))

    def make_index(self, rows, bits):
        return faiss.IndexBinaryMultiHash(bits, 4, 16)

    def choose(self, variant):
        self.index.nflip = variant


class Ivf(Library):
    name = 'FAISS IndexBinaryIVF'
    variants = tuple((f'nprobe {probes}', probes) for probes in (8, 64))

    def make_index(self, rows, bits):
        self.coarse = faiss.IndexBinaryFlat(bits)
        return faiss.IndexBinaryIVF(self.coarse, bits, math.isqrt(rows))

    def choose(self, variant):
        self.index.nprobe = variant


PEERS = {'flat': Flat, 'faiss_hnsw': Hnsw, 'multihash': MultiHash, 'faiss_ivf': Ivf}

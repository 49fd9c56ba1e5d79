"""Contestants inside PostgreSQL: xmhash, the sequential scans, pgvector.

A contestant has a table of its own, with the same rows.  Variants are settings of a
search; each is (name, settings of the session).  All but pgvector's are exact.
"""
import math

import server


class Table:
    """A contestant in a table: search by `ORDER BY distance LIMIT k`."""
    method, type = None, 'bitcode'
    library = False
    variants = (('', ()),)
    settings = ()
    build_settings = ()

    def __init__(self, case):
        self.case = case
        self.table = 'codes'
        self.index = None

    def literal(self, code):
        return f"'x{code}'::bitcode"

    def distance(self, query):
        return f'code <~> {query}'

    def make_table(self):
        """A copy of the rows, so that contestants' indexes don't meet in one table."""
        if self.table == 'codes':
            return
        bits = self.case.bits
        server.psql(f'CREATE TABLE {self.table} AS SELECT id, code::{self.type}({bits}) AS code FROM codes ORDER BY id;'
                    f'VACUUM ANALYZE {self.table};')

    def index_options(self):
        return ''

    def build(self, limit):
        """Seconds and bytes of the index; None without one."""
        if not self.method:
            return None, None
        seconds = server.seconds(f'CREATE INDEX {self.index} ON {self.table} USING {self.method} '
                                 f'(code {self.operator_class}) {self.index_options()}', self.session(self.build_settings), limit)
        server.psql(f'VACUUM ANALYZE {self.table}')
        return seconds, int(server.psql(f"SELECT pg_relation_size('{self.index}')"))

    def session(self, variant):
        return ''.join(f'SET {name} = {value};\n' for name, value in (*self.settings, *variant))

    def nearest(self, query, k, what='id'):
        return f'SELECT {what} FROM {self.table} ORDER BY {self.distance(query)} LIMIT {k}'

    def times(self, variant, k, arguments):
        """Microseconds inside the server."""
        prepare = f'PREPARE q({self.type}) AS {self.nearest("$1", k)}'
        return server.explained(prepare, [self.literal(code) for code in arguments], self.session(variant), 120)

    def through_connection(self, variant, k, arguments, transactions, clients):
        """Microseconds through a connection, and queries a second."""
        options = ' '.join(f'-c {name}={value}' for name, value in (*self.settings, *variant))
        return server.pgbench([self.nearest(self.literal(code), k) for code in arguments], transactions, clients, options)

    def distances(self, variant, k, queries):
        """Lists of the answers' distances, for the first so many queries."""
        output = server.psql(
            self.session(variant) +
            f'SELECT array_agg(d ORDER BY d) FROM queries q LEFT JOIN LATERAL (SELECT {self.distance(self.query_code())} AS d '
            f'FROM {self.table} ORDER BY {self.distance(self.query_code())} LIMIT {k}) n ON true '
            f'WHERE q.id < {queries} GROUP BY q.id ORDER BY q.id', 300)
        return [[float(word) for word in line.strip('{}').split(',') if word != 'NULL'] for line in output.split()]

    def query_code(self):
        return 'q.code'

    def drop(self):
        if self.table != 'codes':
            server.psql(f'DROP TABLE IF EXISTS {self.table}')

    def pages(self, variant, k, queries):
        """What a search reads, and of how many pages; only xmhash says."""
        return None, None


class Sequential(Table):
    """`ORDER BY code <~> q` without an index."""
    name = 'sequential scan'
    settings = (('enable_indexscan', 'off'),)


class Xmhash(Table):
    name, method, operator_class = 'xmhash', 'xmhash', ''
    settings = (('enable_seqscan', 'off'),)

    def __init__(self, case):
        super().__init__(case)
        self.index = 'codes_xmhash'

    def pages(self, variant, k, queries):
        output = server.psql(
            self.session(variant) +
            f'SELECT count(*) FROM queries q, LATERAL ({self.nearest(self.query_code(), k)}) n WHERE q.id < {queries};'
            'SELECT pages_read::float8 / scans, data_pages FROM xmhash_last_scan()').split()
        read, all_pages = output[1].split('|')
        return float(read), int(all_pages)


class BitCount(Table):
    """What core has: `ORDER BY bit_count(code # q)` on bit(n)."""
    name, type = 'bit_count(code # q)', 'bit'

    def __init__(self, case):
        super().__init__(case)
        self.table = 'codes_bit'

    def literal(self, code):
        return f"X'{code}'"

    def distance(self, query):
        return f'bit_count(code # {query})'

    def query_code(self):
        return f'q.code::bit({self.case.bits})'


class Pgvector(BitCount):
    operator_class = 'bit_hamming_ops'
    settings = (('enable_seqscan', 'off'),)
    build_settings = (('maintenance_work_mem', "'2GB'"),)    # else the graph is built in two phases, the second slow

    def __init__(self, case):
        super().__init__(case)
        self.table = f'codes_{self.method}'
        self.index = f'{self.table}_index'

    def distance(self, query):
        return f'code <~> {query}'


class Hnsw(Pgvector):
    name, method = 'pgvector HNSW', 'hnsw'
    variants = tuple((f'ef_search {ef}', (('hnsw.ef_search', ef),)) for ef in (40, 200, 800))


class Ivfflat(Pgvector):
    name, method = 'pgvector IVFFlat', 'ivfflat'
    variants = tuple((f'probes {probes}', (('ivfflat.probes', probes),)) for probes in (10, 50))

    def index_options(self):
        rows = len(self.case.codes)
        return f'WITH (lists = {max(10, rows // 1000 if rows <= 1000000 else math.isqrt(rows))})'


PEERS = {'xmhash': Xmhash, 'sequential': Sequential, 'bit_count': BitCount, 'hnsw': Hnsw, 'ivfflat': Ivfflat}

"""Retrieval: xmhash beside what else finds nearest codes, on the same codes in one run.

For each set, number of bits and number of rows: every contestant is built, then they take
turns, round after round, with the same queries.  One core each; everything cached.

build_seconds, ratio_btree   CREATE INDEX, one process, alone and over a btree's on the same codes
inside_us        microseconds of a search, median of the queries: inside the server by
                 EXPLAIN ANALYZE of a prepared statement, in FAISS around the call
ratio_flat       the same over FAISS IndexBinaryFlat's in the same round
ratio_array      the same over reading one array with POPCNT, see peers_array.py
p50_us … p99_us  through a local connection, by pgbench's log
ratio_p50_flat   the median of these over the same yardstick
qps_1, qps_2     queries a second of one and two clients (of FAISS: threads)
recall           share of the k answers that are no farther than the true k-th nearest
pages            read by a search on the average, of so many

Values are medians over the rounds, ± half the range.
ONLY= chooses among: searches, and what limits.py and writes.py measure.
"""
import collections
import statistics

import chosen
import limits
import peers_array
import peers_faiss
import peers_sql
import server
import sets
import writes

PEERS = {**peers_sql.PEERS, **peers_array.PEERS, **peers_faiss.PEERS}
# Of each turn: seconds inside, through a connection, looping; rows inserted; different queries.
FULL = {'bits': (64, 128, 256), 'rows': (100000, 1000000, 10000000), 'sets': sets.SETS, 'neighbours': (10, 1, 100),
        'variants': 3, 'rounds': 3, 'inside': .5, 'connection': 1, 'loop': 1.5, 'inserts': 30000, 'queries': 100}
QUICK = {'bits': (64,), 'rows': (10000,), 'sets': ('clustered', 'jdsh'), 'neighbours': (10,),
         'variants': 1, 'rounds': 2, 'inside': .1, 'connection': .3, 'loop': .2, 'inserts': 3000, 'queries': 50}


class Truth:
    """What the searches are to find, computed here: the least distances of some queries."""

    def __init__(self, case, queries, most):
        queries = max(10, min(queries, 100000000 // len(case.codes)))    # fewer of larger sets
        self.distances = [sets.nearest_distances(case.codes, query, most) for query in case.queries[:queries]]

    def recall(self, found, k):
        """Share of the answers no farther than the true k-th; answers that are missing count against."""
        return statistics.mean(sum(distance <= truth[min(k, len(truth)) - 1] for distance in distances[:k]) / min(k, len(truth))
                               for distances, truth in zip(found, self.distances))


class Search:
    """One contestant with one variant and one k, over the rounds."""

    def __init__(self, peer, words, variant, k):
        self.peer, self.variant, self.k = peer, variant, k
        self.what = f'{peer.name}{", " if words else ""}{words}'
        self.figures = collections.defaultdict(list)

    def prepare(self, case, plan, truth):
        """Once: warm up, see how many queries there is time for, and judge the answers."""
        self.peer.times(self.variant, self.k, case.arguments[:3])
        took = statistics.median(self.peer.times(self.variant, self.k, case.arguments[:3])) / 1e6
        self.transactions = limits.transactions(plan, took)
        self.count = int(max(3, min(len(case.arguments), plan['inside'] / took)))
        judged = int(max(3, min(len(truth.distances), 5 / took)))
        self.recall = truth.recall(self.peer.distances(self.variant, self.k, judged), self.k)
        self.pages, self.all_pages = self.peer.pages(self.variant, self.k, min(200, max(3, self.count)))

    def turn(self, case, plan):
        inside = self.peer.times(self.variant, self.k, case.arguments[:self.count])
        self.figures['inside_us'].append(statistics.median(inside))
        arguments = case.arguments[:plan['queries']]
        if self.peer.library:
            for clients in (1, 2) if self.k == plan['neighbours'][0] and hasattr(self.peer, 'rate') else ():
                rate = self.peer.rate(self.variant, self.k, arguments, plan['inside'], clients)
                self.figures[f'qps_{clients}'].append(rate)
            return
        for clients in (1, 2) if self.k == plan['neighbours'][0] else (1,):
            times, rate = self.peer.through_connection(self.variant, self.k, arguments, self.transactions, clients)
            self.figures[f'qps_{clients}'].append(rate)
            if clients == 1:
                for share in (50, 95, 99):
                    self.figures[f'p{share}_us'].append(limits.percentile(times, share / 100))

    def row(self, report, flat, array):
        figures = {name: report.Measured(values) for name, values in self.figures.items()}
        base, read = [other and report.Measured(other.figures['inside_us']) for other in (flat, array)]
        report.row('retrieval: searches', self.what, k=self.k, inside_us=figures['inside_us'],
                   ratio_flat=base and figures['inside_us'].over(base),
                   ratio_array=read and figures['inside_us'].over(read),
                   p50_us=figures.get('p50_us'), p95_us=figures.get('p95_us'), p99_us=figures.get('p99_us'),
                   ratio_p50_flat=None if self.peer.library or not base else figures['p50_us'].over(base),
                   qps_1=figures.get('qps_1'), qps_2=figures.get('qps_2'), recall=round(self.recall, 4),
                   pages=self.pages, of_pages=self.all_pages)


def build_btree(report, case):
    """The yardstick of builds, taken away again."""
    seconds = server.seconds('CREATE INDEX codes_btree ON codes (code)')
    size = int(server.psql("SELECT pg_relation_size('codes_btree'); DROP INDEX codes_btree;"))
    report.row('retrieval: builds', 'btree', build_seconds=seconds, ratio_btree=1, bytes=size,
               bytes_a_row=size / len(case.codes))
    return seconds


def build(report, case, peers, limit):
    """The contestants that are there, built; what each build took."""
    built = []
    btree = None
    for key in peers:
        peer = PEERS[key](case)
        try:
            peer.make_table()
            if btree is None:
                btree = build_btree(report, case)
            seconds, size = peer.build(limit)
        except server.Failed as failure:
            report.skip(peer.name, str(failure))
            peer.drop()
            continue
        if seconds is not None:
            report.row('retrieval: builds', peer.name, build_seconds=seconds, ratio_btree=seconds / btree,
                       bytes=size, bytes_a_row=size and size / len(case.codes))
        built.append(peer)
    return built


def compare(report, case, built, plan):
    """Rounds in which all take turns."""
    truth = Truth(case, plan['queries'], max(plan['neighbours']))
    for k in plan['neighbours']:
        searches = []
        for peer in built:
            for words, variant in peer.variants[:plan['variants']]:
                search = Search(peer, words, variant, k)
                try:
                    search.prepare(case, plan, truth)
                    searches.append(search)
                except server.Failed as failure:
                    report.skip(f'{search.what}, k = {k}', str(failure))
        for _ in range(plan['rounds']):
            for search in list(searches):
                try:
                    search.turn(case, plan)
                except server.Failed as failure:
                    searches.remove(search)
                    report.skip(f'{search.what}, k = {k}', str(failure))
        flat = next((search for search in searches if isinstance(search.peer, peers_faiss.Flat)), None)
        array = next((search for search in searches if isinstance(search.peer, peers_array.Array)), None)
        for search in searches:
            search.row(report, flat, array)


def present(report, wanted, lengths):
    """Those of the contestants that can take part; the others are skipped with a word."""
    wanted = set(wanted)
    unknown = wanted - set(PEERS)
    if unknown:
        raise SystemExit(f'there is no contestant {", ".join(sorted(unknown))}; there are {", ".join(PEERS)}')
    if 'array' in wanted and any(length % 64 for length in lengths):
        report.skip('one array', 'for codes of whole 64 bits')
        wanted -= {'array'}
    if wanted & set(peers_faiss.PEERS) and peers_faiss.faiss is None:
        report.skip('FAISS, and with it all ratios to it', 'not installed here; apt-get install python3-faiss')
        wanted -= set(peers_faiss.PEERS)
    if wanted & {'hnsw', 'ivfflat'} and not server.create_extension('vector'):
        report.skip('pgvector', 'not installed on this server; see PGVECTOR in test/bench/README.md')
        wanted -= {'hnsw', 'ivfflat'}
    return [key for key in PEERS if key in wanted]


def beside(settings, first):
    """What is measured beside searches: everything; in a quick run of the first set only."""
    return (*chosen.LIMITS, *chosen.WRITES) if first or not settings.quick else ()


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    for name in ('bits', 'rows', 'sets', 'rounds', 'neighbours'):
        plan[name] = getattr(settings, name) or plan[name]
    peers = present(report, settings.peers or PEERS, plan['bits'])
    for bits in plan['bits']:
        for rows in plan['rows']:
            for name in plan['sets']:
                report.common(set=name, bits=bits, rows=rows, **sets.source(name, settings))
                case = sets.make(name, bits, rows, settings)
                case.load()
                built = build(report, case, peers, settings.limit)
                if not settings.only or 'searches' in settings.only:
                    compare(report, case, built, plan)
                only = set(settings.only or beside(settings, name == plan['sets'][0]))
                limits.run(report, case, built, plan, only)
                writes.run(report, case, built, plan, only, settings.limit)
                for peer in built:
                    peer.drop()
    server.remove()

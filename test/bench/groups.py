"""Near-duplicates: groups of all rows, the pairs by an index, and a constraint that refuses them.

Seconds of xmhash_duplicate_groups by radius; of the self-join that looks up each row's
neighbours by an index on the same codes (pairs only: it leaves the components to be found);
and of inserting with an index on the codes, and with the constraint on balls about them.
"""
import server
import sets
from report import Measured

FULL = {'sets': ('clustered', 'uniform', 'jdsh'), 'bits': (64,), 'rows': (100000, 1000000), 'radius': (0, 2, 4, 8),
        'rounds': 3, 'joined': 20000, 'inserted': 20000}
QUICK = {'sets': ('clustered', 'uniform'), 'bits': (64,), 'rows': (20000,), 'radius': (0, 4), 'rounds': 1,
         'joined': 2000, 'inserted': 2000}


def rounds(plan, statement):
    return [server.seconds(statement) for _ in range(plan['rounds'])]


def measure_groups(report, case, plan):
    rows = len(case.codes)
    joined = min(plan['joined'], rows)
    server.psql('CREATE INDEX codes_code ON codes USING xmhash (code); VACUUM ANALYZE codes;')
    for radius in plan['radius']:
        call = f"SELECT count(*) || ' ' || count(DISTINCT group_id) FROM xmhash_duplicate_groups('codes', 'id', 'code', {radius})"
        members, groups = server.psql(call).split()
        function = Measured(rounds(plan, call))
        # The rows are loaded in no order, so the first of them stand for all.
        join = Measured([rows / joined * took for took in rounds(
            plan, 'SET enable_seqscan = off; SELECT count(*) FROM codes a JOIN codes b '
            f'ON hamming_within(b.code, a.code, {radius}) AND b.id > a.id WHERE a.id < {joined}')])
        report.row('groups', f'radius {radius}', members=int(members), groups=int(groups), seconds=function,
                   join_seconds=join, ratio_join=function.over(join))


def measure_constraint(report, case, plan):
    inserted = min(plan['inserted'], len(case.codes) // 2)
    tables = {'index': ('', 'CREATE INDEX ON kept USING xmhash (code);'),
              'constraint': (', EXCLUDE USING xmhash (hamming_ball(code, 2) WITH <@>)', '')}
    took = {}
    for name, (constraint, index) in tables.items():
        server.psql(f'CREATE TABLE kept (id int, code bitcode({case.bits}){constraint}); {index}'
                    f'INSERT INTO kept SELECT * FROM codes WHERE id >= {inserted} ON CONFLICT DO NOTHING;'
                    'VACUUM ANALYZE kept;')
        took[name] = server.seconds(f'INSERT INTO kept SELECT * FROM codes WHERE id < {inserted} ON CONFLICT DO NOTHING')
        kept = int(server.psql('SELECT count(*) FROM kept'))
        server.psql('DROP TABLE kept;')
    report.row('constraint', f'radius 2, {inserted:,} more rows', kept=kept, constraint_us=took['constraint'] / inserted * 1e6,
               index_us=took['index'] / inserted * 1e6, ratio_index=took['constraint'] / took['index'])


def run(report, settings):
    plan = dict(QUICK if settings.quick else FULL)
    for name in ('sets', 'bits', 'rows', 'rounds'):
        plan[name] = getattr(settings, name) or plan[name]
    for bits in plan['bits']:
        for rows in plan['rows']:
            for name in plan['sets']:
                report.common(set=name, bits=bits, rows=rows, **sets.source(name, settings))
                case = sets.make(name, bits, rows, settings)
                case.load()
                measure_groups(report, case, plan)
                measure_constraint(report, case, plan)
    server.remove()

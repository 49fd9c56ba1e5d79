"""The distance kernels against the speed of memory (bench_hamming.c).

A million codes in one array, every instruction set that the processor has: ns a code of a
search that finds nothing ("within") and of all distances, as ratios to a loop that merely
reads the array; then one page of the index.  Medians of 21 rounds (quick: 3) in one process.
"""
import glob
import os
import re
import subprocess
import tempfile

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))

ARRAY = re.compile(r'(\d+) bits +(\w+) +within +(\S+) ns/code +(\S+) GB/s +(\S+) x reading +'
                   r'distances +(\S+) ns/code +(\S+) x reading +reading +(\S+) GB/s')
PAGE = re.compile(r'(\d+) bits +(\w+) +page of +(\d+) codes: no hit +(\S+) ns +the nearest +(\S+) ns +all hits +(\S+) ns')


def compiled(name, sources, folder, flags=()):
    """A C program (or library) of this folder, compiled with the sources of the module that it measures."""
    program = os.path.join(folder, name)
    paths = [os.path.join(TOP, 'test', 'bench', name + '.c')]
    for source in sources:
        paths += sorted(glob.glob(os.path.join(TOP, 'src', 'core', source)))
    subprocess.run([os.environ.get('CC', 'cc'), '-std=gnu11', '-O3', *flags, '-I' + os.path.join(TOP, 'include'),
                    *paths, '-ldl', '-lm', '-lpthread', '-o', program], check=True)
    return program


def run(report, settings):
    with tempfile.TemporaryDirectory() as folder:
        program = compiled('bench_hamming', ['hamming*.c'], folder)
        output = subprocess.run([program, '3' if settings.quick else '21'], capture_output=True, text=True,
                                check=True, timeout=300).stdout
    for found in ARRAY.finditer(output):
        bits, kernel, *numbers = found.groups()
        within, speed, within_ratio, distances, distances_ratio, reading = map(float, numbers)
        report.row('kernels', f'{kernel}, {bits} bits, 1 M codes in one array', ns_within=within, gigabytes_a_second=speed,
                   ratio_reading=within_ratio, ns_distances=distances, ratio_distances_reading=distances_ratio,
                   reading_gigabytes_a_second=reading)
    for found in PAGE.finditer(output):
        bits, kernel, codes, *numbers = found.groups()
        nothing, nearest, everything = map(float, numbers)
        report.row('kernels', f'{kernel}, {bits} bits, a page of {codes} codes', ns_no_hit=nothing, ns_nearest=nearest,
                   ns_all_hits=everything)

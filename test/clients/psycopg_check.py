# What psycopg_example.py shows, on codes of many lengths: every way in and out
# gives the same; what is wrong is refused with the right SQLSTATE.
import random
import sys

import numpy
import psycopg

from psycopg_example import Code, CodeDumper, register_code

seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10**6)
print("seed", seed)
random.seed(seed)
passed = failed = 0


def check(name, good):
    global passed, failed
    passed, failed = passed + bool(good), failed + (not good)
    if not good:
        print("FAILED:", name)


def refused(connection, sqlstate, query, *parameters, **how):
    try:
        with connection.transaction():
            connection.execute(query, parameters, **how)
    except psycopg.Error as error:
        return error.sqlstate == sqlstate
    return False


with psycopg.connect(autocommit=True) as connection:
    register_code(connection)
    binary = connection.cursor(binary=True)
    for size in [1, 2, 7, 8, 9, 16, 32, 128, 2048] + [random.randrange(1, 2049) for _ in range(20)]:
        code = Code(random.randbytes(size))
        digits = "".join(format(byte, "08b") for byte in code)
        check(f"{size} bytes in and out, binary", binary.execute("SELECT %b::bitcode", (code,)).fetchone() == (code,))
        check(f"{size} bytes in, digits out", connection.execute("SELECT %b::bitcode", (code,)).fetchone() == (digits,))
        check(f"{size} bytes, digits in, binary out", binary.execute("SELECT %s::bitcode", (digits,)).fetchone() == (code,))
        check(f"{size} bytes, hexadecimal in", binary.execute("SELECT %s::bitcode", ("x" + code.hex(),)).fetchone() == (code,))
        other = Code(random.randbytes(size))
        distance = sum((a ^ b).bit_count() for a, b in zip(code, other))
        check(f"{size} bytes, distance", connection.execute("SELECT %s <~> %s", (code, other)).fetchone() == (distance,))
        # The type of a result is Code, so it goes in again.
        check(f"{size} bytes, type", type(binary.execute("SELECT %b::bitcode", (code,)).fetchone()[0]) is Code)

    check("NULL", binary.execute("SELECT %s::bitcode, %s::bitcode", (None, Code(b"\1"))).fetchone() == (None, Code(b"\1")))
    check("arrays", binary.execute("SELECT ARRAY[%s, %s]", (Code(b"\1\2"), Code(b"\3\4"))).fetchone() == ([Code(b"\1\2"), Code(b"\3\4")],))
    check("numpy's bits", connection.execute("SELECT %s::bitcode", (Code(numpy.packbits([1, 0, 0, 0, 0, 0, 1, 1])),)).fetchone() == ("10000011",))
    check("features", connection.execute("SELECT %s::real[]::bitcode", ([0.5, -1.0, 0.0],)).fetchone() == ("100",))

    connection.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
    with connection.cursor().copy("COPY picture FROM STDIN (FORMAT binary)") as copy:
        copy.set_types(["int4", "bitcode"])
        for number in range(2000):
            copy.write_row((number, Code(number.to_bytes(2, "big"))))
    connection.execute("CREATE INDEX ON picture USING xmhash (code)")
    connection.execute("SET enable_seqscan = off")
    # Prepared by the server, with a plan for any code.
    connection.execute("SET plan_cache_mode = force_generic_plan")
    for number in random.sample(range(2000), 20):
        rows = connection.execute("SELECT id FROM picture ORDER BY code <~> %s LIMIT 1", (Code(number.to_bytes(2, "big")),), prepare=True).fetchall()
        check(f"nearest to {number}", rows == [(number,)])
        rows = binary.execute("SELECT id, code FROM picture WHERE hamming_within(code, %s, %s)", (Code(number.to_bytes(2, "big")), 2), prepare=True).fetchall()
        near = [n for n in range(2000) if (n ^ number).bit_count() <= 2]
        check(f"within 2 of {number}", sorted(rows) == [(n, n.to_bytes(2, "big")) for n in near])
    with connection.cursor().copy("COPY (SELECT id, code FROM picture ORDER BY id) TO STDOUT (FORMAT binary)") as copy:
        copy.set_types(["int4", "bitcode"])
        check("COPY out", list(copy.rows()) == [(n, n.to_bytes(2, "big")) for n in range(2000)])

    check("length of the column", refused(connection, "22026", "INSERT INTO picture VALUES (1, %s)", Code(b"\1")))
    check("length of the query", refused(connection, "22026", "SELECT FROM picture WHERE code <~> %s > 3", Code(b"\1\2\3")))
    check("no digits", refused(connection, "22P02", "SELECT %s::bitcode", "0120"))
    check("no code", refused(connection, "22026", "SELECT %s::bitcode", ""))
    check("empty", refused(connection, "22026", "SELECT %b::bitcode", Code(b"")))

    # The wire itself: the number of bits, the bytes, nothing in the last one's rest.
    class Wire(bytes):
        pass

    class WireDumper(CodeDumper):
        def dump(self, wire):
            return wire

    WireDumper.oid = CodeDumper.oid
    connection.adapters.register_dumper(Wire, WireDumper)
    check("three bits", connection.execute("SELECT %b::bitcode", (Wire(b"\0\0\0\3\xa0"),)).fetchone() == ("101",))
    check("more than three bits", refused(connection, "22P03", "SELECT %b::bitcode", Wire(b"\0\0\0\3\xa1")))
    check("too few bytes", refused(connection, "08P01", "SELECT %b::bitcode", Wire(b"\0\0\0\x09\xa1")))
    check("too many bytes", refused(connection, "22P03", "SELECT %b::bitcode", Wire(b"\0\0\0\3\xa0\0")))

print(f"psycopg: {passed} passed, {failed} failed")
sys.exit(failed > 0)

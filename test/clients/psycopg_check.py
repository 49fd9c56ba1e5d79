# What psycopg_example.py shows, on codes of many lengths: every way in and out
# gives the same; what is wrong is refused with the right SQLSTATE.
import random

import numpy
import psycopg

from checks import check, digits, distance, finish, sizes
from psycopg_example import BinaryDumper, Code, register_code


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
    for size in sizes():
        code, other = Code(random.randbytes(size)), Code(random.randbytes(size))
        check(f"{size} bytes in and out, binary", binary.execute("SELECT %b::bitcode", (code,)).fetchone() == (code,))
        check(f"{size} bytes in and out, text", connection.execute("SELECT %t::bitcode", (code,)).fetchone() == (code,))
        check(f"{size} bytes in, digits out", connection.execute("SELECT (%b::bitcode)::text", (code,)).fetchone() == (digits(code),))
        check(f"{size} bytes, digits in, binary out", binary.execute("SELECT %s::bitcode", (digits(code),)).fetchone() == (code,))
        check(f"{size} bytes, hexadecimal in", binary.execute("SELECT %s::bitcode", ("x" + code.hex(),)).fetchone() == (code,))
        check(f"{size} bytes, distance", connection.execute("SELECT %s <~> %s", (code, other)).fetchone() == (distance(code, other),))
        # The type of a result is Code, so it goes in again.
        check(f"{size} bytes, type", type(binary.execute("SELECT %b::bitcode", (code,)).fetchone()[0]) is Code)
        check(f"{size} bytes, type, from text", type(connection.execute("SELECT %b::bitcode", (code,)).fetchone()[0]) is Code)
        # As the client would paste it into a statement: what Django does.
        check(f"{size} bytes, as a literal", psycopg.sql.Literal(code).as_string(connection).startswith(f"'x{code.hex()}'"))

    connection.execute("SET xmhash.bitcode_output = 'hex'")
    check("hexadecimal out", connection.execute("SELECT 'xCAFE'::bitcode").fetchone() == (b"\xca\xfe",))
    connection.execute("RESET xmhash.bitcode_output")
    for cursor in binary, connection.cursor():
        try:
            cursor.execute("SELECT '101'::bitcode").fetchone()
            check("three bits out", False)
        except ValueError:
            check("three bits out", True)
    check("NULL", binary.execute("SELECT %s::bitcode, %s::bitcode", (None, Code(b"\1"))).fetchone() == (None, Code(b"\1")))
    check("arrays, text", connection.execute("SELECT ARRAY[%s, NULL]", (Code(b"\1\2"),)).fetchone() == ([Code(b"\1\2"), None],))
    check("arrays", binary.execute("SELECT ARRAY[%s, %s]", (Code(b"\1\2"), Code(b"\3\4"))).fetchone() == ([Code(b"\1\2"), Code(b"\3\4")],))
    check("numpy's bits", connection.execute("SELECT %s::bitcode", (Code(numpy.packbits([1, 0, 0, 0, 0, 0, 1, 1])),)).fetchone() == (b"\x83",))
    check("features", connection.execute("SELECT %s::real[]::bitcode::text", ([0.5, -1.0, 0.0],)).fetchone() == ("100",))

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

    class WireDumper(BinaryDumper):
        oid = connection.adapters.types["bitcode"].oid

        def dump(self, wire):
            return wire

    connection.adapters.register_dumper(Wire, WireDumper)
    check("three bits", connection.execute("SELECT (%b::bitcode)::text", (Wire(b"\0\0\0\3\xa0"),)).fetchone() == ("101",))
    check("more than three bits", refused(connection, "22P03", "SELECT %b::bitcode", Wire(b"\0\0\0\3\xa1")))
    check("too few bytes", refused(connection, "08P01", "SELECT %b::bitcode", Wire(b"\0\0\0\x09\xa1")))
    check("too many bytes", refused(connection, "22P03", "SELECT %b::bitcode", Wire(b"\0\0\0\3\xa0\0")))

finish("psycopg")

# What psycopg2_example.py shows, on codes of many lengths: every way in and out
# gives the same; what is wrong is refused with the right SQLSTATE.
import io
import random
import struct

import numpy
import psycopg2

from checks import check, digits, distance, finish, sizes
from psycopg2_example import Code, register_code

connection = psycopg2.connect("")
connection.autocommit = True
cursor = connection.cursor()
register_code(connection)


def one(query, *parameters):
    cursor.execute(query, parameters)
    return cursor.fetchone()[0]


def refused(sqlstate, query, *parameters):
    try:
        cursor.execute(query, parameters)
    except psycopg2.Error as error:
        return error.pgcode == sqlstate
    return False


for size in sizes():
    code, other = Code(random.randbytes(size)), Code(random.randbytes(size))
    check(f"{size} bytes in and out", one("SELECT %s", code) == code)
    check(f"{size} bytes, type", type(one("SELECT %s", code)) is Code)
    check(f"{size} bytes in, digits out", one("SELECT %s::text", code) == digits(code))
    check(f"{size} bytes, digits in", one("SELECT %s::bitcode", digits(code)) == code)
    check(f"{size} bytes, distance", one("SELECT %s <~> %s", code, other) == distance(code, other))

cursor.execute("SET xmhash.bitcode_output = 'hex'")
check("hexadecimal out", one("SELECT 'xCAFE'::bitcode") == b"\xca\xfe")
cursor.execute("RESET xmhash.bitcode_output")
check("NULL", one("SELECT %s::bitcode", None) is None)
check("arrays", one("SELECT %s", [Code(b"\1\2"), None, Code(b"\3\4")]) == [Code(b"\1\2"), None, Code(b"\3\4")])
check("empty array", one("SELECT %s::bitcode[]", []) == [])
check("numpy's bits", one("SELECT %s", Code(numpy.packbits([1, 0, 0, 0, 0, 0, 1, 1]))) == b"\x83")
check("features", one("SELECT %s::real[]::bitcode::text", [0.5, -1.0, 0.0]) == "100")
try:
    one("SELECT '101'::bitcode")
    check("three bits out", False)
except ValueError:
    check("three bits out", True)

cursor.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
# COPY's binary format, which psycopg2 passes on as it is: the number of columns, and each with its size.
wire = b"".join(struct.pack("!hiiii", 2, 4, number, 6, 16) + number.to_bytes(2, "big") for number in range(2000))
cursor.copy_expert("COPY picture FROM STDIN (FORMAT binary)", io.BytesIO(b"PGCOPY\n\xff\r\n\0" + bytes(8) + wire + b"\xff\xff"))
cursor.execute("CREATE INDEX ON picture USING xmhash (code)")
cursor.execute("SET enable_seqscan = off")
for number in random.sample(range(2000), 20):
    code = Code(number.to_bytes(2, "big"))
    check(f"nearest to {number}", one("SELECT id FROM picture ORDER BY code <~> %s LIMIT 1", code) == number)
    cursor.execute("SELECT id, code FROM picture WHERE hamming_within(code, %s, %s)", (code, 2))
    near = [n for n in range(2000) if (n ^ number).bit_count() <= 2]
    check(f"within 2 of {number}", sorted(cursor.fetchall()) == [(n, n.to_bytes(2, "big")) for n in near])
output = io.StringIO()
cursor.copy_expert("COPY (SELECT id, code FROM picture ORDER BY id) TO STDOUT", output)
check("COPY out", output.getvalue() == "".join(f"{n}\t{n:016b}\n" for n in range(2000)))

check("length of the column", refused("22026", "INSERT INTO picture VALUES (1, %s)", Code(b"\1")))
check("length of the query", refused("22026", "SELECT FROM picture WHERE code <~> %s > 3", Code(b"\1\2\3")))
check("no digits", refused("22P02", "SELECT %s::bitcode", "0120"))
check("no code", refused("22026", "SELECT %s::bitcode", ""))
check("empty", refused("22026", "SELECT %s", Code(b"")) or refused("22P02", "SELECT %s", Code(b"")))

finish("psycopg2")

# Codes with psycopg 3: as text without further ado; as bytes in the binary
# format by an adapter of a few lines.  Connects as libpq's environment says.
import struct

import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo


class Code(bytes):
    """A code of a multiple of 8 bits, eight to a byte, the first bit highest, as numpy.packbits gives them."""


class CodeDumper(Dumper):
    format = Format.BINARY

    def dump(self, code):
        return struct.pack("!i", 8 * len(code)) + code


class CodeLoader(Loader):
    format = Format.BINARY

    def load(self, data):
        return Code(data[4:])


def register_code(connection):
    info = TypeInfo.fetch(connection, "bitcode")
    info.register(connection)
    CodeDumper.oid = info.oid
    connection.adapters.register_dumper(Code, CodeDumper)
    connection.adapters.register_loader(info.oid, CodeLoader)


if __name__ == "__main__":
    with psycopg.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")

        # Text: digits, or hexadecimal digits after an x.
        connection.execute("INSERT INTO picture VALUES (%s, %s), (%s, %s)", (1, "xCAFE", 2, "1100101011111111"))
        print(connection.execute("SELECT id, code FROM picture ORDER BY code <~> %s", ("xCAFF",)).fetchall())

        # Binary.
        register_code(connection)
        connection.execute("INSERT INTO picture VALUES (%s, %s)", (3, Code(b"\x00\xff")))
        cursor = connection.cursor(binary=True)
        print(cursor.execute("SELECT id, code FROM picture ORDER BY code <~> %s", (Code(b"\xca\xff"),)).fetchall())

        # Bulk loading, binary too.
        with connection.cursor().copy("COPY picture FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "bitcode"])
            for number in range(4, 1004):
                copy.write_row((number, Code(number.to_bytes(2, "big"))))
        print(connection.execute("SELECT count(*) FROM picture WHERE hamming_within(code, %s, 1)", (Code(b"\x01\xff"),)).fetchone()[0])

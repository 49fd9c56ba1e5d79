import struct

import numpy
import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types import TypeInfo


class Code(bytes):
    """A code of a multiple of 8 bits, eight to a byte, the first bit highest, as numpy.packbits gives them."""


class TextDumper(Dumper):
    def dump(self, code):
        return b"x" + code.hex().encode()


class BinaryDumper(Dumper):
    format = Format.BINARY

    def dump(self, code):
        return struct.pack("!i", 8 * len(code)) + code


class TextLoader(Loader):
    def load(self, data):
        text = bytes(data).decode()
        return Code.fromhex(text[1:]) if text[0] == "x" else Code(int(text, 2).to_bytes(whole_bytes(len(text)), "big"))


class BinaryLoader(Loader):
    format = Format.BINARY

    def load(self, data):
        whole_bytes(*struct.unpack_from("!i", data))
        return Code(data[4:])


def whole_bytes(bits):
    if bits % 8:
        raise ValueError(f"a code of {bits} bits does not fill its bytes; select it as text")
    return bits // 8


def register_code(connection):
    info = TypeInfo.fetch(connection, "bitcode")
    info.register(connection)
    for dumper in TextDumper, BinaryDumper:
        connection.adapters.register_dumper(Code, type(dumper.__name__, (dumper,), {"oid": info.oid}))
    for loader in TextLoader, BinaryLoader:
        connection.adapters.register_loader(info.oid, loader)


if __name__ == "__main__":
    with psycopg.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
        connection.execute("CREATE INDEX ON picture USING xmhash (code)")

        # Text: digits, or hexadecimal digits after an x.
        connection.execute("INSERT INTO picture VALUES (%s, %s), (%s, %s)", (1, "xCAFE", 2, "1100101011111111"))
        print(connection.execute("SELECT id, code FROM picture ORDER BY code <~> %s", ("xCAFF",)).fetchall())

        # Bytes.  The cursor's results are in the binary format, or in text: they look the same.
        register_code(connection)
        connection.execute("INSERT INTO picture VALUES (%s, %s), (4, %s)", (3, Code(b"\x00\xff"), None))
        cursor = connection.cursor(binary=True)
        print(cursor.execute("SELECT id, code FROM picture ORDER BY code <~> %s LIMIT 3", (Code(b"\xca\xff"),)).fetchall())

        # Bulk loading, binary too.
        with connection.cursor().copy("COPY picture FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "bitcode"])
            for number in range(5, 1005):
                copy.write_row((number, Code(number.to_bytes(2, "big"))))
        print(connection.execute("SELECT count(*) FROM picture WHERE hamming_within(code, %s, 1)", (Code(b"\x01\xff"),)).fetchone()[0])

        # Arrays of codes, both ways.
        codes = [Code(b"\xca\xfe"), Code(b"\x00\xff")]
        print(cursor.execute("SELECT array_agg(code ORDER BY id) FROM picture WHERE code = ANY (%s)", (codes,)).fetchone()[0])

        # numpy, both ways: bits that are packed, and unpacked.
        code = Code(numpy.packbits(numpy.array([-0.5, 2, 0.1, 7] * 4) > 0))
        found = cursor.execute("SELECT code FROM picture ORDER BY code <~> %s LIMIT 1", (code,)).fetchone()[0]
        print(numpy.unpackbits(numpy.frombuffer(found, numpy.uint8)))

import io

import numpy
import psycopg2
from psycopg2.extensions import AsIs, new_array_type, new_type, register_adapter, register_type


class Code(bytes):
    """A code of a multiple of 8 bits, eight to a byte, the first bit highest, as numpy.packbits gives them."""


def load_code(text, cursor):
    if text is None:
        return None
    if text[0] == "x":
        return Code.fromhex(text[1:])
    if len(text) % 8:
        raise ValueError(f"a code of {len(text)} bits does not fill its bytes; select it as text")
    return Code(int(text, 2).to_bytes(len(text) // 8, "big"))


def register_code(connection):
    with connection.cursor() as cursor:
        cursor.execute("SELECT oid, typarray, typnamespace::regnamespace::text FROM pg_type WHERE oid = 'bitcode'::regtype")
        oid, array_oid, schema = cursor.fetchone()
    # The cast matters in arrays, which would be arrays of text.
    register_adapter(Code, lambda code: AsIs(f"'x{code.hex()}'::{schema}.bitcode"))
    code_type = new_type((oid,), "BITCODE", load_code)
    register_type(code_type, connection)
    register_type(new_array_type((array_oid,), "BITCODE[]", code_type), connection)


if __name__ == "__main__":
    connection = psycopg2.connect("")
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
        cursor.execute("CREATE INDEX ON picture USING xmhash (code)")

        # Text: digits, or hexadecimal digits after an x.
        cursor.execute("INSERT INTO picture VALUES (%s, %s), (%s, %s)", (1, "xCAFE", 2, "1100101011111111"))
        cursor.execute("SELECT id, code FROM picture ORDER BY code <~> %s", ("xCAFF",))
        print(cursor.fetchall())

        # Bytes.
        register_code(connection)
        cursor.execute("INSERT INTO picture VALUES (%s, %s), (4, %s)", (3, Code(b"\x00\xff"), None))
        cursor.execute("SELECT id, code FROM picture ORDER BY code <~> %s LIMIT 3", (Code(b"\xca\xff"),))
        print(cursor.fetchall())

        # Bulk loading: COPY reads what you write into a file.
        lines = "".join(f"{number}\tx{number:04x}\n" for number in range(5, 1005))
        cursor.copy_expert("COPY picture FROM STDIN", io.StringIO(lines))
        cursor.execute("SELECT count(*) FROM picture WHERE hamming_within(code, %s, 1)", (Code(b"\x01\xff"),))
        print(cursor.fetchone()[0])

        # Arrays of codes, both ways.
        cursor.execute("SELECT array_agg(code ORDER BY id) FROM picture WHERE code = ANY (%s)", ([Code(b"\xca\xfe"), Code(b"\x00\xff")],))
        print(cursor.fetchone()[0])

        # numpy, both ways: bits that are packed, and unpacked.
        code = Code(numpy.packbits(numpy.array([-0.5, 2, 0.1, 7] * 4) > 0))
        cursor.execute("SELECT code FROM picture ORDER BY code <~> %s LIMIT 1", (code,))
        print(numpy.unpackbits(numpy.frombuffer(cursor.fetchone()[0], numpy.uint8)))

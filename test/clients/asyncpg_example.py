import asyncio
import struct

import asyncpg
import numpy


class Code(bytes):
    """A code of a multiple of 8 bits, eight to a byte, the first bit highest, as numpy.packbits gives them."""


def encode_code(code):
    return struct.pack("!i", 8 * len(code)) + code


def decode_code(data):
    (bits,) = struct.unpack_from("!i", data)
    if bits % 8:
        raise ValueError(f"a code of {bits} bits does not fill its bytes; select it as text")
    return Code(data[4:])


async def register_code(connection):
    """For one connection; for those of a pool: asyncpg.create_pool(…, init=register_code)."""
    schema = await connection.fetchval("SELECT nspname FROM pg_type JOIN pg_namespace AS n ON n.oid = typnamespace WHERE pg_type.oid = 'bitcode'::regtype")
    await connection.set_type_codec("bitcode", schema=schema, encoder=encode_code, decoder=decode_code, format="binary")


async def main():
    connection = await asyncpg.connect()
    await connection.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
    await connection.execute("CREATE INDEX ON picture USING xmhash (code)")

    # Text: digits, or hexadecimal digits after an x.
    await connection.execute("INSERT INTO picture VALUES ($1, $2), ($3, $4)", 1, "xCAFE", 2, "1100101011111111")
    print([tuple(row) for row in await connection.fetch("SELECT id, code FROM picture ORDER BY code <~> $1", "xCAFF")])

    # Bytes, in the binary format.
    await register_code(connection)
    await connection.execute("INSERT INTO picture VALUES ($1, $2), (4, $3)", 3, Code(b"\x00\xff"), None)
    print([tuple(row) for row in await connection.fetch("SELECT id, code FROM picture ORDER BY code <~> $1 LIMIT 3", Code(b"\xca\xff"))])

    # Bulk loading.  This is COPY in the binary format, and needs the codec.
    await connection.copy_records_to_table("picture", records=[(number, Code(number.to_bytes(2, "big"))) for number in range(5, 1005)])
    print(await connection.fetchval("SELECT count(*) FROM picture WHERE hamming_within(code, $1, 1)", Code(b"\x01\xff")))

    # Arrays of codes, both ways.
    codes = [Code(b"\xca\xfe"), Code(b"\x00\xff")]
    print(await connection.fetchval("SELECT array_agg(code ORDER BY id) FROM picture WHERE code = ANY ($1)", codes))

    # numpy, both ways: bits that are packed, and unpacked.
    code = Code(numpy.packbits(numpy.array([-0.5, 2, 0.1, 7] * 4) > 0))
    found = await connection.fetchval("SELECT code FROM picture ORDER BY code <~> $1 LIMIT 1", code)
    print(numpy.unpackbits(numpy.frombuffer(found, numpy.uint8)))
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())

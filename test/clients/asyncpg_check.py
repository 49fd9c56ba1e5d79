# What asyncpg_example.py shows, on codes of many lengths: every way in and out
# gives the same; what is wrong is refused with the right SQLSTATE.
import asyncio
import io
import random

import asyncpg
import numpy

from asyncpg_example import Code, register_code
from checks import check, digits, distance, finish, sizes


async def main():
    connection = await asyncpg.connect()

    async def refused(sqlstate, query, *parameters):
        try:
            await connection.execute(query, *parameters)
        except asyncpg.PostgresError as error:
            return error.sqlstate == sqlstate
        return False

    check("digits in and out, without a codec", await connection.fetchval("SELECT $1::bitcode", "xCAFE") == digits(b"\xca\xfe"))
    await register_code(connection)
    one = connection.fetchval
    for size in sizes():
        code, other = Code(random.randbytes(size)), Code(random.randbytes(size))
        check(f"{size} bytes in and out", await one("SELECT $1::bitcode", code) == code)
        check(f"{size} bytes, type", type(await one("SELECT $1::bitcode", code)) is Code)
        check(f"{size} bytes in, digits out", await one("SELECT $1::bitcode::text", code) == digits(code))
        check(f"{size} bytes, digits in", await one("SELECT $1::text::bitcode", digits(code)) == code)
        check(f"{size} bytes, distance", await one("SELECT $1::bitcode <~> $2", code, other) == distance(code, other))

    check("NULL", await one("SELECT $1::bitcode", None) is None)
    codes = [Code(b"\1\2"), None, Code(b"\3\4")]
    check("arrays", await one("SELECT $1::bitcode[]", codes) == codes)
    check("empty array", await one("SELECT $1::bitcode[]", []) == [])
    check("numpy's bits", await one("SELECT $1::bitcode", Code(numpy.packbits([1, 0, 0, 0, 0, 0, 1, 1]))) == b"\x83")
    check("features", await one("SELECT $1::real[]::bitcode::text", [0.5, -1.0, 0.0]) == "100")
    try:
        await one("SELECT '101'::bitcode")
        check("three bits out", False)
    except ValueError:
        check("three bits out", True)

    await connection.execute("CREATE TEMPORARY TABLE picture (id int, code bitcode(16))")
    rows = [(number, Code(number.to_bytes(2, "big"))) for number in range(2000)]
    await connection.copy_records_to_table("picture", records=rows[:1000])
    await connection.executemany("INSERT INTO picture VALUES ($1, $2)", rows[1000:])
    await connection.execute("CREATE INDEX ON picture USING xmhash (code)")
    await connection.execute("SET enable_seqscan = off")
    # asyncpg prepares and keeps its statements: here with a plan for any code.
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    for number in random.sample(range(2000), 20):
        code = Code(number.to_bytes(2, "big"))
        check(f"nearest to {number}", await one("SELECT id FROM picture ORDER BY code <~> $1 LIMIT 1", code) == number)
        found = await connection.fetch("SELECT id, code FROM picture WHERE hamming_within(code, $1, $2)", code, 2)
        near = [n for n in range(2000) if (n ^ number).bit_count() <= 2]
        check(f"within 2 of {number}", sorted(tuple(row) for row in found) == [(n, n.to_bytes(2, "big")) for n in near])
    output = io.BytesIO()
    await connection.copy_from_query("SELECT id, code FROM picture ORDER BY id", output=output)
    check("COPY out", output.getvalue().decode() == "".join(f"{n}\t{n:016b}\n" for n in range(2000)))

    check("length of the column", await refused("22026", "INSERT INTO picture VALUES (1, $1)", Code(b"\1")))
    check("length of the query", await refused("22026", "SELECT FROM picture WHERE code <~> $1 > 3", Code(b"\1\2\3")))
    check("no digits", await refused("22P02", "SELECT $1::text::bitcode", "0120"))
    check("empty", await refused("22026", "SELECT $1::bitcode", Code(b"")))

    pool = await asyncpg.create_pool(min_size=2, max_size=2, init=register_code)
    async with pool.acquire() as first, pool.acquire() as second:
        both = [await each.fetchval("SELECT $1::bitcode", Code(b"\xca\xfe")) for each in (first, second)]
    check("a pool", both == [b"\xca\xfe"] * 2)
    await pool.close()
    await connection.close()
    finish("asyncpg")


asyncio.run(main())

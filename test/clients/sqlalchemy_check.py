# What sqlalchemy_example.py shows, with every driver that is installed: codes of many
# lengths in and out, operators, DDL and reflection; and Alembic's migrations, from
# an empty database to one that differs in nothing and back.
import contextlib
import io
import os
import random
import shutil
import tempfile
import warnings
from pathlib import Path

import alembic
import numpy
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, func, inspect, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY

import psycopg2_example
from checks import check, digits, distance, finish, sizes
from sqlalchemy_example import Base, Bitcode, connect_engine

# A type that is not known to it is only warned of.
warnings.simplefilter("error", sqlalchemy.exc.SAWarning)
print("SQLAlchemy", sqlalchemy.__version__)


def drivers():
    yield "postgresql+psycopg2://", psycopg2_example
    if sqlalchemy.__version__ >= "2":
        with contextlib.suppress(ImportError):
            import psycopg_example

            yield "postgresql+psycopg://", psycopg_example


def refused(connection, sqlstate, statement):
    try:
        with connection.begin_nested():
            connection.execute(statement)
    except sqlalchemy.exc.DBAPIError as error:
        return getattr(error.orig, "pgcode", None) == sqlstate or getattr(error.orig, "sqlstate", None) == sqlstate
    return False


def check_driver(url, driver):
    Code, name = driver.Code, driver.__name__
    engine = connect_engine(url, driver.register_code)
    table = Table(
        "sqlalchemy_check",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("code", Bitcode(16), index=True),
        Column("codes", ARRAY(Bitcode(16))),
        Column("any_length", Bitcode),
    )
    next(iter(table.indexes)).dialect_options["postgresql"]["using"] = "xmhash"
    table.drop(engine, checkfirst=True)
    table.create(engine)
    with engine.begin() as connection:
        for number, size in enumerate(sizes()):
            code, other = Code(random.randbytes(size)), Code(random.randbytes(size))
            connection.execute(table.insert(), {"id": -number - 1, "any_length": code})
            found = connection.execute(
                select(table.c.any_length, table.c.any_length.hamming_distance(other), table.c.any_length.hamming_within(other, size))
                .where(table.c.any_length == code)).one()
            check(f"{name}, {size} bytes", tuple(found) == (code, distance(code, other), distance(code, other) <= size) and type(found[0]) is Code)
            # Digits are as good as bytes.
            found = connection.scalar(select(table.c.any_length).where(table.c.any_length.hamming_within(digits(code), 0)))
            check(f"{name}, {size} bytes, digits in", found == code)
        table_of = [Code(number.to_bytes(2, "big")) for number in range(1000)]
        connection.execute(table.insert(), [{"id": number, "code": code, "codes": [code, None]} for number, code in enumerate(table_of)])
        connection.execute(table.insert(), {"id": 1000})
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for number in random.sample(range(1000), 20):
            by_distance = select(table.c.id).where(table.c.code.isnot(None)).order_by(table.c.code.hamming_distance(table_of[number])).limit(1)
            check(f"{name}, nearest to {number}", connection.scalar(by_distance) == number)
            near = [n for n in range(1000) if (n ^ number).bit_count() <= 2]
            within = select(table.c.id).where(table.c.code.hamming_within(table_of[number], 2))
            check(f"{name}, within 2 of {number}", sorted(connection.scalars(within)) == near)
        plan = "\n".join(connection.scalars(text("EXPLAIN SELECT id FROM sqlalchemy_check ORDER BY code <~> 'xCAFE' LIMIT 1")))
        check(f"{name}, the index is used", "ix_sqlalchemy_check_code" in plan)
        one = select(table.c.code, table.c.codes).where(table.c.id == 7)
        check(f"{name}, arrays out", tuple(connection.execute(one).one()) == (b"\0\7", [b"\0\7", None]))
        connection.execute(table.update().where(table.c.id == 8).values(codes=[Code(b"\1\1"), Code(b"\2\2")]))
        check(f"{name}, arrays in", connection.scalar(select(table.c.codes).where(table.c.id == 8)) == [b"\1\1", b"\2\2"])
        any_of = select(func.count()).where(table.c.code.in_([table_of[1], table_of[2], Code(b"\xff\xff")]))
        check(f"{name}, IN", connection.scalar(any_of) == 2)
        check(f"{name}, NULL", tuple(connection.execute(select(table.c.code, table.c.codes).where(table.c.id == 1000)).one()) == (None, None))
        check(f"{name}, numpy", connection.scalar(select(literal(Code(numpy.packbits([1, 0, 0, 0, 0, 0, 1, 1])), Bitcode(8)))) in (b"\x83", "10000011"))
        join = table.alias()
        pairs = select(func.count()).select_from(table).join(join, table.c.code.hamming_within(join.c.code, 0))
        check(f"{name}, a column as the other side", connection.scalar(pairs) == 1000)
        check(f"{name}, length", refused(connection, "22026", table.insert().values(id=2000, code=Code(b"\1"))))
    reflected = Table("sqlalchemy_check", MetaData(), autoload_with=engine)
    check(f"{name}, reflection", isinstance(reflected.c.code.type, Bitcode) and reflected.c.code.type.length == 16)
    check(f"{name}, reflection without a length", isinstance(reflected.c.any_length.type, Bitcode) and reflected.c.any_length.type.length is None)
    check(f"{name}, reflection of an array", isinstance(reflected.c.codes.type, ARRAY) and isinstance(reflected.c.codes.type.item_type, Bitcode))
    check(f"{name}, reflection of the index", next(iter(reflected.indexes)).dialect_options["postgresql"]["using"] == "xmhash")
    # What was reflected makes the same table again.
    reflected.drop(engine)
    reflected.create(engine)
    again = Table("sqlalchemy_check", MetaData(), autoload_with=engine)
    check(f"{name}, DDL from reflection", [str(c.type) for c in again.columns] == [str(c.type) for c in reflected.columns] and len(again.indexes) == 1)
    again.drop(engine)
    engine.dispose()


def check_migrations():
    print("Alembic", alembic.__version__)
    server = create_engine("postgresql+psycopg2://", isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS alembic_check"))
        connection.execute(text("CREATE DATABASE alembic_check"))
    url = f"postgresql+psycopg2://{os.environ['PGUSER']}@/alembic_check?host={os.environ['PGHOST']}&port={os.environ['PGPORT']}"
    engine = create_engine(url)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        config = Config(Path(folder, "alembic.ini"))
        command.init(config, str(Path(folder, "migrations")))
        shutil.copy(Path(__file__).parent / "alembic_env.py", Path(folder, "migrations/env.py"))
        config.set_main_option("script_location", str(Path(folder, "migrations")))
        config.set_main_option("sqlalchemy.url", url)

        def proposed():
            """What autogenerate would write, without writing it."""
            operations = []

            def keep(context, revision, directives):
                operations.extend(directives[0].upgrade_ops.as_diffs())
                directives[:] = []

            command.revision(config, autogenerate=True, process_revision_directives=keep)
            return operations

        command.revision(config, "pictures", autogenerate=True)
        (path,) = Path(folder, "migrations/versions").glob("*.py")
        migration = path.read_text()
        check("Alembic: the migration's type", "Column('code', Bitcode(length=16)" in migration and "import Bitcode" in migration)
        check("Alembic: the migration's array", "ARRAY(Bitcode(length=16))" in migration)
        check("Alembic: the migration's index", "postgresql_using='xmhash'" in migration and "postgresql_with={'bands': 2}" in migration)
        # The one line to write by hand.
        head, body = migration.split("def upgrade()")
        line, body = body.split("\n", 1)
        path.write_text(f'{head}def upgrade(){line}\n    op.execute("CREATE EXTENSION IF NOT EXISTS xmhash")\n{body}')
        command.upgrade(config, "head")
        index = inspect(engine).get_indexes("picture")[0]
        check("Alembic: the index is made", index["dialect_options"].get("postgresql_using") == "xmhash" and index["name"] == "picture_code")
        check("Alembic: nothing more to do", proposed() == [])
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE a_model OF xmhash_model"))
        check("Alembic: a model is left alone", proposed() == [])
        with engine.begin() as connection:
            connection.execute(text("DROP INDEX picture_code"))
        operations = proposed()
        check("Alembic: a missing index is found", [operation[0] for operation in operations] == ["add_index"])
        check("Alembic: and is to be made by xmhash", operations[0][1].dialect_options["postgresql"]["using"] == "xmhash")
        with engine.begin() as connection:
            connection.execute(text("CREATE INDEX picture_code ON picture USING xmhash (code) WITH (bands = 2)"))
            connection.execute(text("ALTER TABLE picture ALTER COLUMN code TYPE bitcode(8) USING NULL"))
        operations = proposed()
        check("Alembic: another length is found", len(operations) == 1 and operations[0][0][0] == "modify_type")
        with engine.begin() as connection:
            connection.execute(text("ALTER TABLE picture ALTER COLUMN code TYPE bitcode(16) USING NULL"))
        command.downgrade(config, "base")
        check("Alembic: and back", not inspect(engine).has_table("picture"))
    engine.dispose()
    with server.connect() as connection:
        connection.execute(text("DROP DATABASE alembic_check"))


for url, driver in drivers():
    check_driver(url, driver)
check_migrations()
finish("SQLAlchemy")

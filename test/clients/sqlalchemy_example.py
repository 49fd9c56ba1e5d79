import numpy
from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, create_engine, event, func, insert, literal, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.sql import ClauseElement
from sqlalchemy.types import UserDefinedType

from psycopg2_example import Code, register_code


class Bitcode(UserDefinedType):
    """Column type bitcode(length).  Values are what the driver makes of codes: see there."""

    cache_ok = True

    def __init__(self, length=None):
        self.length = None if length is None else int(length)

    def get_col_spec(self, **options):
        return "bitcode" if self.length is None else f"bitcode({self.length})"

    class Comparator(UserDefinedType.Comparator):
        def hamming_distance(self, code):
            return self.op("<~>", return_type=Integer())(code)

        def hamming_within(self, code, radius):
            code = code if isinstance(code, ClauseElement) else literal(code, self.type)
            return func.hamming_within(self.expr, code, radius, type_=Boolean())

    comparator_factory = Comparator


# For reflection: a column that is found in the database is a Bitcode, not a NullType.
ischema_names["bitcode"] = Bitcode

Base = declarative_base()


class Picture(Base):
    __tablename__ = "picture"
    id = Column(Integer, primary_key=True)
    code = Column(Bitcode(16))
    variants = Column(ARRAY(Bitcode(16)))
    __table_args__ = (Index("picture_code", code, postgresql_using="xmhash", postgresql_with={"bands": 2}),)


def connect_engine(url="postgresql+psycopg2://", register_code=register_code):
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def connected(connection, record):
        register_code(connection)
        connection.rollback()

    return engine


def main():
    with create_engine("postgresql+psycopg2://").begin() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS xmhash"))
    engine = connect_engine()
    Base.metadata.create_all(engine)

    with Session(engine) as session:
        session.add_all([
            Picture(id=1, code="xCAFE"),
            Picture(id=2, code=Code(b"\xca\xff"), variants=[Code(b"\xca\xfe"), Code(b"\0\0")]),
            Picture(id=3),
        ])
        session.commit()

        # The three nearest, and those within a radius.
        distance = Picture.code.hamming_distance(Code(b"\xca\xff"))
        print(session.execute(select(Picture.id, Picture.code, distance).order_by(distance).limit(3)).all())
        print(session.scalars(select(Picture.id).where(Picture.code.hamming_within("xCAFC", 1))).all())
        print(session.get(Picture, 2).variants)

        # Many at once.
        session.execute(insert(Picture), [{"id": number, "code": Code(number.to_bytes(2, "big"))} for number in range(5, 1005)])
        print(session.scalar(select(func.count()).where(Picture.code.hamming_within(Code(b"\x01\xff"), 1))))

        # numpy, both ways: bits that are packed, and unpacked.
        code = Code(numpy.packbits(numpy.array([-0.5, 2, 0.1, 7] * 4) > 0))
        found = session.scalar(select(Picture.code).order_by(Picture.code.hamming_distance(code)).limit(1))
        print(numpy.unpackbits(numpy.frombuffer(found, numpy.uint8)))
        session.commit()

    # What is in the database already, without a class for it.
    reflected = Table("picture", MetaData(), autoload_with=engine)
    print(reflected.c.code.type, reflected.c.variants.type, [index.dialect_options["postgresql"]["using"] for index in reflected.indexes])
    Base.metadata.drop_all(engine)


if __name__ == "__main__":
    main()

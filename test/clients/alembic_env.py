# Alembic's env.py.  What a program of yours needs of it is render_item and include_name.
from alembic import context
from sqlalchemy import create_engine, pool, text

from sqlalchemy_example import Base, Bitcode


def render_item(kind, item, autogen_context):
    """A migration imports the type that it names."""
    if kind == "type" and isinstance(item, Bitcode):
        autogen_context.imports.add("from sqlalchemy_example import Bitcode")
        return repr(item)
    return False


engine = create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=pool.NullPool)
with engine.connect() as connection:
    # Trained models are tables too, which no class stands for.
    models = {name for (name,) in connection.execute(text("SELECT relname FROM pg_class WHERE reloftype = to_regtype('xmhash_model')"))}

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        render_item=render_item,
        include_name=lambda name, kind, parents: not (kind == "table" and name in models),
    )
    with context.begin_transaction():
        context.run_migrations()

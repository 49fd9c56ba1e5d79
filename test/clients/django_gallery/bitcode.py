"""Codes in Django: a field, a lookup, a distance, an index, and the extension in a migration."""

from django.contrib.postgres.indexes import PostgresIndex
from django.contrib.postgres.operations import CreateExtension
from django.db import models
from django.db.backends.signals import connection_created

try:
    from django.db.backends.postgresql.psycopg_any import is_psycopg3
except ImportError:  # before Django 4.2
    is_psycopg3 = False
if is_psycopg3:
    from psycopg_example import Code, register_code
else:
    from psycopg2_example import Code, register_code


class BitcodeField(models.Field):
    """Column type bitcode(length).  Values are what the driver makes of codes: see there."""

    description = "A binary code"

    def __init__(self, *args, length=None, **kwargs):
        self.length = length
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        return name, path, args, kwargs if self.length is None else {**kwargs, "length": self.length}

    def db_type(self, connection):
        return "bitcode" if self.length is None else f"bitcode({self.length})"

    def value_to_string(self, instance):
        """For dumpdata; loaddata hands it to the database as text."""
        code = self.value_from_object(instance)
        return f"x{code.hex()}" if isinstance(code, bytes) else code


@BitcodeField.register_lookup
class HammingWithin(models.Lookup):
    """filter(code__within=(code, radius))"""

    lookup_name = "within"
    prepare_rhs = False

    def as_sql(self, compiler, connection):
        lhs, parameters = self.process_lhs(compiler, connection)
        return f"hamming_within({lhs}, %s, %s)", [*parameters, *self.rhs]


class HammingDistance(models.Func):
    """order_by(HammingDistance("code", code))"""

    arg_joiner = " <~> "
    template = "(%(expressions)s)"
    output_field = models.IntegerField()

    def __init__(self, expression, code, **extra):
        if not hasattr(code, "resolve_expression"):
            code = models.Value(code, output_field=BitcodeField())
        super().__init__(expression, code, **extra)


class XmhashIndex(PostgresIndex):
    suffix = "xmhash"

    def __init__(self, *expressions, bands=None, **kwargs):
        self.bands = bands
        super().__init__(*expressions, **kwargs)

    def deconstruct(self):
        path, args, kwargs = super().deconstruct()
        return path, args, kwargs if self.bands is None else {**kwargs, "bands": self.bands}

    def get_with_params(self):
        return [] if self.bands is None else [f"bands = {self.bands}"]


class XmhashExtension(CreateExtension):
    """The first operation of the first migration that uses a BitcodeField."""

    def __init__(self):
        self.name = "xmhash"

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        register_codes(None, schema_editor.connection)


def register_codes(sender, connection, **kwargs):
    if connection.vendor == "postgresql":
        with connection.connection.cursor() as cursor:
            cursor.execute("SELECT to_regtype('bitcode') IS NOT NULL")
            (there,) = cursor.fetchone()
        if there:
            register_code(connection.connection)


connection_created.connect(register_codes)

# What django_example.py shows, on codes of many lengths; that makemigrations finds
# nothing to do, and finds what was changed; and migrations there and back.
import contextlib
import io
import random
import sys

import django
import numpy

import django_example
from checks import check, digits, distance, finish, sizes
from django.contrib.postgres.fields import ArrayField
from django.core import serializers
from django.core.management import call_command
from django.db import DataError, connection, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import F
from django_gallery.bitcode import BitcodeField, Code, HammingDistance, XmhashIndex, is_psycopg3
from django_gallery.models import Picture

print("Django", django.__version__, "with psycopg", 3 if is_psycopg3 else 2)


def scalar(query, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchone()[0]


def sqlstate(error):
    return getattr(error.__cause__, "sqlstate", None) or getattr(error.__cause__, "pgcode", None)


# The connection is there before the extension is.
check("no extension at first", scalar("SELECT count(*) FROM pg_extension WHERE extname = 'xmhash'") == 0)
call_command("migrate", verbosity=0)
check("the extension", scalar("SELECT count(*) FROM pg_extension WHERE extname = 'xmhash'") == 1)
check("the column", scalar("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'django_gallery_picture'::regclass AND attname = 'code'") == "bitcode(16)")
check("the array", scalar("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'django_gallery_picture'::regclass AND attname = 'variants'") == "bitcode(16)[]")
check("the index", "USING xmhash (code) WITH (bands='2')" in scalar("SELECT pg_get_indexdef('picture_code'::regclass)"))


def changes(model=None):
    """What makemigrations would do, if the model were that one."""
    loader = MigrationLoader(connection)
    after = ProjectState.from_apps(django.apps.apps)
    if model:
        after.models["django_gallery", "picture"] = model
    found = MigrationAutodetector(loader.project_state(), after).changes(graph=loader.graph)
    return [operation for migration in found.get("django_gallery", []) for operation in migration.operations]


check("nothing to migrate", changes() == [])
try:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    check("makemigrations --check", True)
except SystemExit:
    check("makemigrations --check", False)


def changed(length=16, bands=2):
    fields = [("id", models.IntegerField(primary_key=True, serialize=False)), ("code", BitcodeField(length=length, null=True)),
              ("variants", ArrayField(BitcodeField(length=16), null=True))]
    return ModelState("django_gallery", "Picture", fields, {"indexes": [XmhashIndex(fields=["code"], name="picture_code", bands=bands)]})


check("the same model written again", changes(changed()) == [])
check("another length", [type(operation) for operation in changes(changed(length=32))] == [migrations.AlterField])
check("other bands", [type(operation) for operation in changes(changed(bands=None))] == [migrations.RemoveIndex, migrations.AddIndex])
with contextlib.redirect_stdout(io.StringIO()) as said:
    call_command("sqlmigrate", "django_gallery", "0001")
check("sqlmigrate", 'USING xmhash ("code")WITH (bands = 2)' in said.getvalue().replace(") WITH", ")WITH"))


class AnyLength(models.Model):
    code = BitcodeField(null=True)
    other = BitcodeField(null=True)

    class Meta:
        app_label = "django_gallery"


with connection.schema_editor() as editor:
    editor.create_model(AnyLength)
for size in sizes():
    code, other = Code(random.randbytes(size)), Code(random.randbytes(size))
    key = AnyLength.objects.create(code=code, other=other).pk
    row = AnyLength.objects.annotate(distance=HammingDistance("code", other), same=HammingDistance("code", F("other"))).get(pk=key)
    check(f"{size} bytes in and out", row.code == code and type(row.code) is Code)
    check(f"{size} bytes, distance", row.distance == row.same == distance(code, other))
    check(f"{size} bytes, equal, digits in", AnyLength.objects.get(code=digits(code)).pk == key)
    check(f"{size} bytes, within", AnyLength.objects.filter(pk=key, code__within=(digits(code), 0)).count() == 1)
    # dumpdata and loaddata.
    (again,) = serializers.deserialize("json", serializers.serialize("json", [row]))
    again.object.pk = None
    again.object.save()
    check(f"{size} bytes, serialized", AnyLength.objects.get(pk=again.object.pk).code == code)
with connection.schema_editor() as editor:
    editor.delete_model(AnyLength)

codes = [Code(number.to_bytes(2, "big")) for number in range(1000)]
Picture.objects.bulk_create([Picture(id=number, code=code, variants=[code, None]) for number, code in enumerate(codes)] + [Picture(id=1000)])
Picture.objects.filter(id=8).update(variants=[Code(b"\1\1"), Code(b"\2\2")])
check("arrays", Picture.objects.get(id=7).variants == [b"\0\7", None])
check("arrays in an update", Picture.objects.get(id=8).variants == [b"\1\1", b"\2\2"])
check("NULL", Picture.objects.get(id=1000).code is None and Picture.objects.filter(code=None).count() == 1)
check("IN", Picture.objects.filter(code__in=[codes[1], codes[2], Code(b"\xff\xff")]).count() == 2)
check("numpy", Picture.objects.filter(code=Code(numpy.packbits([0] * 13 + [1, 1, 0]))).get().id == 6)
with transaction.atomic(), connection.cursor() as cursor:
    cursor.execute("SET LOCAL enable_seqscan = off")
    for number in random.sample(range(1000), 20):
        nearest = Picture.objects.order_by(HammingDistance("code", codes[number]))
        check(f"nearest to {number}", nearest.first().id == number)
        near = [n for n in range(1000) if (n ^ number).bit_count() <= 2]
        within = Picture.objects.filter(code__within=(codes[number], 2))
        check(f"within 2 of {number}", sorted(within.values_list("id", flat=True)) == near)
    check("the index is used by the order", "picture_code" in nearest[:1].explain())
    check("the index is used by the radius", "picture_code" in within.explain())
try:
    with transaction.atomic():
        Picture.objects.create(id=2000, code=Code(b"\1"))
    check("another length is refused", False)
except DataError as error:
    check("another length is refused", sqlstate(error) == "22026")

call_command("migrate", "django_gallery", "zero", verbosity=0)
check("and back", scalar("SELECT count(*) FROM pg_extension WHERE extname = 'xmhash'") == 0 and not scalar("SELECT to_regclass('django_gallery_picture') IS NOT NULL"))
finish("Django")

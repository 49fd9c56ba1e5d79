import os

import django
import numpy
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["django_gallery"],
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["PGDATABASE"],
        "USER": os.environ["PGUSER"],
        "HOST": os.environ["PGHOST"],
        "PORT": os.environ["PGPORT"],
    }},
    USE_TZ=True,
)
django.setup()

from django_gallery.bitcode import Code, HammingDistance
from django_gallery.models import Picture


def main():
    call_command("migrate", verbosity=0)
    Picture.objects.create(id=1, code="xCAFE")
    Picture.objects.create(id=2, code=Code(b"\xca\xff"), variants=[Code(b"\xca\xfe"), Code(b"\0\0")])
    Picture.objects.create(id=3)

    # The three nearest, and those within a radius.
    nearest = Picture.objects.annotate(distance=HammingDistance("code", Code(b"\xca\xff"))).order_by("distance")[:3]
    print([(picture.id, picture.code, picture.distance) for picture in nearest])
    print(list(Picture.objects.filter(code__within=("xCAFC", 1)).values_list("id", flat=True)))
    print(Picture.objects.get(id=2).variants)

    # Many at once.
    Picture.objects.bulk_create(Picture(id=number, code=Code(number.to_bytes(2, "big"))) for number in range(5, 1005))
    print(Picture.objects.filter(code__within=(Code(b"\x01\xff"), 1)).count())

    # numpy, both ways: bits that are packed, and unpacked.
    code = Code(numpy.packbits(numpy.array([-0.5, 2, 0.1, 7] * 4) > 0))
    found = Picture.objects.order_by(HammingDistance("code", code)).first()
    print(numpy.unpackbits(numpy.frombuffer(found.code, numpy.uint8)))

    call_command("migrate", "django_gallery", "zero", verbosity=0)


if __name__ == "__main__":
    main()

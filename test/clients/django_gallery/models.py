from django.contrib.postgres.fields import ArrayField
from django.db import models

from .bitcode import BitcodeField, XmhashIndex


class Picture(models.Model):
    id = models.IntegerField(primary_key=True)
    code = BitcodeField(length=16, null=True)
    variants = ArrayField(BitcodeField(length=16), null=True)

    class Meta:
        indexes = [XmhashIndex(fields=["code"], name="picture_code", bands=2)]

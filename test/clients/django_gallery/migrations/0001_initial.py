# What makemigrations writes, with XmhashExtension put before it by hand.
import django.contrib.postgres.fields
from django.db import migrations, models
import django_gallery.bitcode


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [
        django_gallery.bitcode.XmhashExtension(),
        migrations.CreateModel(
            name="Picture",
            fields=[
                ("id", models.IntegerField(primary_key=True, serialize=False)),
                ("code", django_gallery.bitcode.BitcodeField(length=16, null=True)),
                ("variants", django.contrib.postgres.fields.ArrayField(base_field=django_gallery.bitcode.BitcodeField(length=16), null=True, size=None)),
            ],
        ),
        migrations.AddIndex(
            model_name="picture",
            index=django_gallery.bitcode.XmhashIndex(bands=2, fields=["code"], name="picture_code"),
        ),
    ]

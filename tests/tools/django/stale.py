import os

import django
from django.db import connection

django.setup()
from shop.models import User  # noqa: E402 # only after setup

user = User.objects.order_by("pk").first()
table, column = os.environ["TABLE"], os.environ["COLUMN"]
with connection.cursor() as cursor:
    cursor.execute(f"UPDATE \"{table}\" SET \"{column}\" = 'auth0|new' WHERE email = 'a@example.com'")
user.email = "c@example.com"
user.save()

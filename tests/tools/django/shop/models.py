from django.db import models


class User(models.Model):
    id = models.AutoField(primary_key=True, db_column="@KEY@")
    email = models.CharField(max_length=100)
    # FERRY In the model of

    class Meta:
        db_table = "@TABLE@"
        constraints = [
            # FERRY In its class Meta
        ]

import os

from alembic import context
from sqlalchemy import create_engine

import models
from place import url

without_ferry = None
# FERRY In env.py

with create_engine(url).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=models.Base.metadata,
        include_schemas="SCHEMAS" in os.environ,
        render_as_batch=os.environ["DB"] == "sqlite",
        include_name=without_ferry,
    )
    with context.begin_transaction():
        context.run_migrations()

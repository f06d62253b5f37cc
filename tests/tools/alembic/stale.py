import os

from sqlalchemy import create_engine, select, text
from sqlalchemy.orm import Session

from models import User
from place import url

with Session(create_engine(url)) as session:
    user = session.scalars(select(User).order_by(User.id)).first()
    table, column = os.environ["TABLE"], os.environ["COLUMN"]
    session.execute(text(f"UPDATE \"{table}\" SET \"{column}\" = 'auth0|new' WHERE email = 'a@example.com'"))
    user.email = "c@example.com"
    session.commit()

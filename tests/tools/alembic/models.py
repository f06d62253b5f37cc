from sqlalchemy import Column, Index, Integer, String, Text, text
from sqlalchemy.orm import DeclarativeBase


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "@TABLE@"
    id = Column("@KEY@", Integer, primary_key=True)
    email = Column(String(200), nullable=False)
    # FERRY In the class of
    __table_args__ = (
        # FERRY In its __table_args__
    )

"""Looks into a database for tests/tools/schema-tools: URL COMMAND TABLE COLUMN."""

import json
import sqlite3
import sys


def connect(url):
    if url.startswith("sqlite:"):
        return sqlite3.connect(url.removeprefix("sqlite:"), isolation_level=None)
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    return connection


def rows(sql):
    cursor = database.cursor()
    cursor.execute(sql)
    return cursor.fetchall() if cursor.description else []


def firsts(sql):
    return [row[0] for row in rows(sql)]


def look():
    """What is there of the people, of their ids, and of Ferry."""
    if lite:
        has = firsts(f"SELECT name FROM pragma_table_info('{table}')")
        made = firsts(f"SELECT sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = '{table}'")
        ledger = firsts("SELECT name FROM sqlite_schema WHERE name GLOB 'ferry_*' AND type IN ('table', 'view')")
    else:
        has = firsts(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'")
        made = firsts(f"SELECT indexdef FROM pg_indexes WHERE tablename = '{table}'")
        ledger = firsts("SELECT tablename FROM pg_tables WHERE schemaname = 'ferry'")
    there = column in has
    indexes = [sql for sql in made if sql and "ferry_" in sql]
    return {
        "people": firsts(f'SELECT count(*) FROM "{table}"')[0],
        "column": there,
        "ids": firsts(f'SELECT count("{column}") FROM "{table}"')[0] if there else 0,
        "index": "partial" if any(" WHERE " in sql for sql in indexes) else "full" if indexes else "gone",
        "ledger": len(ledger),
    }


url, command, table, column = sys.argv[1:]
lite = url.startswith("sqlite:")
database = connect(url)
if command == "people":
    rows(f"INSERT INTO \"{table}\" (email) VALUES ('a@example.com'), ('b@example.com')")
elif command == "ids":
    rows(f"UPDATE \"{table}\" SET \"{column}\" = 'auth0|' || email")
elif command == "look":
    print(json.dumps(look()))
elif command == "saved":
    # What `stale` of a tool left: the address is the object's, the id was new.
    [(saved,)] = rows(f"SELECT \"{column}\" FROM \"{table}\" WHERE email = 'c@example.com'")
    print("kept" if saved == "auth0|new" else "**lost**")

"""Plain PostgreSQL: rows as wide as an execution's, an INSERT and commit for each, or COPY with so many in a commit."""

import time

import harness
import psycopg
from limit_sqlite import ROW

TABLE = "CREATE TABLE rows (a text, b text, c text, d bigint, e bigint, f text)"


def write(connection, batch):
    if batch == 1:
        connection.execute("INSERT INTO rows VALUES (%s,%s,%s,%s,%s,%s)", ROW)
        return
    with connection.transaction(), connection.cursor().copy("COPY rows FROM STDIN") as copy:
        for _ in range(batch):
            copy.write_row(ROW)


def measure():
    count = harness.OPTIONS["count"]
    batch = min(harness.OPTIONS["batch"], count)
    with psycopg.connect(harness.OPTIONS["dsn"], autocommit=True) as connection:
        connection.execute(TABLE)
        began, used = time.monotonic(), time.process_time()
        for _ in range(count // batch):
            write(connection, batch)
        seconds, cpu = time.monotonic() - began, time.process_time() - used
        (done,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    return harness.outcome(harness.rate(count, seconds), count, done, cpu)


if __name__ == "__main__":
    harness.main(measure)

"""Plain SQLite with synchronous=FULL: rows as wide as an execution's, so many in a commit, without any scheduler."""

import sqlite3
import time
from pathlib import Path

import harness

ROW = ("x" * 36, "y" * 36, "COMPLETED", 1_795_000_000_000_000, 1_795_000_000_000_000, "z" * 60)


def measure():
    count = harness.OPTIONS["count"]
    batch = min(harness.OPTIONS["batch"], count)
    connection = sqlite3.connect(Path(harness.OPTIONS["directory"]) / "rows.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (a TEXT, b TEXT, c TEXT, d INTEGER, e INTEGER, f TEXT)")
    began, used = time.monotonic(), time.process_time()
    for _ in range(count // batch):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?)", [ROW] * batch)
        connection.execute("COMMIT")
    seconds, cpu = time.monotonic() - began, time.process_time() - used
    (done,) = connection.execute("SELECT count(*) FROM rows").fetchone()
    return harness.outcome(harness.rate(count, seconds), count, done, cpu)


if __name__ == "__main__":
    harness.main(measure)

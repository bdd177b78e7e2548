-- Which boot took each partition from which, and why: written with the raising of the epoch.

CREATE TABLE handovers (
    sequence INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    at INTEGER NOT NULL,
    boot TEXT NOT NULL,
    node TEXT,                         -- null: it has no lease, for it is alone
    former_boot TEXT,
    former_node TEXT,
    cause TEXT NOT NULL
);

-- Which boot took each partition from which, and why: written with the raising of the epoch.

CREATE TABLE handovers (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    partition bigint NOT NULL,
    epoch bigint NOT NULL,
    at bigint NOT NULL,
    boot text NOT NULL,
    node text COLLATE "C",
    former_boot text,
    former_node text COLLATE "C",
    cause text NOT NULL
);

-- What several nodes that share a store need: leases, executions for one of several nodes, and a mark of the graph's changes.

CREATE TABLE leases (
    boot TEXT PRIMARY KEY,
    node TEXT NOT NULL,
    until INTEGER NOT NULL,
    buried INTEGER NOT NULL
) WITHOUT ROWID;

ALTER TABLE executions ADD COLUMN target TEXT;     -- the node that it is for, where the task runs on all

ALTER TABLE totals ADD COLUMN graph INTEGER NOT NULL DEFAULT 0;
CREATE TRIGGER edges_added AFTER INSERT ON edges BEGIN
    UPDATE totals SET graph = graph + 1;
END;
CREATE TRIGGER edges_removed AFTER DELETE ON edges BEGIN
    UPDATE totals SET graph = graph + 1;
END;

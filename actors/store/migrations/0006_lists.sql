-- Lists of a million tasks: a page is read along an index in the order that was asked for, and never sorted. Each has the type
-- as well, so that tasks of other types are passed over without a look at them. What every fire changes has as few indexes as
-- can be: the last start, with which the lists of consoles begin.

CREATE INDEX tasks_by_name ON tasks (name, id, type);
CREATE INDEX tasks_created ON tasks (created_at, id, type);
CREATE INDEX tasks_started ON tasks (last_started_at, id, type);
CREATE INDEX tasks_failures ON tasks (failure_count, id, type);

DROP INDEX tasks_type;
CREATE INDEX tasks_type ON tasks (type, id);

-- What has failed, in the order in which people look at it.
DROP INDEX tasks_status;
CREATE INDEX tasks_status ON tasks (status, last_started_at, id, type) WHERE status <> 'SCHEDULED';

-- Those of which nothing comes stand first where tasks are in the order of what comes.
CREATE INDEX tasks_resting ON tasks (id, type) WHERE due IS NULL OR phase = 'paused';

-- How many tasks there are of each type.
CREATE TABLE kinds (
    type TEXT PRIMARY KEY,
    tasks INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO kinds SELECT type, count(*) FROM tasks GROUP BY type;
CREATE TRIGGER kinds_added AFTER INSERT ON tasks BEGIN
    INSERT INTO kinds VALUES (new.type, 1) ON CONFLICT (type) DO UPDATE SET tasks = tasks + 1;
END;
CREATE TRIGGER kinds_removed AFTER DELETE ON tasks BEGIN
    UPDATE kinds SET tasks = tasks - 1 WHERE type = old.type;
END;
CREATE TRIGGER kinds_changed AFTER UPDATE OF type ON tasks WHEN old.type <> new.type BEGIN
    UPDATE kinds SET tasks = tasks - 1 WHERE type = old.type;
    INSERT INTO kinds VALUES (new.type, 1) ON CONFLICT (type) DO UPDATE SET tasks = tasks + 1;
END;

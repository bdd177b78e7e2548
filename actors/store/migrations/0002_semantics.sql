-- Executions that wait for more than a slot, what follows an outcome, calendars, and what is left of old ledger rows.

ALTER TABLE executions ADD COLUMN assigned INTEGER;
ALTER TABLE executions ADD COLUMN expires INTEGER;
ALTER TABLE executions ADD COLUMN key TEXT;
ALTER TABLE executions ADD COLUMN lingers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN since INTEGER;
DROP INDEX executions_open;
CREATE INDEX executions_open ON executions (task_id, state, boot)
    WHERE state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers;
CREATE INDEX executions_key ON executions (key) WHERE key IS NOT NULL AND (state = 'RUNNING' OR lingers);

ALTER TABLE tasks ADD COLUMN ttl INTEGER;       -- of the definition: where it is null, the node's configuration holds
ALTER TABLE tasks ADD COLUMN catching_up INTEGER;
ALTER TABLE tasks ADD COLUMN last_admitted INTEGER;
ALTER TABLE tasks ADD COLUMN completed_start INTEGER;

-- Which tasks wait for which, of all present definitions.
CREATE TABLE edges (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    PRIMARY KEY (child, parent)
) WITHOUT ROWID;
CREATE INDEX edges_parent ON edges (parent);

-- A version never changes; an edit of a calendar makes another one.
CREATE TABLE calendars (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, name, version)
) WITHOUT ROWID;

CREATE TABLE calendar_uses (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (tenant, name, task_id)
) WITHOUT ROWID;
CREATE INDEX calendar_uses_task ON calendar_uses (task_id);

CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    task_id TEXT NOT NULL,
    execution_id TEXT,
    event TEXT NOT NULL,
    at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    payload TEXT NOT NULL,
    tries INTEGER NOT NULL
);
CREATE INDEX outbox_due ON outbox (due);
CREATE INDEX outbox_task ON outbox (task_id);

CREATE TABLE deliveries (
    sequence INTEGER PRIMARY KEY,
    entry_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    execution_id TEXT,
    event TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    detail TEXT NOT NULL,
    due INTEGER
);
CREATE INDEX deliveries_task ON deliveries (task_id);

CREATE TABLE event_states (
    task_id TEXT NOT NULL,
    event TEXT NOT NULL,
    held INTEGER,
    delivered_at INTEGER,
    PRIMARY KEY (task_id, event)
) WITHOUT ROWID;

-- What is left of ledger rows that were purged: their number by task, hour, outcome and reason ('' for none).
CREATE TABLE folded (
    task_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (task_id, hour, outcome, reason)
) WITHOUT ROWID;

-- Outcomes that have a reason, by reason, over all that was ever recorded; those without are the rest of `totals`.
CREATE TABLE tallies (
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (outcome, reason)
) WITHOUT ROWID;
INSERT INTO tallies SELECT outcome, reason, sum(number) FROM (
    SELECT outcome, reason, count(*) AS number FROM executions WHERE reason IS NOT NULL AND outcome IS NOT NULL GROUP BY outcome, reason
    UNION ALL SELECT outcome, reason, sum(count) FROM settled WHERE count > 0 GROUP BY outcome, reason
) GROUP BY outcome, reason;

CREATE INDEX settled_uncounted ON settled (task_id, first) WHERE count IS NULL;

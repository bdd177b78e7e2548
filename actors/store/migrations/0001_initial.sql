-- Rows are found by their text ids; the integer row numbers keep the other indexes small and give the order of creation.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- One row. Every commit updates it under the condition that nobody took a partition since the writer looked.
CREATE TABLE totals (
    takeovers INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    fired INTEGER NOT NULL,
    late INTEGER NOT NULL,
    coalesced INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    skipped INTEGER NOT NULL
);
INSERT INTO totals VALUES (0, 0, 0, 0, 0, 0, 0);

CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    boot TEXT NOT NULL
);

CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    partition INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL,
    priority INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    began_at INTEGER NOT NULL,         -- of the present revision
    parcel INTEGER NOT NULL,           -- 1: the definition or its extra bytes lie in `parcels`
    definition TEXT NOT NULL,
    due INTEGER,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    next_fire INTEGER,
    settled_through INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    failure_count INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    last_execution TEXT,
    last_state TEXT,
    last_started_at INTEGER,
    last_ended_at INTEGER,
    note TEXT,
    changed_by TEXT
);
CREATE UNIQUE INDEX tasks_name ON tasks (tenant, name);
CREATE INDEX tasks_type ON tasks (type);
CREATE INDEX tasks_due ON tasks (due, partition) WHERE due IS NOT NULL;
-- Most tasks are scheduled, and each fire leaves that status and comes back to it.
CREATE INDEX tasks_status ON tasks (status) WHERE status <> 'SCHEDULED';

CREATE TABLE parcels (
    task_id TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    content_type TEXT,
    extra BLOB
);

CREATE TABLE revisions (
    task_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    began_at INTEGER NOT NULL,
    definition TEXT NOT NULL,
    content_type TEXT,
    extra BLOB,
    PRIMARY KEY (task_id, revision)
);

CREATE TABLE executions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    task_id TEXT NOT NULL,
    revision INTEGER NOT NULL,         -- of the task when the execution was made
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    nominal INTEGER,
    channel TEXT NOT NULL,
    correlation TEXT,
    parameters TEXT,
    state TEXT NOT NULL,
    outcome TEXT,
    reason TEXT,
    waits_for TEXT,
    due INTEGER,
    attempt INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    checkpoints INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    boot TEXT,
    node TEXT,
    first_started_at INTEGER,
    started_at INTEGER,
    ended_at INTEGER,
    failure TEXT,
    cancel_reason TEXT
);
CREATE INDEX executions_task ON executions (task_id);
CREATE INDEX executions_open ON executions (task_id, state, boot) WHERE state IN ('WAITING', 'RUNNING', 'CRASHED');
CREATE INDEX executions_ended ON executions (ended_at) WHERE ended_at IS NOT NULL;

CREATE TABLE attempts (
    execution_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    node TEXT,
    boot TEXT,
    state TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    failure TEXT,
    PRIMARY KEY (execution_id, number)
) WITHOUT ROWID;

CREATE TABLE results (
    execution_id TEXT PRIMARY KEY,
    result TEXT NOT NULL
);

CREATE TABLE checkpoints (
    execution_id TEXT PRIMARY KEY,
    data TEXT NOT NULL
);

CREATE TABLE progress (
    execution_id TEXT PRIMARY KEY,
    progress TEXT NOT NULL
);

CREATE TABLE logs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX logs_execution ON logs (execution_id);

-- The ledger of the slots that were not run.
CREATE TABLE settled (
    task_id TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    count INTEGER,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    settled_at INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    execution TEXT,
    PRIMARY KEY (task_id, first)
) WITHOUT ROWID;
CREATE INDEX settled_last ON settled (last);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    task_id TEXT NOT NULL,
    detail TEXT NOT NULL
);

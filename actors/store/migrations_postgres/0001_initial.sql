-- Texts that are compared or sorted have the collation "C": the order of the other adapters, whatever the database's is.
-- What changes with every fire stands apart from what a person wrote: PostgreSQL writes the whole row anew at every change.

CREATE TABLE meta (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- A row for each writing connection's store: no two nodes ever wait for each other's counters. The sums are what counts.
-- `token` names the last transaction of the writer: it tells whether a COMMIT without an answer was carried out.
CREATE TABLE totals (
    writer text COLLATE "C" PRIMARY KEY,
    token bigint NOT NULL,
    seen bigint NOT NULL,
    tasks bigint NOT NULL,
    fired bigint NOT NULL,
    late bigint NOT NULL,
    coalesced bigint NOT NULL,
    missed bigint NOT NULL,
    skipped bigint NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- Outcomes that have a reason, by reason; those without are the rest of `totals`.
CREATE TABLE tallies (
    writer text COLLATE "C" NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (writer, outcome, reason)
) WITH (fillfactor = 10);

CREATE TABLE partitions (
    id bigint PRIMARY KEY,
    epoch bigint NOT NULL,
    granted bigint NOT NULL,
    boot text NOT NULL
);

CREATE TABLE leases (
    boot text COLLATE "C" PRIMARY KEY,
    node text COLLATE "C" NOT NULL,
    until bigint NOT NULL,
    buried boolean NOT NULL
);

CREATE TABLE tasks (
    id text COLLATE "C" PRIMARY KEY,
    partition bigint NOT NULL,
    due bigint,
    version bigint NOT NULL,
    revision bigint NOT NULL,
    phase text NOT NULL,
    status text COLLATE "C" NOT NULL,
    next_fire bigint,
    settled_through bigint NOT NULL,
    fence bigint NOT NULL,
    runs bigint NOT NULL,
    failure_count bigint NOT NULL,
    completed bigint NOT NULL,
    failed bigint NOT NULL,
    last_execution text,
    last_started_at bigint,
    last_ended_at bigint,
    note text,
    changed_by text,
    catching_up bigint,
    last_admitted bigint,
    completed_start bigint,
    last_state text
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.2);
CREATE INDEX tasks_due ON tasks (due, partition) WHERE due IS NOT NULL;
-- Most tasks are scheduled, and each fire leaves that status and comes back to it.
CREATE INDEX tasks_status ON tasks (status) WHERE status <> 'SCHEDULED';

CREATE TABLE definitions (
    task_id text COLLATE "C" PRIMARY KEY,
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    priority bigint NOT NULL,
    ttl bigint,                        -- where it is null, the node's configuration holds
    created_at bigint NOT NULL,
    began_at bigint NOT NULL,          -- of the present revision
    definition text NOT NULL,
    content_type text,
    extra bytea
);
CREATE UNIQUE INDEX definitions_name ON definitions (tenant, name);
CREATE INDEX definitions_type ON definitions (type);

CREATE TABLE revisions (
    task_id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    began_at bigint NOT NULL,
    definition text NOT NULL,
    content_type text,
    extra bytea,
    PRIMARY KEY (task_id, revision)
);

CREATE TABLE executions (
    number bigint GENERATED ALWAYS AS IDENTITY,
    id text COLLATE "C" PRIMARY KEY,
    task_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    created_at bigint NOT NULL,
    nominal bigint,
    channel text NOT NULL,
    correlation text,
    parameters text,
    revision bigint NOT NULL,          -- of the task when the execution was made
    assigned bigint,
    since bigint,
    target text COLLATE "C",           -- the node that it is for, where the task runs on all
    due bigint,
    attempt bigint NOT NULL,
    failures bigint NOT NULL,
    crashes bigint NOT NULL,
    checkpoints bigint NOT NULL,
    fence bigint NOT NULL,
    boot text COLLATE "C",
    node text COLLATE "C",
    first_started_at bigint,
    started_at bigint,
    ended_at bigint,
    cancel_reason text,
    expires bigint,
    key text COLLATE "C",
    state text COLLATE "C" NOT NULL,
    outcome text,
    reason text,
    waits_for text COLLATE "C",
    failure text,
    lingers bigint NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX executions_task ON executions (task_id, number);
CREATE INDEX executions_open ON executions (task_id, state) WHERE state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers = 1;
CREATE INDEX executions_key ON executions (key) WHERE key IS NOT NULL AND (state = 'RUNNING' OR lingers = 1);
CREATE INDEX executions_told ON executions (boot) WHERE state = 'RUNNING' AND cancel_reason IS NOT NULL;
CREATE INDEX executions_ended ON executions (ended_at, id) WHERE ended_at IS NOT NULL;

CREATE TABLE attempts (
    execution_id text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    fence bigint NOT NULL,
    node text,
    boot text,
    state text NOT NULL,
    started_at bigint NOT NULL,
    ended_at bigint,
    failure text,
    PRIMARY KEY (execution_id, number)
);

CREATE TABLE results (
    execution_id text COLLATE "C" PRIMARY KEY,
    result text NOT NULL
);

CREATE TABLE checkpoints (
    execution_id text COLLATE "C" PRIMARY KEY,
    data text NOT NULL
);

CREATE TABLE progress (
    execution_id text COLLATE "C" PRIMARY KEY,
    progress text NOT NULL
);

CREATE TABLE logs (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id text COLLATE "C" NOT NULL,
    attempt bigint NOT NULL,
    at bigint NOT NULL,
    level text NOT NULL,
    text text NOT NULL
);
CREATE INDEX logs_execution ON logs (execution_id, sequence);

-- The ledger of the slots that were not run.
CREATE TABLE settled (
    task_id text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    count bigint,
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    settled_at bigint NOT NULL,
    revision bigint NOT NULL,
    execution text,
    PRIMARY KEY (task_id, first)
);
CREATE INDEX settled_last ON settled (last, task_id, first);
CREATE INDEX settled_uncounted ON settled (task_id, first) WHERE count IS NULL;

-- What is left of ledger rows that were purged: their number by task, hour, outcome and reason ('' for none).
CREATE TABLE folded (
    task_id text COLLATE "C" NOT NULL,
    hour bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (task_id, hour, outcome, reason)
);

CREATE TABLE audit (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    task_id text NOT NULL,
    detail text NOT NULL
);

-- Which tasks wait for which, of all present definitions; `graph` grows with every change of it.
CREATE TABLE edges (
    child text COLLATE "C" NOT NULL,
    parent text COLLATE "C" NOT NULL,
    PRIMARY KEY (child, parent)
);
CREATE INDEX edges_parent ON edges (parent);

CREATE TABLE graph (
    changes bigint NOT NULL
);
INSERT INTO graph VALUES (0);

CREATE FUNCTION edges_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM changed) THEN
        UPDATE tocsin.graph SET changes = changes + 1;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER edges_added AFTER INSERT ON edges
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION edges_changed();
CREATE TRIGGER edges_removed AFTER DELETE ON edges
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION edges_changed();

-- A version never changes; an edit of a calendar makes another one.
CREATE TABLE calendars (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (tenant, name, version)
);

CREATE TABLE calendar_uses (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, name, task_id)
);
CREATE INDEX calendar_uses_task ON calendar_uses (task_id);

CREATE TABLE outbox (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    task_id text COLLATE "C" NOT NULL,
    execution_id text,
    event text NOT NULL,
    at bigint NOT NULL,
    due bigint NOT NULL,
    payload text NOT NULL,
    tries bigint NOT NULL
);
CREATE INDEX outbox_due ON outbox (due, sequence);
CREATE INDEX outbox_task ON outbox (task_id);

CREATE TABLE deliveries (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_id text NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    execution_id text,
    event text NOT NULL,
    at bigint NOT NULL,
    state text NOT NULL,
    detail text NOT NULL,
    due bigint
);
CREATE INDEX deliveries_task ON deliveries (task_id, sequence);

CREATE TABLE event_states (
    task_id text COLLATE "C" NOT NULL,
    event text COLLATE "C" NOT NULL,
    held bigint,
    delivered_at bigint,
    PRIMARY KEY (task_id, event)
);

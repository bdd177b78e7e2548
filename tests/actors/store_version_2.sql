BEGIN TRANSACTION;
PRAGMA application_id = 1416586099;
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
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    task_id TEXT NOT NULL,
    detail TEXT NOT NULL
);
INSERT INTO "audit" VALUES(1,1,'me','create','t1','');
CREATE TABLE calendar_uses (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    task_id TEXT NOT NULL,
    PRIMARY KEY (tenant, name, task_id)
) WITHOUT ROWID;
INSERT INTO "calendar_uses" VALUES('','holidays','t2');
CREATE TABLE calendars (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (tenant, name, version)
) WITHOUT ROWID;
INSERT INTO "calendars" VALUES('','holidays',1,'{"timezone": "UTC", "days": [[740000, 740001]], "windows": [], "weekdays": []}');
INSERT INTO "calendars" VALUES('','holidays',2,'{"timezone": "UTC", "days": [[740000, 740002]], "windows": [], "weekdays": []}');
CREATE TABLE checkpoints (
    execution_id TEXT PRIMARY KEY,
    data TEXT NOT NULL
);
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
CREATE TABLE edges (
    child TEXT NOT NULL,
    parent TEXT NOT NULL,
    PRIMARY KEY (child, parent)
) WITHOUT ROWID;
INSERT INTO "edges" VALUES('t2','t1');
CREATE TABLE event_states (
    task_id TEXT NOT NULL,
    event TEXT NOT NULL,
    held INTEGER,
    delivered_at INTEGER,
    PRIMARY KEY (task_id, event)
) WITHOUT ROWID;
INSERT INTO "event_states" VALUES('t1','alarm',1,3);
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
, assigned INTEGER, expires INTEGER, key TEXT, lingers INTEGER NOT NULL DEFAULT 0, since INTEGER);
INSERT INTO "executions" VALUES(1,'e1','t1',1,'occurrence',100,90,'scheduler',NULL,NULL,'RUNNING',NULL,NULL,NULL,NULL,1,0,0,0,1,'boot','node',NULL,110,NULL,NULL,'enough',NULL,NULL,'k',0,NULL);
INSERT INTO "executions" VALUES(2,'e2','t2',1,'occurrence',100,90,'scheduler',NULL,NULL,'WAITING',NULL,NULL,'dependency',NULL,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,95,NULL,NULL,0,7);
INSERT INTO "executions" VALUES(3,'e3','t3',1,'occurrence',100,90,'scheduler',NULL,NULL,'TIMED_OUT','fired',NULL,NULL,NULL,1,0,0,0,1,'boot','node',NULL,110,200,NULL,NULL,NULL,NULL,NULL,1,NULL);
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
CREATE TABLE logs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    execution_id TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO "meta" VALUES('cluster_id','cluster');
INSERT INTO "meta" VALUES('partitions','16');
INSERT INTO "meta" VALUES('pause','{"since": 5, "actor": "me", "note": "note"}');
INSERT INTO "meta" VALUES('schema_version','2');
INSERT INTO "meta" VALUES('timezone_database','2026f');
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
INSERT INTO "outbox" VALUES(1,'d1','t1',NULL,'alarm',1,2,'{}',0);
CREATE TABLE parcels (
    task_id TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    content_type TEXT,
    extra BLOB
);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    granted INTEGER NOT NULL,
    boot TEXT NOT NULL
);
INSERT INTO "partitions" VALUES(0,2,2,'boot');
INSERT INTO "partitions" VALUES(1,1,1,'boot');
CREATE TABLE progress (
    execution_id TEXT PRIMARY KEY,
    progress TEXT NOT NULL
);
CREATE TABLE results (
    execution_id TEXT PRIMARY KEY,
    result TEXT NOT NULL
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
INSERT INTO "settled" VALUES('t2',10,20,3,'skipped','paused',30,1,NULL);
CREATE TABLE tallies (
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (outcome, reason)
) WITHOUT ROWID;
INSERT INTO "tallies" VALUES('skipped','paused',3);
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
, ttl INTEGER, catching_up INTEGER, last_admitted INTEGER, completed_start INTEGER);
INSERT INTO "tasks" VALUES(1,'t1',0,'','name of t1','command',5,5,5,0,'{"id":"t1","name":"name of t1","type":"command","trigger":{"every":1000000,"anchor":0},"created_at":5}',1000,1,1,'active','SCHEDULED',1000,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(2,'t2',1,'','name of t2','command',5,5,5,0,'{"id":"t2","name":"name of t2","type":"command","trigger":{"every":1000000,"anchor":0},"created_at":5,"bounds":{"calendars": [{"tenant": "", "name": "holidays", "version": 1, "mode": "exclude", "shift": "skip"}]},"dependencies":{"parents": ["t1"]}}',1000,1,1,'active','SCHEDULED',1000,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "tasks" VALUES(3,'t3',0,'','name of t3','command',5,5,5,0,'{"id":"t3","name":"name of t3","type":"command","trigger":{"every":1000000,"anchor":0},"created_at":5}',1000,1,1,'active','SCHEDULED',1000,0,0,0,0,0,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE totals (
    takeovers INTEGER NOT NULL,
    tasks INTEGER NOT NULL,
    fired INTEGER NOT NULL,
    late INTEGER NOT NULL,
    coalesced INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    skipped INTEGER NOT NULL
);
INSERT INTO "totals" VALUES(2,3,1,0,0,0,3);
CREATE UNIQUE INDEX tasks_name ON tasks (tenant, name);
CREATE INDEX tasks_type ON tasks (type);
CREATE INDEX tasks_due ON tasks (due, partition) WHERE due IS NOT NULL;
CREATE INDEX tasks_status ON tasks (status) WHERE status <> 'SCHEDULED';
CREATE INDEX executions_task ON executions (task_id);
CREATE INDEX executions_ended ON executions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX logs_execution ON logs (execution_id);
CREATE INDEX settled_last ON settled (last);
CREATE INDEX executions_open ON executions (task_id, state, boot)
    WHERE state IN ('WAITING', 'RUNNING', 'CRASHED') OR lingers;
CREATE INDEX executions_key ON executions (key) WHERE key IS NOT NULL AND (state = 'RUNNING' OR lingers);
CREATE INDEX edges_parent ON edges (parent);
CREATE INDEX calendar_uses_task ON calendar_uses (task_id);
CREATE INDEX outbox_due ON outbox (due);
CREATE INDEX outbox_task ON outbox (task_id);
CREATE INDEX deliveries_task ON deliveries (task_id);
CREATE INDEX settled_uncounted ON settled (task_id, first) WHERE count IS NULL;
DELETE FROM "sqlite_sequence";
COMMIT;

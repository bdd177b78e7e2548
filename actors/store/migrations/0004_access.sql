-- Tokens and sessions, and the audit log as a chain of hashes. Records from before have no place in it: `chain` is null.

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    hash TEXT NOT NULL,                -- SHA-256 of the secret, which is nowhere kept
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    user TEXT NOT NULL,
    tenant TEXT,                       -- null: all tenants
    own INTEGER NOT NULL,              -- sees the user's own tasks only
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    used_at INTEGER,
    revoked_at INTEGER,
    parent TEXT                        -- the token with which a session was begun
) WITHOUT ROWID;
CREATE INDEX tokens_expires ON tokens (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE audit ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN chain INTEGER;
ALTER TABLE audit ADD COLUMN number INTEGER;
ALTER TABLE audit ADD COLUMN hash TEXT;
CREATE UNIQUE INDEX audit_links ON audit (chain, number) WHERE chain IS NOT NULL;

-- The newest record of each chain, and the newest one that was removed with age.
CREATE TABLE audit_chains (
    chain INTEGER PRIMARY KEY,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL,
    anchor_number INTEGER NOT NULL,
    anchor_hash TEXT NOT NULL
);
INSERT INTO audit_chains VALUES (1, 0, '', 0, '');

-- Tokens and sessions, and the audit log as chains of hashes. Records from before have no place in one: `chain` is null.

CREATE TABLE tokens (
    id text COLLATE "C" PRIMARY KEY,
    hash text NOT NULL,                -- SHA-256 of the secret, which is nowhere kept
    kind text NOT NULL,
    name text NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    tenant text COLLATE "C",           -- null: all tenants
    own bigint NOT NULL,               -- sees the user's own tasks only
    role text NOT NULL,
    created_at bigint NOT NULL,
    created_by text NOT NULL,
    expires_at bigint,
    used_at bigint,
    revoked_at bigint,
    parent text COLLATE "C"            -- the token with which a session was begun
);
CREATE INDEX tokens_expires ON tokens (expires_at) WHERE expires_at IS NOT NULL;

ALTER TABLE audit ADD COLUMN tenant text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN chain bigint;
ALTER TABLE audit ADD COLUMN number bigint;
ALTER TABLE audit ADD COLUMN hash text;
CREATE UNIQUE INDEX audit_links ON audit (chain, number) WHERE chain IS NOT NULL;

-- The newest record of each chain, and the newest one that was removed with age. There are as many chains as there ever were
-- transactions at the same time that had records to add: each takes the first chain that is free, and nobody waits.
CREATE TABLE audit_chains (
    chain bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    number bigint NOT NULL DEFAULT 0,
    hash text NOT NULL DEFAULT '',
    anchor_number bigint NOT NULL DEFAULT 0,
    anchor_hash text NOT NULL DEFAULT ''
) WITH (fillfactor = 10);

-- Parts are joined with their lengths in bytes, so that no two records have the same text.
CREATE FUNCTION audit_part(value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT octet_length(convert_to(value, 'UTF8')) || ':' || value
$$;

CREATE FUNCTION audit_chained() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head record;
BEGIN
    SELECT * INTO head FROM tocsin.audit_chains ORDER BY chain LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        INSERT INTO tocsin.audit_chains DEFAULT VALUES RETURNING * INTO head;
    END IF;
    -- Taken under the lock: the order of the sequence is that of the chain.
    NEW.sequence := nextval(pg_get_serial_sequence('tocsin.audit', 'sequence'));
    NEW.chain := head.chain;
    NEW.number := head.number + 1;
    NEW.hash := encode(sha256(convert_to(
        tocsin.audit_part(head.hash) || tocsin.audit_part(NEW.chain::text) || tocsin.audit_part(NEW.number::text)
        || tocsin.audit_part(NEW.at::text) || tocsin.audit_part(NEW.actor) || tocsin.audit_part(NEW.action)
        || tocsin.audit_part(NEW.task_id) || tocsin.audit_part(NEW.detail) || tocsin.audit_part(NEW.tenant),
        'UTF8')), 'hex');
    UPDATE tocsin.audit_chains SET number = NEW.number, hash = NEW.hash WHERE chain = head.chain;
    RETURN NEW;
END $$;
CREATE TRIGGER audit_link BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_chained();

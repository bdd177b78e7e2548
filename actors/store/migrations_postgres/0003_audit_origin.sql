-- From where a change was asked for, and what it changed, as JSON texts. Records from before say neither, and have the hash they had.

ALTER TABLE audit ADD COLUMN origin text NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN change text NOT NULL DEFAULT '';

-- The whole function of 0002 again, for PostgreSQL replaces a function as a whole, and a file that was applied stays as it was. What
-- is new is the CASE: a record that says neither is hashed as before, so chains of before and after are one.
CREATE OR REPLACE FUNCTION audit_chained() RETURNS trigger LANGUAGE plpgsql AS $$
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
        || tocsin.audit_part(NEW.task_id) || tocsin.audit_part(NEW.detail) || tocsin.audit_part(NEW.tenant)
        || CASE WHEN NEW.origin = '' AND NEW.change = '' THEN ''
           ELSE tocsin.audit_part(NEW.origin) || tocsin.audit_part(NEW.change) END,
        'UTF8')), 'hex');
    UPDATE tocsin.audit_chains SET number = NEW.number, hash = NEW.hash WHERE chain = head.chain;
    RETURN NEW;
END $$;

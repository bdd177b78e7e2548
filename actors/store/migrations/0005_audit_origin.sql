-- From where a change was asked for, and what it changed, as JSON texts. Records from before say neither.

ALTER TABLE audit ADD COLUMN origin TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN change TEXT NOT NULL DEFAULT '';

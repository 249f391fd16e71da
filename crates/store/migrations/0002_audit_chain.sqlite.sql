-- One run of one process, and the key that seals what it writes.
CREATE TABLE audit_writer (
    writer           BLOB    NOT NULL PRIMARY KEY,
    started_at       INTEGER NOT NULL,
    wrapped_by       TEXT    NOT NULL,
    wrapped          BLOB    NOT NULL,
    -- the last entry that retention removed
    expired_sequence INTEGER NOT NULL,
    expired_seal     BLOB    NOT NULL
) STRICT;
CREATE INDEX audit_writer_by_start ON audit_writer (started_at);

ALTER TABLE audit_event ADD COLUMN count INTEGER;
ALTER TABLE audit_event ADD COLUMN writer BLOB REFERENCES audit_writer (writer);
ALTER TABLE audit_event ADD COLUMN sequence INTEGER;
-- 24 bytes each: writer, and sequence with the most significant byte first
ALTER TABLE audit_event ADD COLUMN seen BLOB;
ALTER TABLE audit_event ADD COLUMN seal BLOB;
CREATE UNIQUE INDEX audit_event_by_place ON audit_event (writer, sequence);

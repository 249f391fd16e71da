-- One run of one process, and the key that seals what it writes.
CREATE TABLE audit_writer (
    writer           BYTEA   NOT NULL PRIMARY KEY,
    started_at       BIGINT  NOT NULL,
    wrapped_by       TEXT    NOT NULL,
    wrapped          BYTEA   NOT NULL,
    -- the last entry that retention removed
    expired_sequence BIGINT  NOT NULL,
    expired_seal     BYTEA   NOT NULL
);
CREATE INDEX audit_writer_by_start ON audit_writer (started_at);

ALTER TABLE audit_event ADD COLUMN count BIGINT;
ALTER TABLE audit_event ADD COLUMN writer BYTEA REFERENCES audit_writer (writer);
ALTER TABLE audit_event ADD COLUMN sequence BIGINT;
-- 24 bytes each: writer, and sequence with the most significant byte first
ALTER TABLE audit_event ADD COLUMN seen BYTEA;
ALTER TABLE audit_event ADD COLUMN seal BYTEA;
CREATE UNIQUE INDEX audit_event_by_place ON audit_event (writer, sequence);

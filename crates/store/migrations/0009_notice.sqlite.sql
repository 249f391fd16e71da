-- What there is to tell a person of a connection, which goes with it. Not due: told, or nothing.
CREATE TABLE notice (
    user_id       TEXT NOT NULL,
    slot          TEXT NOT NULL,
    version       INTEGER NOT NULL,
    news          TEXT,
    reason        TEXT,
    at            INTEGER,
    due_at        INTEGER,
    claimed_until INTEGER,
    tries         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, slot),
    FOREIGN KEY (user_id, slot) REFERENCES credential (user_id, slot) ON DELETE CASCADE
) STRICT;
CREATE INDEX notice_by_due ON notice (due_at);

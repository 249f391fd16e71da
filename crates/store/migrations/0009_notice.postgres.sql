-- What there is to tell a person of a connection, which goes with it. Not due: told, or nothing.
CREATE TABLE notice (
    user_id       TEXT NOT NULL,
    slot          TEXT NOT NULL,
    version       BIGINT NOT NULL,
    news          TEXT,
    reason        TEXT,
    at            BIGINT,
    due_at        BIGINT,
    claimed_until BIGINT,
    tries         BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (user_id, slot),
    FOREIGN KEY (user_id, slot) REFERENCES credential (user_id, slot) ON DELETE CASCADE
);
CREATE INDEX notice_by_due ON notice (due_at);

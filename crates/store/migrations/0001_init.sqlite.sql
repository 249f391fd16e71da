-- Times are milliseconds since the epoch; lists are JSON arrays of strings.

CREATE TABLE person (
    id         TEXT    NOT NULL PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    email      TEXT,
    name       TEXT,
    groups     TEXT    NOT NULL,
    disabled   INTEGER NOT NULL DEFAULT FALSE CHECK (disabled IN (FALSE, TRUE)),
    created_at INTEGER NOT NULL,
    UNIQUE (issuer, subject)
) STRICT;

CREATE TABLE session (
    digest     BLOB    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_expiry ON session (expires_at);

CREATE TABLE spent_login (
    state      BLOB    NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX spent_login_by_expiry ON spent_login (expires_at);

CREATE TABLE connect_flow (
    state        BLOB    NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    session      BLOB    NOT NULL,
    upstream     TEXT    NOT NULL,
    issuer       TEXT,
    redirect_uri TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    resource     TEXT,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX connect_flow_by_user ON connect_flow (user_id, created_at);
CREATE INDEX connect_flow_by_expiry ON connect_flow (expires_at);

CREATE TABLE credential (
    user_id       TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    slot          TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    sealed        BLOB    NOT NULL,
    health        TEXT    NOT NULL,
    reason        TEXT,
    obtained_via  TEXT    NOT NULL,
    expires_at    INTEGER,
    updated_at    INTEGER NOT NULL,
    lease_holder  BLOB,
    lease_until   INTEGER,
    lease_started INTEGER,
    -- when a lease was taken whose end nobody reported
    interrupted   INTEGER,
    PRIMARY KEY (user_id, slot)
) STRICT;

CREATE TABLE data_key (
    user_id    TEXT    NOT NULL PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    wrapped_by TEXT    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- References nobody: it outlives the people it speaks of. No id is used twice.
CREATE TABLE audit_event (
    id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    user_id    TEXT,
    server     TEXT,
    method     TEXT,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    reason     TEXT,
    request_id TEXT
) STRICT;
CREATE INDEX audit_event_by_time ON audit_event (at, id);
CREATE INDEX audit_event_by_user ON audit_event (user_id, at, id);

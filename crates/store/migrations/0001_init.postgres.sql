-- Times are milliseconds since the epoch; lists are JSON arrays of strings.

CREATE TABLE person (
    id         TEXT    NOT NULL PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    subject    TEXT    NOT NULL,
    email      TEXT,
    name       TEXT,
    groups     TEXT    NOT NULL,
    disabled   BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT  NOT NULL,
    UNIQUE (issuer, subject)
);

CREATE TABLE session (
    digest     BYTEA   NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created_at BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX session_by_user ON session (user_id);
CREATE INDEX session_by_expiry ON session (expires_at);

CREATE TABLE spent_login (
    state      BYTEA   NOT NULL PRIMARY KEY,
    expires_at BIGINT  NOT NULL
);
CREATE INDEX spent_login_by_expiry ON spent_login (expires_at);

CREATE TABLE connect_flow (
    state        BYTEA   NOT NULL PRIMARY KEY,
    user_id      TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    session      BYTEA   NOT NULL,
    upstream     TEXT    NOT NULL,
    issuer       TEXT,
    redirect_uri TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    resource     TEXT,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL
);
CREATE INDEX connect_flow_by_user ON connect_flow (user_id, created_at);
CREATE INDEX connect_flow_by_expiry ON connect_flow (expires_at);

CREATE TABLE credential (
    user_id       TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    slot          TEXT    COLLATE "C" NOT NULL,
    version       BIGINT  NOT NULL,
    sealed        BYTEA   NOT NULL,
    health        TEXT    NOT NULL,
    reason        TEXT,
    obtained_via  TEXT    NOT NULL,
    expires_at    BIGINT,
    updated_at    BIGINT  NOT NULL,
    lease_holder  BYTEA,
    lease_until   BIGINT,
    lease_started BIGINT,
    -- when a lease was taken whose end nobody reported
    interrupted   BIGINT,
    PRIMARY KEY (user_id, slot)
);

CREATE TABLE data_key (
    user_id    TEXT    NOT NULL PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    wrapped_by TEXT    NOT NULL,
    wrapped    BYTEA   NOT NULL,
    created_at BIGINT  NOT NULL
);

-- References nobody: it outlives the people it speaks of. No id is used twice.
CREATE TABLE audit_event (
    id         BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         BIGINT  NOT NULL,
    user_id    TEXT,
    server     TEXT,
    method     TEXT,
    action     TEXT    NOT NULL,
    outcome    TEXT    NOT NULL,
    reason     TEXT,
    request_id TEXT
);
CREATE INDEX audit_event_by_time ON audit_event (at, id);
CREATE INDEX audit_event_by_user ON audit_event (user_id, at, id);

-- Devices that wait for somebody with a browser (RFC 8628). Both codes are digests.
CREATE TABLE device_authorization (
    device_code BYTEA   NOT NULL PRIMARY KEY,
    user_code   BYTEA   NOT NULL UNIQUE,
    client_id   TEXT    NOT NULL,
    resource    TEXT    NOT NULL,
    -- where it was asked from
    address     TEXT,
    -- approved, refused, or NULL while it waits
    decision    TEXT,
    created_at  BIGINT  NOT NULL,
    expires_at  BIGINT  NOT NULL
);
CREATE INDEX device_authorization_by_expiry ON device_authorization (expires_at);

-- Keys that all replicas share, by what they are for.
CREATE TABLE service_key (
    name       TEXT    NOT NULL PRIMARY KEY,
    wrapped_by TEXT    NOT NULL,
    wrapped    BYTEA   NOT NULL,
    created_at BIGINT  NOT NULL
);

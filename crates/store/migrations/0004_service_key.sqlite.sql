-- Keys that all replicas share, by what they are for.
CREATE TABLE service_key (
    name       TEXT    NOT NULL PRIMARY KEY,
    wrapped_by TEXT    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

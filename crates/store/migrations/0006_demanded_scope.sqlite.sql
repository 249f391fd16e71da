-- What an upstream wants of a credential beyond what it was given; gone with the credential.
CREATE TABLE demanded_scope (
    user_id    TEXT    NOT NULL,
    slot       TEXT    NOT NULL,
    scope      TEXT    NOT NULL,
    consents   INTEGER NOT NULL,
    approved   INTEGER,
    open_since INTEGER,
    PRIMARY KEY (user_id, slot, scope),
    FOREIGN KEY (user_id, slot) REFERENCES credential (user_id, slot) ON DELETE CASCADE
) STRICT;

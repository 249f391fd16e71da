-- What an identity provider calls people that it provisions (SCIM), and whether it switched them off.
-- Without a user_name it deleted them.
CREATE TABLE provisioned (
    user_id      TEXT    NOT NULL PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    issuer       TEXT    NOT NULL,
    user_name    TEXT,
    external_id  TEXT,
    switched_off BOOLEAN NOT NULL,
    updated_at   BIGINT  NOT NULL
);
CREATE UNIQUE INDEX provisioned_by_user_name ON provisioned (issuer, lower(user_name));
CREATE INDEX provisioned_by_external_id ON provisioned (issuer, external_id);

-- What people let clients do at the built-in authorization server. Codes and tokens are digests.
CREATE TABLE oauth_grant (
    id              TEXT    NOT NULL PRIMARY KEY,
    user_id         TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    client_id       TEXT    NOT NULL,
    client_name     TEXT    NOT NULL,
    resource        TEXT    NOT NULL,
    scopes          TEXT    NOT NULL,
    created_at      BIGINT  NOT NULL,
    expires_at      BIGINT  NOT NULL,
    code            BYTEA   NOT NULL UNIQUE,
    challenge       TEXT    NOT NULL,
    redirect_uri    TEXT    NOT NULL,
    code_expires_at BIGINT  NOT NULL,
    -- when the code was redeemed; the rest is there from then on
    redeemed_at     BIGINT,
    family          BYTEA   UNIQUE,
    turn            BYTEA,
    last_turn       BYTEA,
    turned_at       BIGINT
);
CREATE INDEX oauth_grant_by_user ON oauth_grant (user_id, created_at);
CREATE INDEX oauth_grant_by_expiry ON oauth_grant (expires_at);

-- Clients that registered themselves.
CREATE TABLE oauth_client (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    redirect_uris TEXT    NOT NULL,
    auth_method   TEXT    NOT NULL,
    secret        BYTEA,
    created_at    BIGINT  NOT NULL,
    expires_at    BIGINT  NOT NULL,
    -- whether somebody ever approved it
    approved      BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX oauth_client_by_age ON oauth_client (approved, created_at);
CREATE INDEX oauth_client_by_expiry ON oauth_client (expires_at);

-- Access tokens of a grant that ended are good nowhere from then on: whoever remembers its person
-- looks again.
CREATE FUNCTION attache_tell_grant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'attache_changes',
        CASE WHEN TG_OP = 'TRUNCATE' THEN '' ELSE json_build_array('person', OLD.user_id)::TEXT END
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER oauth_grant_deleted AFTER DELETE ON oauth_grant FOR EACH ROW
    WHEN (OLD.redeemed_at IS NOT NULL)
    EXECUTE FUNCTION attache_tell_grant();
CREATE TRIGGER oauth_grant_emptied AFTER TRUNCATE ON oauth_grant
    EXECUTE FUNCTION attache_tell_grant();

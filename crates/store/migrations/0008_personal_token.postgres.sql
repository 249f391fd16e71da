-- What people gave programs of theirs. The token itself is nowhere: the digest is its SHA-256.
CREATE TABLE personal_token (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BYTEA   NOT NULL UNIQUE,
    user_id      TEXT    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    name         TEXT    NOT NULL,
    -- a JSON array of names; NULL: everything
    upstreams    TEXT,
    read_only    BOOLEAN NOT NULL,
    created_at   BIGINT  NOT NULL,
    expires_at   BIGINT  NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX personal_token_by_user ON personal_token (user_id, created_at);

-- A revoked token is no token from the commit on: whoever remembers its person looks again, in the
-- words of migration 3, which replicas of the last version know, too.
CREATE FUNCTION attache_tell_of_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('attache_changes',
        CASE WHEN TG_OP = 'TRUNCATE' THEN '' ELSE json_build_array('person', OLD.user_id)::TEXT END);
    RETURN NULL;
END
$$;
CREATE TRIGGER personal_token_deleted AFTER DELETE ON personal_token FOR EACH ROW
    EXECUTE FUNCTION attache_tell_of_token();
CREATE TRIGGER personal_token_emptied AFTER TRUNCATE ON personal_token
    EXECUTE FUNCTION attache_tell_of_token();

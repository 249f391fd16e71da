-- Tells every gateway what changed under it, with the commit and whoever wrote: a replica, a
-- command, or somebody at a prompt. The payload is a JSON array: what, and whose. An empty one says
-- that anything may have changed: where a table was emptied, or a name is longer than a
-- notification may be.
CREATE FUNCTION attache_tell() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told TEXT := '';
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        NULL;
    ELSIF TG_TABLE_NAME = 'credential' THEN
        told := json_build_array('credential', OLD.user_id, OLD.slot)::TEXT;
    ELSIF TG_TABLE_NAME = 'person' THEN
        told := json_build_array('person', OLD.id)::TEXT;
    ELSE
        told := json_build_array('data_key', OLD.user_id)::TEXT;
    END IF;
    PERFORM pg_notify('attache_changes', CASE WHEN octet_length(told) < 8000 THEN told ELSE '' END);
    RETURN NULL;
END
$$;

-- A lease changes neither; what is new was remembered by nobody.
CREATE TRIGGER credential_replaced AFTER UPDATE ON credential FOR EACH ROW
    WHEN (OLD.version IS DISTINCT FROM NEW.version OR OLD.health IS DISTINCT FROM NEW.health)
    EXECUTE FUNCTION attache_tell();
CREATE TRIGGER credential_deleted AFTER DELETE ON credential FOR EACH ROW
    EXECUTE FUNCTION attache_tell();
CREATE TRIGGER credential_emptied AFTER TRUNCATE ON credential
    EXECUTE FUNCTION attache_tell();

-- Each sign-in writes a profile; only the switch matters here.
CREATE TRIGGER person_switched AFTER UPDATE ON person FOR EACH ROW
    WHEN (OLD.disabled IS DISTINCT FROM NEW.disabled)
    EXECUTE FUNCTION attache_tell();
CREATE TRIGGER person_deleted AFTER DELETE ON person FOR EACH ROW
    EXECUTE FUNCTION attache_tell();
CREATE TRIGGER person_emptied AFTER TRUNCATE ON person
    EXECUTE FUNCTION attache_tell();

-- An update wraps the same key again: what is open stays right.
CREATE TRIGGER data_key_deleted AFTER DELETE ON data_key FOR EACH ROW
    EXECUTE FUNCTION attache_tell();
CREATE TRIGGER data_key_emptied AFTER TRUNCATE ON data_key
    EXECUTE FUNCTION attache_tell();

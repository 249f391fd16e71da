-- Whether a client that registered itself is still used.
CREATE INDEX oauth_grant_by_client ON oauth_grant (client_id, expires_at);

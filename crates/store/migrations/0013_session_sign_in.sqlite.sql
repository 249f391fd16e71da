-- Of which sign-in at their issuer a session came, in its words (`sub`, `sid`): it may say that one is
-- over. Of those that are here it is not known.
ALTER TABLE session ADD COLUMN issuer_subject TEXT;
ALTER TABLE session ADD COLUMN issuer_session TEXT;
CREATE INDEX session_by_issuer_subject ON session (issuer_subject);
CREATE INDEX session_by_issuer_session ON session (issuer_session);

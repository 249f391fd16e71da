-- When their issuer vouched for a person last. Of those who are here it is not known: from now on.
ALTER TABLE person ADD COLUMN last_signed_in_at INTEGER;
UPDATE person SET last_signed_in_at = unixepoch() * 1000;

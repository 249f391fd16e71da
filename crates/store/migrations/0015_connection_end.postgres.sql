-- When a connection is over that its person made for a while. Gone with it; what is sealed decides.
CREATE TABLE connection_end (
    user_id TEXT    NOT NULL,
    slot    TEXT    NOT NULL,
    ends_at BIGINT  NOT NULL,
    PRIMARY KEY (user_id, slot),
    FOREIGN KEY (user_id, slot) REFERENCES credential (user_id, slot) ON DELETE CASCADE
);
CREATE INDEX connection_end_by_end ON connection_end (ends_at);

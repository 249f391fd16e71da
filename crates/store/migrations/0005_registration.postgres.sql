-- Us, as upstreams' authorization servers registered us. Version 0: nobody did yet.
CREATE TABLE registration (
    upstream     TEXT    NOT NULL PRIMARY KEY,
    version      BIGINT  NOT NULL,
    sealed       BYTEA,
    lease_holder BYTEA,
    lease_until  BIGINT
);

-- Us, as upstreams' authorization servers registered us. Version 0: nobody did yet.
CREATE TABLE registration (
    upstream     TEXT    NOT NULL PRIMARY KEY,
    version      INTEGER  NOT NULL,
    sealed       BLOB,
    lease_holder BLOB,
    lease_until  INTEGER
) STRICT;

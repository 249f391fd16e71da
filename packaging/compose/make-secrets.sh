#!/bin/sh
# Makes what compose.yaml reads: a key, a database password, and who the gateway runs as. What is
# there already is kept. Keep a copy of secrets/attache.key elsewhere: without it nothing opens.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 0700 secrets

# new NAME: stdin becomes the secret, unless it is there
new() {
    [ -e "secrets/$1" ] || cat > "secrets/$1"
}

openssl rand -base64 32 | new attache.key
openssl rand -hex 32 | new postgres-password
# read by the database's own user, and out of others' reach in this folder
chmod 0444 secrets/postgres-password
printf 'postgres://attache:%s@localhost/attache?host=/run/postgresql\n' "$(cat secrets/postgres-password)" |
    new database-url
[ -e secrets/idp-secret ] ||
    echo "secrets/idp-secret is yours to write: the client secret your identity provider gave you" >&2
# a file of one's own is what a container of one's own may read
printf 'GATEWAY_USER=%s:%s\n' "$(id -u)" "$(id -g)" > .env

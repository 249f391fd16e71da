#!/usr/bin/env python3
"""A key plugin for attache, as short as it can be: `plugin:/path.sock`.

    python3 key_plugin.py /run/attache/key.sock /etc/attache/plugin.key

attache connects once a question, writes one line of JSON and reads one line of JSON:

    {"op":"id"}                                     -> {"id":"demo-1"}
    {"op":"wrap","key":BASE64,"person":"..."}       -> {"wrapped":BASE64}
    {"op":"unwrap","wrapped":BASE64,"person":"..."} -> {"key":BASE64}

or {"error":"tampered"}, {"error":"refused"}, {"error":"unavailable"}. It waits five seconds and reads
64 KiB at most. `wrapped` is yours: whatever lets you give the same key back, for the same person only.

This one keeps its key in a file and uses what Python brings along (an HMAC-SHA-256 key stream, then a
tag over everything). Put your HSM or key service where `wrap` and `unwrap` are.
"""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socketserver
import sys

TAG = 32
NONCE = 32
LONGEST = 64 * 1024


class Tampered(Exception):
    pass


def load(path):
    """The key file, made when it is missing, for this account alone."""
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    with open(path, "rb") as file:
        return file.read()


def mac(key, *parts):
    """HMAC over the parts, each after its length, so that they cannot be cut differently."""
    text = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(key, text, hashlib.sha256).digest()


def name(key):
    """Says which key this is, wherever it runs, and nothing about it."""
    return "demo-" + mac(key, b"name").hex()[:16]


def wrap(key, data_key, person):
    nonce = secrets.token_bytes(NONCE)
    stream = mac(key, b"stream", nonce)
    if len(data_key) != len(stream):
        raise Tampered
    hidden = bytes(a ^ b for a, b in zip(data_key, stream))
    return nonce + hidden + mac(key, b"tag", nonce, hidden, person)


def unwrap(key, wrapped, person):
    nonce, hidden, tag = wrapped[:NONCE], wrapped[NONCE:-TAG], wrapped[-TAG:]
    if not hmac.compare_digest(tag, mac(key, b"tag", nonce, hidden, person)):
        raise Tampered
    return bytes(a ^ b for a, b in zip(hidden, mac(key, b"stream", nonce)))


def answer(key, question):
    person = question.get("person", "").encode()
    match question["op"]:
        case "id":
            return {"id": name(key)}
        case "wrap":
            data_key = base64.b64decode(question["key"])
            return {"wrapped": base64.b64encode(wrap(key, data_key, person)).decode()}
        case "unwrap":
            wrapped = base64.b64decode(question["wrapped"])
            return {"key": base64.b64encode(unwrap(key, wrapped, person)).decode()}
    return {"error": "refused"}


class Plugin(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            said = answer(self.server.key, json.loads(self.rfile.readline(LONGEST)))
        except Tampered:
            said = {"error": "tampered"}
        except Exception as error:  # the kind alone: a message may hold a key
            print(type(error).__name__, file=sys.stderr)
            said = {"error": "unavailable"}
        self.wfile.write(json.dumps(said).encode() + b"\n")


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def main():
    socket, file = sys.argv[1:]
    if os.path.exists(socket):
        os.unlink(socket)
    os.umask(0o077)  # the socket is for this account alone
    with Server(socket, Plugin) as server:
        server.key = load(file)
        print(f"{name(server.key)} on {socket}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()

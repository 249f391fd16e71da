"""An upstream's authorization server that knows nothing of PKCE, on oidc-provider-mock. Options: port."""

import json
import os
import sys
import threading

from oidc_provider_mock import app
from werkzeug.serving import WSGIRequestHandler, make_server

HOST = "127.0.0.1"


class Silent(WSGIRequestHandler):
    def log(self, *_):
        pass


def end_with_parent():
    sys.stdin.read()
    os._exit(0)


options = {"port": 0, **json.loads(sys.argv[1])}
server = make_server(HOST, options["port"], app(), threaded=True, request_handler=Silent)
threading.Thread(target=end_with_parent, daemon=True).start()
print(json.dumps({"ready": True, "url": f"http://{HOST}:{server.server_port}"}), flush=True)
server.serve_forever()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server that stands for the proxy an agent is allowed to reach. Prints its port, serves until its stdin ends."""

import http.server
import json
import os
import sys
import threading


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        body = json.dumps({"text": f"{question.get('files')} files, noted"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(0)

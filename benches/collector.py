#!/usr/bin/env python3
"""Takes traces as a collector does, and keeps none: what sending them costs the sender.

Prints its address, then counts until SIGTERM; then prints requests and bytes.
"""
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

taken = [0, 0]


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        taken[1] += len(self.rfile.read(int(self.headers["content-length"])))
        taken[0] += 1
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
print(f"ready at http://127.0.0.1:{server.server_port}", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(f"{taken[0]} requests, {taken[1]} bytes", flush=True)))
server.serve_forever()

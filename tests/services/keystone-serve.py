"""Serves Keystone on 127.0.0.1: keystone-serve.py CONFIG-FILE PORT. For tests only."""

import socketserver
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

config, port = sys.argv[1:]
# Keystone reads its own command line.
sys.argv = ["keystone", "--config-file", config]

from keystone.wsgi.api import application  # noqa: E402


class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class Handler(WSGIRequestHandler):
    def log_message(self, *_arguments):
        """Requests contain tokens, and Keystone has a log of its own."""


server = Server(("127.0.0.1", int(port)), Handler)
server.set_app(application)
server.serve_forever()

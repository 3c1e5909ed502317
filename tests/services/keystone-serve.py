"""Serves Keystone on 127.0.0.1: keystone-serve.py CONFIG-FILE PORT. For tests only."""

import io
import socketserver
import sys
from wsgiref.util import setup_testing_defaults
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


# Keystone initializes its parts at the first login, and not safely for threads: the first of several logins at once can be
# answered with 500. So there is one before the server listens, of a user that does not exist.
login = b'''{"auth": {"identity": {"methods": ["password"], "password": {"user": {
  "name": "nobody", "domain": {"name": "Default"}, "password": "none"}}}}}'''
environ = {
    "REQUEST_METHOD": "POST",
    "PATH_INFO": "/v3/auth/tokens",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": str(len(login)),
    "wsgi.input": io.BytesIO(login),
}
setup_testing_defaults(environ)
statuses = []
list(application(environ, lambda status, *_more: statuses.append(status)))
assert statuses[0].startswith("401"), statuses

server = Server(("127.0.0.1", int(port)), Handler)
server.set_app(application)
server.serve_forever()

"""A local HTTP server that behaves as badly as it is told."""

import contextlib
import http.server
import threading


@contextlib.contextmanager
def serving(handler):
    """Serves by a handler on this machine, and yields the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class FileServer:
    """Serves one file at every address, and notes what it was asked.

    Args:
        content: The bytes of the file.
    """

    def __init__(self, content):
        self.content = content
        self.says_length = True
        self.breaks_after = []  # for each of the next answers: after how many bytes it breaks
        self.redirects = {}  # from a path to an address
        self.asked = []  # the path of each request

    @contextlib.contextmanager
    def running(self):
        with serving(self._handler()) as self.address:
            yield self

    def _handler(self):
        serving = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                serving.asked.append(self.path)
                if self.path in serving.redirects:
                    self.send_response(302)
                    self.send_header("Location", serving.redirects[self.path])
                    self.end_headers()
                    return
                if self.path == "/missing":
                    self.send_error(404)
                    return
                if self.path == "/loud":
                    self.send_response_only(404, "\x1b[31m" + "x" * 10_000)
                    self.end_headers()
                    return
                self._send_file()

            def _send_file(self):
                total = len(serving.content)
                self.send_response(200)
                if serving.says_length:
                    self.send_header("Content-Length", str(total))
                self.end_headers()
                count = serving.breaks_after.pop(0) if serving.breaks_after else total
                with contextlib.suppress(ConnectionError):  # the client has enough
                    self.wfile.write(serving.content[:count])
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        return Handler

"""A local HTTP server that behaves as badly as it is told."""

import contextlib
import http.server
import threading


class FileServer:
    """Serves one file at every address, and notes what it was asked.

    Args:
        content: The bytes of the file.
    """

    def __init__(self, content):
        self.content = content
        self.knows_ranges = True
        self.says_length = True
        self.breaks_after = []  # for each of the next answers: after how many bytes it breaks
        self.halts_at = None  # after how many bytes an answer waits for `goes_on`
        self.goes_on = threading.Event()
        self.redirects = {}  # from a path to an address
        self.asked = []  # the path and the range of each request

    @contextlib.contextmanager
    def running(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            self.address = f"http://127.0.0.1:{server.server_port}"
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self):
        serving = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                wanted = self.headers["Range"]
                serving.asked.append((self.path, wanted))
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
                self._send_file(wanted if serving.knows_ranges else None)

            def _send_file(self, wanted):
                start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
                total = len(serving.content)
                if start >= total:
                    self.send_error(416)
                    return
                self.send_response(206 if wanted else 200)
                if wanted:
                    self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
                if serving.says_length:
                    self.send_header("Content-Length", str(total - start))
                self.end_headers()
                count = serving.breaks_after.pop(0) if serving.breaks_after else total
                end = min(start + count, total)
                if serving.halts_at is not None:
                    self.wfile.write(serving.content[start : serving.halts_at])
                    start = serving.halts_at
                    serving.goes_on.wait(60)
                with contextlib.suppress(ConnectionError):  # the client was killed
                    self.wfile.write(serving.content[start:end])
                self.close_connection = True

            def log_message(self, *arguments):
                pass

        return Handler

"""Serve a folder on the loopback, in a process of its own: GDAL waits without letting Python run.

    python range_server.py FOLDER ranges|plain LOG

Prints its port; then writes every answer's path and bytes into LOG.
"""

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER, TAKES_RANGES, LOG = Path(sys.argv[1]), sys.argv[2] == "ranges", Path(sys.argv[3])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(sends_body=False)

    def do_GET(self) -> None:
        self._answer(sends_body=True)

    def _answer(self, sends_body: bool) -> None:
        path = FOLDER / self.path.lstrip("/")
        body = path.read_bytes() if path.is_file() else b""
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not path.is_file():
            self.send_response(404)
        elif part and TAKES_RANGES:
            start, last = int(part[1]), min(int(part[2] or len(body)), len(body) - 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(body)}")
            body = body[start : last + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if sends_body:
            with LOG.open("a") as log:
                log.write(f"{self.path} {len(body)}\n")
            self.wfile.write(body)


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

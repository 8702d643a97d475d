"""Stand-ins for other people's servers, each a process of its own: a script that says its port and serves until it is
killed.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Answering(BaseHTTPRequestHandler):
    """Answers by its `mode`, in `get` and `post`, and notes what it is asked in the file `log`."""

    mode = "fine"
    log = ""

    def get(self) -> None:
        """Answer a GET."""
        raise NotImplementedError

    def post(self) -> None:
        """Answer a POST."""
        raise NotImplementedError

    def do_GET(self) -> None:
        """By its own name."""
        self.get()

    def do_POST(self) -> None:
        """By its own name."""
        self.post()

    def body(self) -> dict[str, Any]:
        """The request's JSON."""
        found: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def send(self, status: int, answer: Any, headers: Mapping[str, str] | None = None) -> None:
        """An answer: a text as it is, anything else as JSON."""
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Says nothing on standard error."""


class _Server(ThreadingHTTPServer):
    """Many connections at once."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One who hangs up, also in the midst of a body, is no error."""
        if not isinstance(sys.exception(), ConnectionError | json.JSONDecodeError):
            super().handle_error(request, client_address)


def main(handler: type[Answering]) -> None:
    """What a script does that is called with a mode, a log and a port, of which 0 is any."""
    handler.mode, handler.log = sys.argv[1:3]
    server = _Server(("127.0.0.1", int(sys.argv[3])), handler)
    print(server.server_port, flush=True)
    server.serve_forever()


@contextmanager
def answering(script: str, mode: str, log: Path, port: int = 0) -> Iterator[str]:
    """The url of such a script, run until the end of the block."""
    line = [sys.executable, script, mode, str(log), str(port)]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()

"""A stand-in for a reward model's server, as a process: vLLM's /classify and /pooling, and ways to misbehave.

`python reward_server.py MODE` prints its port and serves until it is killed. A pair's logit is the length of its text,
or the sum of its tokens; the `log` file gets a line for each request.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from typing import Any

LIMIT = 5000  # tokens or characters, above which the server refuses
OVERLONG = "This model's maximum context length is 5000 tokens. However, your request has more."
requests = count()


class Handler(BaseHTTPRequestHandler):
    """One answer for each request, by the mode."""

    mode = "fine"
    log = ""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        number = next(requests)
        with open(self.log, "a") as file:
            asked = {"path": self.path, "key": self.headers["Authorization"], **body}
            file.write(json.dumps(asked) + "\n")
        status, answer = self.answer(body, number)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, body: dict[str, Any], number: int) -> tuple[int, Any]:
        match self.mode:
            case "busy" if number % 3:
                return 503, "come back later"
            case "html":
                return 200, "<html>Welcome to nginx!</html>"
            case "chat":
                return 200, {"choices": [{"message": {"content": "Hello"}}]}
            case "unknown_model":
                return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
            case "slow":
                time.sleep(5)
            case "breaks" if number >= 2:
                return 500, {"error": {"message": "CUDA error"}}
        pairs = body["input"] if "input" in body else ["".join(m["content"] for m in body["messages"])]
        if any(len(pair) > LIMIT for pair in pairs):
            return 400, {"object": "error", "message": OVERLONG, "code": 400}
        values = [[float(len(pair) if isinstance(pair, str) else sum(pair))] for pair in pairs]
        return 200, {"data": self.entries(values)}

    def entries(self, values: list[list[float]]) -> list[dict[str, Any]]:
        match self.mode:
            case "few":
                values = values[1:]
            case "two_labels":
                values = [[0.5, 0.5] for _ in values]
            case "words":
                values = [["high"] for _ in values]  # type: ignore[list-item]
        name = "probs" if self.path == "/classify" else "data"
        return [{"index": i, name: value} for i, value in enumerate(values)][::-1]

    def log_message(self, *arguments: object) -> None:
        """Says nothing on standard error."""


if __name__ == "__main__":
    Handler.mode, Handler.log = sys.argv[1:]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()

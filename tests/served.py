"""A server of our own for tests: in this process, on a thread, so that its engine's counters can be seen."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import openai
import uvicorn
from prometheus_client.parser import text_string_to_metric_families
from standins import PATIENCE_SECONDS, Moody, Talking, until

from tts import server
from tts.config import ServeConfig
from tts.protocols import Scorer
from tts.serving.service import Service

MODEL = "stand-in"


@dataclass
class Served:
    """A server that runs: where, and what is behind it."""

    url: str
    service: Service
    generator: Talking
    rating: Any

    @property
    def client(self) -> openai.OpenAI:
        """OpenAI's own client, which does not try again by itself."""
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    @property
    def async_client(self) -> openai.AsyncOpenAI:
        """The other one."""
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0)

    def post(self, body: Any, route: str = "chat/completions", **more: Any) -> httpx.Response:
        """A request as it stands."""
        return httpx.post(f"{self.url}/v1/{route}", json=body, timeout=PATIENCE_SECONDS, **more)

    def ask(self, text: str = "hi", **more: Any) -> httpx.Response:
        """A chat of one message."""
        return self.post({"model": MODEL, "messages": [{"role": "user", "content": text}], **more})

    def tts(self, text: str = "hi", **more: Any) -> dict[str, Any]:
        """The extension object of an answer."""
        answer = self.ask(text, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["tts"]
        return found

    def metric(self, name: str, **labels: str) -> float:
        """A number of /metrics."""
        return metric(self.url, name, **labels)

    def idle(self) -> bool:
        """Whether the generator has nothing left to do, sooner or later."""
        return until(lambda: self.generator.unfinished == 0)


def metric(url: str, name: str, **labels: str) -> float:
    """A number of a server's /metrics: the sum over all labels but those given."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=PATIENCE_SECONDS).text)
    samples = (sample for family in families for sample in family.samples if sample.name == name)
    return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())


def config(
    n: int = 4, selectors: Sequence[Any] = ("argmax", "majority"), stopping: Any = None, **serve: Any
) -> ServeConfig:
    """A config of which the models are given otherwise."""
    return ServeConfig.model_validate(
        {
            "generator": {"name": "replay", "n": n, "path": "unused"},
            "scorers": ["rating", "likelihood"],
            "selectors": list(selectors),
            "stopping": stopping,
            "serve": {"model": MODEL, "keep_alive": 0.2, **serve},
        }
    )


@contextmanager
def serving(
    chosen: ServeConfig | None = None,
    generator: Any = None,
    scorers: Mapping[str, Scorer] | None = None,
    keys: Sequence[str] = (),
) -> Iterator[Served]:
    """A server until the end of the block."""
    from tts.score.likelihood import Likelihood

    generator = generator or Talking(width=64, steps=2, seconds=0.002)
    scorers = scorers or {"rating": Moody(), "likelihood": Likelihood()}
    service = Service(chosen or config(), generator, scorers)
    service.load()
    address = server.bound("127.0.0.1", 0)
    running = uvicorn.Server(server.configured(server.make_app(service, list(keys))))
    thread = threading.Thread(target=lambda: asyncio.run(running.serve(sockets=[address])))
    thread.start()
    try:
        assert until(lambda: running.started)
        yield Served(f"http://127.0.0.1:{address.getsockname()[1]}", service, generator, scorers["rating"])
    finally:
        running.should_exit = True
        thread.join()
        service.close()

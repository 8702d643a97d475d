"""What `/metrics` shows, for Prometheus. Each server has a registry of its own."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Meters:
    """Counters, gauges and histograms; `text` is all of them in Prometheus' format."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = self._counter("requests", "Requests by route and status", "route", "status")
        self.candidates = self._counter(
            "candidates",
            "Candidates asked for, drawn, lost, refused for their request, cancelled, and spared: never asked for",
            "what",
        )
        self.tokens = self._counter("tokens", "Tokens of prompts, and of all that was sampled", "kind")
        self.degraded = self._counter("degraded", "Answers that something was missing for, by what", "what")
        self.stopped = self._counter("stopped_early", "Answers that did not wait for all candidates")
        self.abstained = self._counter("abstained", "Answers without a winner")
        self.disconnects = self._counter("disconnects", "Clients that hung up before their answer")
        says = "Seconds by stage"
        self.seconds = Histogram("tts_seconds", says, ["stage"], buckets=SECONDS, registry=self._registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"tts_{name}", says, labels, registry=self._registry)

    def gauge(self, name: str, says: str, read: Callable[[], float]) -> None:
        """A number that is read when it is asked for."""
        Gauge(name, says, registry=self._registry).set_function(read)

    @property
    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self._registry)

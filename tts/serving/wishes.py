"""From a request to a complete wish: the server's defaults where it says nothing, a refusal by name where need be."""

import dataclasses
import secrets
from collections.abc import Mapping
from typing import Any

from tts import plugins
from tts.errors import unknown
from tts.protocols import Selector
from tts.serving.order import Wish
from tts.serving.refusals import Refusal, bad
from tts.serving.schema import ChatRequest, CompletionRequest
from tts.serving.service import Service
from tts.types import Message, Problem, Sampling, Stdin

Request = ChatRequest | CompletionRequest
SEEDS_TAKEN = 2**63  # that generators take; OpenAI's are any integer


def new_id(request: Request) -> str:
    """Of a run that is to answer it."""
    return f"{'chatcmpl' if isinstance(request, ChatRequest) else 'cmpl'}-{secrets.token_hex(12)}"


def wish_of(service: Service, request: Request, run: str) -> Wish:
    """Complete, for the run of that id. Raises Refusal."""
    if request.model != service.model:
        message = unknown(request.model, "the models here", [service.model])
        raise Refusal(404, message, code="model_not_found", param="model")
    choices = request.n or 1
    n = _count(service, request, choices)
    statement, messages = request.asked
    select = _named("tts.select", request.tts.select, service.selectors)
    return Wish(
        problem=Problem(
            id=run,
            statement=statement,
            messages=_with_system(service, messages),
            public_tests=_tests(service, request),
            sampling=_sampling(service, request),
        ),
        n=n,
        choices=choices,
        scorer=_named("tts.scorer", request.tts.scorer, {item.label: item for item in service.config.scorers}),
        select=select,
        selector=_above(service, select, request.tts.threshold),
        stopping=service.stopping,
        least=max(choices, min(service.settings.min_candidates, n)),
        threshold=request.tts.threshold,
        prefix="" if messages else statement,
        names=request.names,
    )


def _count(service: Service, request: Request, choices: int) -> int:
    """How many candidates. Greedy ones are all the same, so that no more are drawn than are given back."""
    most, asked, name_of_n = service.settings.max_n, request.sampled, request.names.sampled
    default = choices if request.temperature == 0 else max(choices, service.config.generator.n or 1)
    for name, value in (("n", choices), (name_of_n, asked or choices)):
        if value > most:
            raise bad(name, f"at most {most} candidates may be asked for here, got {value}.")
    if asked is not None and asked < choices:
        raise bad("n", f"{choices} choices of {asked} candidates cannot be given. Lower n or raise {name_of_n}.")
    return asked or default


def _with_system(service: Service, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """With the server's own system message, where a chat has none."""
    system = service.config.prompt.system
    if not messages or not system or any(m.role == "system" for m in messages):
        return messages
    return (Message("system", system), *messages)


def _tests(service: Service, request: Request) -> tuple[Stdin, ...]:
    if request.tts.public_tests and not service.executes:
        raise bad(
            "tts.public_tests",
            "this server runs no programs. Its config names neither the scorer public_tests nor a selector or policy "
            "that compares what programs do.",
        )
    most, given = service.settings.max_public_tests, len(request.tts.public_tests)
    if given > most:
        raise bad("tts.public_tests", f"at most {most} are taken here, got {given}.")
    return tuple(Stdin(test.input, test.output) for test in request.tts.public_tests)


def _sampling(service: Service, request: Request) -> Sampling:
    """What the request says of it, checked against what the server allows and the generator can."""
    names, seed = request.names, request.seed
    size = sum(len(m.content) for m in request.asked[1]) or len(request.asked[0])
    if size > service.settings.max_prompt_characters:
        most = service.settings.max_prompt_characters
        raise bad(names.prompt, f"at most {most} characters are taken, got {size}.", "context_length_exceeded")
    most_tokens = service.settings.max_tokens
    if most_tokens is not None and (request.longest or 0) > most_tokens:
        raise bad(names.longest, f"at most {most_tokens} tokens may be asked for here, got {request.longest}.")
    found = Sampling(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        max_tokens=request.longest or service.longest,
        stop=tuple(request.stop) or None,
        seed=None if seed is None else seed % SEEDS_TAKEN,
    )
    given = {name for name, value in dataclasses.asdict(found).items() if value is not None}
    for name in sorted(given - service.honours):
        raise bad(
            names.longest if name == "max_tokens" else name, "this server's generator does not take it. Leave it out."
        )
    return found


def _named(param: str, asked: str | None, there: Mapping[str, Any]) -> str:
    """The label asked for, or the first."""
    if asked is not None and asked not in there:
        raise bad(param, unknown(asked, "this server's config", there))
    return asked or next(iter(there))


def _above(service: Service, label: str, threshold: float | None) -> Selector:
    """The selector of a label, among candidates that score at least so much."""
    if threshold is None:
        return service.selectors[label]
    spec = next(item.spec for item in service.config.selectors if item.label == label)
    then = {"name": spec.name, **spec.options}
    least = {"name": "threshold", "mode": "absolute", "value": threshold, "then": then}
    built: Selector = plugins.build("selector", least, "tts.threshold", seed=service.config.seed)
    return built

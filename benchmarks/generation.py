#!/usr/bin/env python3
"""Tokens per second of the transformers generator beside a plain `model.generate` loop over problems, in one run.

Same model, dtype, problems, n, temperature, top_p and max_tokens. The two take turns, problem set by problem set, so
that a noisy machine is noisy to both; the ratio of the medians is the figure.

    python benchmarks/generation.py --problems 10 --n 8 --max-tokens 128 --rounds 3
"""

import argparse
import statistics
import time
from typing import Any

import torch
from _results import save

from tts.generate.transformers import Transformers
from tts.models import device_and_dtype, locate
from tts.problems.mini import Mini
from tts.types import Problem


def plain_loop(model: Any, tokenizer: Any, problems: list[Problem], options: Transformers, n: int) -> int:
    """One `model.generate` call per problem, n sequences each; the number of tokens up to each row's end."""
    tokens = 0
    for problem in problems:
        chat = [{"role": m.role, "content": m.content} for m in problem.messages]
        inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        rows = model.generate(
            **inputs.to(model.device),
            do_sample=True,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=0,
            max_new_tokens=options.max_tokens,
            num_return_sequences=n,
            pad_token_id=tokenizer.pad_token_id,
        )[:, inputs["input_ids"].shape[1] :]
        ends = (rows == tokenizer.eos_token_id).int()
        length = torch.where(ends.any(-1), ends.argmax(-1) + 1, rows.shape[1])
        tokens += int(length.sum())
    return tokens


def ours(generator: Transformers, problems: list[Problem], n: int) -> int:
    """All problems in one call; the number of tokens."""
    return sum(c.tokens or 0 for c in generator.generate([(p, i) for p in problems for i in range(n)]))


def rate(work: Any, *arguments: Any) -> float:
    """Tokens per second of one call."""
    begun = time.perf_counter()
    tokens: int = work(*arguments)
    return tokens / (time.perf_counter() - begun)


def main() -> None:
    """Measure and print."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", nargs="+", default=["bfloat16", "float32"])
    a = parser.parse_args()
    problems = Mini(limit=a.problems).problems()
    table = []
    for name in a.dtype:
        options = Transformers(model=a.model, dtype=name, max_tokens=a.max_tokens, batch_size=a.batch_size)
        device, dtype = device_and_dtype("auto", name)
        reference = AutoModelForCausalLM.from_pretrained(locate(a.model), dtype=dtype).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(locate(a.model))
        ours(options, problems[:1], 2)  # load and warm up
        pairs = [
            (rate(plain_loop, reference, tokenizer, problems, options, a.n), rate(ours, options, problems, a.n))
            for _ in range(a.rounds)
        ]
        plain, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
        table.append({"dtype": name, "plain_tokens_per_s": plain, "tts_tokens_per_s": mine, "ratio": mine / plain})
        print(f"{name:>9}: generate loop {plain:7.1f} tokens/s   tts {mine:7.1f} tokens/s   ratio {mine / plain:.2f}")
    save("generation", {"settings": vars(a), "results": table})


if __name__ == "__main__":
    main()

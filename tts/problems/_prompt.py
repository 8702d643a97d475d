"""The chat that asks for a whole program or for one with given starter code; shared by benchmarks of contest problems.

The wording is LiveCodeBench's for chat models (lcb_runner/prompts/code_generation.py), the same to the letter, since
only then are results comparable.
"""

from tts.types import Message

SYSTEM = (
    "You are an expert Python programmer. You will be given a question (problem specification) and will generate a "
    "correct Python program that matches the specification and passes all tests."
)
WITH_STARTER = (
    "You will use the following starter code to write the solution to the problem and enclose your code within "
    "delimiters."
)
WITHOUT_STARTER = (
    "Read the inputs from stdin solve the problem and write the answer to stdout (do not directly test on the sample "
    "inputs). Enclose your code within delimiters as follows. Ensure that when the python program runs, it reads the "
    "inputs, runs the algorithm and writes output to STDOUT."
)


def messages(statement: str, starter_code: str = "") -> tuple[Message, ...]:
    """The chat for a problem with starter code, or for one whose program reads stdin and writes stdout."""
    wording = WITH_STARTER if starter_code else WITHOUT_STARTER
    block = starter_code or "# YOUR CODE HERE"
    user = (
        f"### Question:\n{statement}\n\n### Format: {wording}\n```python\n{block}\n```\n\n"
        "### Answer: (use the provided format with backticks)\n\n"
    )
    return Message("system", SYSTEM), Message("user", user)

"""The chat that asks for a function, as EvalPlus sends it; shared by HumanEval, HumanEval+ and MBPP+.

The wording is the one of its chat models behind an API (evalplus/codegen.py and provider/openai.py, version 0.3.1), the
same to the letter, since only then are results comparable. For models that it runs itself EvalPlus also begins the
answer, which a chat cannot.
"""

from tts.types import Message

INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown code block:"
)


def messages(prompt: str) -> tuple[Message, ...]:
    """The chat for a prompt that is Python: a function's head and docstring, or a docstring with asserts."""
    return (Message("user", f"{INSTRUCTION}\n```python\n{prompt.strip()}\n```"),)

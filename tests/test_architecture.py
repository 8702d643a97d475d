"""The rules of ARCHITECTURE.md, read off the source: who imports whom, what loads when, what a file owes its reader."""

import ast
import dataclasses
import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import tts
from tts import plugins

ROOT = Path(tts.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
FAMILIES = ("problems", "generate", "score", "select", "stop", "sandbox")

# From the top downwards; a module may import from any lower line, never from its own or a higher one.
LAYERS = [
    {"cli"},
    {"replay_report"},
    {"audit_report"},
    {"page"},
    {"page_data", "report", "formats", "picture", "train", "training_picture"},
    {"palette", "comparison", "server", "cluster", "audit", "audit_tables", "live", "cost_report", "certainty_report"}
    | {"pair_rows", "trainable"},
    {"sentences", "sheets", "audit_form", "audit_pool", "audit_probing"},
    {"frontier", "findings"},  # compares what the analysis found and what it cost
    # all but the first are of what the analysis found
    {"scoring", "breakdown", "certainty", "cost", "margins", "replay", "export"},
    {"merging"},
    {"analysis", "best_of", "grade_files", "score_files", "selftest", "preview", "serving", "ray_grading"},
    {"ray_places"},
    {"pipeline", "hosting", "ray_session"},
    {"dispatch"},
    {"engine", "planning", "verdicts", "ledger", "observing", "training"},
    {"grade", "store", "config", "stopping"},
    {"difference", "pairs", "reward"},
    set(FAMILIES),
    {"vllm_engine", "ranking", "probes", "rm_bench", "chances", "extrapolation", "mutants"} | {"likeness", "adapters"},
    {"plugins", "prompts", "metrics", "models", "hub", "environment", "jsonl", "seeds", "memory", "watcher", "wording"}
    | {"ballots", "significance", "access", "terminal", "writing"},
    {"footprint"},
    {"protocols", "shapes"},
    {"types", "errors"},
]
LAYER_OF = {unit: depth for depth, units in enumerate(LAYERS) for unit in units}

EXCEPTIONS = {
    ("score/public_tests", "sandbox"): "the one scorer that executes (DESIGN.md)",
    (
        "problems/_expected",
        "sandbox",
    ): "rows of inputs only: their expected values come of running a reference solution",
    ("__init__", "best_of"): "the package's face; imported when `BestOfN` is asked for",
}

HEAVY = {
    "torch": {
        "adapters",
        "models",
        "generate/transformers",
        "generate/_decode",
        "generate/_sampling",
        "generate/_vllm_top_p",
        "score/_layout",
        "score/_packed",
        "score/_reward",
        "train",
        "trainable",
    },
    "transformers": {
        "models",
        "generate/transformers",
        "generate/_decode",
        "generate/_sampling",
        "score/_packed",
        "score/_reward",
        "train",
        "trainable",
    },
    "trl": {"train", "trainable"},
    "peft": {"trainable"},
    "datasets": {"train"},
    "vllm": {"vllm_engine", "generate/vllm", "generate/_vllm_top_p", "score/_pooling"},
    "matplotlib": {"picture", "replay_report", "training_picture"},
    "jinja2": {"page", "trainable"},
    "pyarrow": {"export", "pair_rows", "problems/_files"},
    "tree_sitter": {"prompts"},
    "tree_sitter_python": {"prompts"},
    "huggingface_hub": {"hub", "models"},
    "httpx": {"generate/_upstream"},
    "fastapi": {"server", "serving/responses"},
    "starlette": {"server", "serving/gate", "serving/responses", "serving/streams"},
    "uvicorn": {"server"},
    "prometheus_client": {"serving/meters"},
    "ray": {"cluster", "ray_grading", "ray_places", "ray_session"},
}
# These are made of a heavy library and are themselves imported only when a model runs.
HEAVY_INSIDE = {
    "generate/_decode",
    "generate/_sampling",
    "generate/_upstream",
    "generate/_vllm_top_p",
    "score/_layout",
    "score/_packed",
    "score/_reward",
    "server",
    "serving/gate",
    "serving/meters",
    "serving/responses",
    "serving/streams",
}

BROAD_EXCEPT_ALLOWED = {
    "generate/_language": "a chat template is the model's own program: whatever it raises is its refusal of that chat",
    "serving/guard": "a model that fails must not end the server: what it raised is logged and becomes data",
    "serving/gate": "the server's boundary: a bug ends its request, which is told so, and not the connection",
    "serving/streams": "the same, where the answer has begun",
    "serving/order": "a bug in what one request hears ends that request, which is told so, and no other",
    "serving/pump": "a thread's boundary: what it raised is logged, and /ready tells of it",
    "sandbox/guest/candidate": "a candidate's own exceptions end here, at the process's boundary",
    "cluster": "what an actor raised is raised at the next poll, once what others finished before is fetched",
    "ray_session": "Ray's boundary: it raises bare exceptions where it does not start, in 30 seconds say",
    "engine": "a thread's boundary: what it raised is raised again in the thread that polls",
}


@dataclass(frozen=True)
class Import:
    """One import: the full dotted name, and whether it happens when the importing module is loaded."""

    name: str
    line: int
    at_load: bool
    type_checking: bool


def name_of(path: Path) -> str:
    """`score/length` for tts/score/length.py."""
    return path.relative_to(ROOT).with_suffix("").as_posix()


def unit_of(module: str) -> str:
    """The name that LAYERS uses: the family of a file in one, else the file."""
    return module.split("/")[0]


@functools.cache
def imports_of(path: Path) -> list[Import]:
    return list(_imports(ast.parse(path.read_text(encoding="utf-8")), path, at_load=True, type_checking=False))


def _imports(node: ast.AST, path: Path, at_load: bool, type_checking: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_load, type_checking)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{path}:{child.lineno}: imports are absolute in tts"
            for alias in child.names:
                yield Import(f"{child.module}.{alias.name}", child.lineno, at_load, type_checking)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for kind, statements in ((True, child.body), (type_checking, child.orelse)):
                yield from _imports(ast.Module(statements, []), path, at_load, kind)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, path, at_load and not inside, type_checking)


def own_target(name: str) -> str | None:
    """`score/length` for an import of tts.score.length or of a name in it; None for other packages and for `tts`."""
    parts = name.split(".")
    if parts[0] != "tts":
        return None
    path = ROOT
    for part in parts[1:]:
        if (path / part).is_dir():
            path = path / part
        elif (path / f"{part}.py").exists():
            return name_of(path / f"{part}.py")
        else:
            break
    return None if path == ROOT else path.relative_to(ROOT).as_posix()


def own_imports(path: Path) -> Iterator[tuple[Import, str]]:
    for found in imports_of(path):
        target = own_target(found.name)
        if target is not None:
            yield found, target


def test_every_module_has_a_layer():
    units = {unit_of(name_of(path)) for path in FILES} - {"__init__"}

    assert units == set(LAYER_OF)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_go_strictly_downwards(path):
    module = name_of(path)
    wrong = []
    for found, target in own_imports(path):
        source, goal = unit_of(module), unit_of(target)
        if source == goal or {(module, goal), (source, goal)} & set(EXCEPTIONS):
            continue
        if source == "__init__" or LAYER_OF[goal] < LAYER_OF[source] + (not found.type_checking):
            wrong.append(f"line {found.line}: {found.name}")

    assert not wrong, f"tts/{module}.py imports its own layer or a higher one"


def test_no_listed_exception_is_stale():
    used = {pair for path in FILES for _, target in own_imports(path) for pair in _pairs(name_of(path), target)}

    assert set(EXCEPTIONS) <= used


def _pairs(module: str, target: str) -> set[tuple[str, str]]:
    return {(module, unit_of(target)), (unit_of(module), unit_of(target))}


def test_the_rule_sees_imports_in_functions_and_under_type_checking(tmp_path):
    file = tmp_path / "odd.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a.b\n"
        "def f():\n    try:\n        from tts import cli\n    except ImportError:\n        import c\n"
    )

    found = {(i.name, i.at_load, i.type_checking) for i in imports_of(file)}

    assert found == {
        ("typing.TYPE_CHECKING", True, False),
        ("a.b", True, True),
        ("tts.cli", False, False),
        ("c", False, False),
    }
    assert own_target("tts.cli") == "cli"
    assert own_target("tts.score.length.Length") == "score/length"
    assert own_target("tts.sandbox.Limits") == "sandbox"


@pytest.mark.parametrize("library", HEAVY)
def test_a_heavy_dependency_lives_in_its_named_files_and_is_imported_when_used(library):
    users = {(name_of(path), i) for path in FILES for i in imports_of(path) if i.name.split(".")[0] == library}

    assert {module for module, _ in users} <= HEAVY[library]
    at_load = {module for module, i in users if i.at_load and not i.type_checking}
    assert at_load <= HEAVY_INSIDE


LOADED = """
import json, sys
sys.argv = ["tts", *{arguments!r}]
try:
    {statement}
except SystemExit as end:
    assert not end.code, end.code
heavy = {{"torch", "transformers", "matplotlib", "jinja2", "pyarrow", "huggingface_hub", "ray"}}
heavy |= {{"httpx", "fastapi", "uvicorn", "prometheus_client"}}
print("\\n" + json.dumps(sorted(heavy & set(sys.modules))))
"""


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        ("import tts", []),
        ("import tts.cli; tts.cli.main()", ["--help"]),
        ("import tts.cli; tts.cli.main()", ["run", "--help"]),
        ("import tts.cli; tts.cli.main()", ["list"]),
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_used(statement, arguments):
    script = LOADED.format(statement=statement, arguments=arguments)

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)

    assert json.loads(done.stdout.splitlines()[-1]) == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_broad_is_swallowed(path):
    handlers = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.ExceptHandler)]
    broad = [handler.lineno for handler in handlers if _is_broad(handler.type) and not _goes_on(handler)]

    assert not broad or name_of(path) in BROAD_EXCEPT_ALLOWED


def _goes_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler only cleans up and lets the error go on, as in `_closed_on_error` of store.py."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _is_broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_is_broad, caught.elts))
    return caught is None or ast.unparse(caught) in ("Exception", "BaseException")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_unfinished_marks(path):
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_public_thing_has_a_docstring(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    missing = list(_undocumented(tree))
    if path.read_text(encoding="utf-8").strip() and ast.get_docstring(tree) is None:
        missing.insert(0, "the module")

    assert not missing


def _undocumented(node: ast.Module | ast.ClassDef) -> Iterator[str]:
    """Public classes, functions and methods without a docstring; what is inside a function is private to it."""
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not child.name.startswith("_"):
            if ast.get_docstring(child) is None:
                yield f"line {child.lineno}: {child.name}"
            if isinstance(child, ast.ClassDef):
                yield from _undocumented(child)


PLUGINS = [(family, name) for family in plugins.FAMILIES for name in plugins.names(family)]


@pytest.mark.parametrize(("family", "name"), PLUGINS)
def test_a_plugin_is_a_documented_frozen_dataclass_with_its_familys_verbs(family, name):
    plugin = plugins.find(family, name)

    assert dataclasses.is_dataclass(plugin)
    assert plugin.__dataclass_params__.frozen
    assert plugin.__doc__ and not plugin.__doc__.startswith(f"{plugin.__name__}(")
    assert plugins.purpose(plugin)
    assert plugin.__module__ == f"tts.{plugins.FAMILIES[family]}.{name.replace('+', '_plus')}"
    assert all(callable(getattr(plugin, method)) for method in plugins.METHODS[family])

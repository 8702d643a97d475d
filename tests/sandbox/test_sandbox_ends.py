"""A program's end is that of the interpreter itself, and whatever it leaves in its folder is removed."""

import os
import subprocess
import sys

import pytest

from tts.sandbox.guest import clearing

ENDS = {
    "deleted": "out = []\nclass Out:\n    def __del__(self): print(*out)\no = Out()\nout += ['a', 'b']",
    "deleted_twice": "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print(self.n, k)\n"
    "a, b = A(1), A(2)\nk = 3",
    "suspended": "def g():\n    try: yield\n    finally: print(t)\nt = 3\nx = g()\nnext(x)",
    "garbage_first": "class A:\n    def __init__(self, n): self.n = n\n    def __del__(self): print(self.n, k)\n"
    "a = A('global')\nb = A('garbage')\nb.b = b\ndel b\nk = 1",
    "private": "class A:\n    def __init__(s, n): s.n = n\n    def __del__(s): print(s.n)\n_a, b = A(1), A(2)",
    "method_of_global": "class A:\n    def __del__(self): f()\ndef f(): print(len(seen))\nseen = [1]\na = A()",
    "kept_by_a_module": "import sys\nclass A:\n    def __del__(self): print('gone', n)\nn = 1\nsys.kept = A()\ndel A",
    "weak": "import weakref\nclass A: pass\na = A()\nn = 1\nw = weakref.ref(a, lambda r: print('gone', n))",
    "finalize": "import weakref\nclass A: pass\na = A()\nn = 1\nweakref.finalize(a, lambda: print('gone', n))",
    "stream_of_its_own": "import sys\nclass Out:\n    def write(self, s): real.write(s.upper())\n"
    "    def flush(self): real.flush()\nreal = sys.stdout\nsys.stdout = Out()\nprint('a')\n"
    "class A:\n    def __del__(self): print('b')\na = A()",
    "file_left_open": "f = open('/dev/stdout', 'w')\nf.write('late')",
    "exits": "import sys\nclass A:\n    def __del__(self): print(n)\na = A()\nn = 1\nsys.exit()",
}


@pytest.mark.parametrize("name", ENDS)
def test_what_is_printed_at_the_end_is_what_the_interpreter_prints(run, name):
    plain = subprocess.run([sys.executable, "-c", ENDS[name]], capture_output=True, text=True, check=False)

    assert run(ENDS[name]).output == plain.stdout


@pytest.mark.parametrize("names", [["e" * 250] * 25, ["d"] * 1200, [f"{n}" for n in range(50)]])
def test_a_folder_is_emptied_however_deep(tmp_path, names):
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        for name in names:
            os.mkdir(name, 0o700)
            os.symlink("/", "root")
            os.chdir(name)
        open("left", "w").close()
        clearing.empty(str(tmp_path))
        assert os.getcwd() == str(tmp_path)
    finally:
        os.chdir(here)
    assert os.listdir(tmp_path) == []

"""One file from the hub, or one reason: a real server that misbehaves in each way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

pytest.importorskip("huggingface_hub")
SCRIPT = """
import sys
from tts.hub import NotFetched, fetch
try:
    print("got", fetch("owner/model", "config.json").read_text())
except NotFetched as reason:
    print("not", reason)
"""
MATCHING = """
import sys
from tts.hub import NotFetched, fetch_matching
try:
    print("got", *(path.name for path in fetch_matching("owner/set", sys.argv[1], "dataset")))
except NotFetched as reason:
    print("not", reason)
"""
CONFIG = json.dumps({"model_type": "qwen2"}).encode()
NAMES = ("data/test-1.parquet", "data/test-0.parquet", "data/train-0.parquet", "README.md")
LISTING = json.dumps({"id": "owner/set", "sha": "0" * 40, "siblings": [{"rfilename": name} for name in NAMES]}).encode()
TREE = json.dumps([{"type": "file", "path": name, "size": len(CONFIG), "oid": "0" * 40} for name in NAMES]).encode()


class Hub(BaseHTTPRequestHandler):
    mode = "fine"

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()
        self.wfile.write(self.content())

    def content(self) -> bytes:
        if self.path.startswith("/api/"):
            return TREE if "/tree/" in self.path else LISTING
        return CONFIG

    def answer(self) -> None:
        if self.mode == "nonsense":
            self.wfile.write(b"\x00 this is no HTTP\n\n")
            return
        self.send_response({"fine": 200, "gated": 403}[self.mode])
        headers = {"ETag": '"abc"', "X-Repo-Commit": "0" * 40, "Content-Length": str(len(self.content()))}
        if self.mode == "gated":
            headers = {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted", "Content-Length": "0"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(mode: str) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Hub,), {"mode": mode}))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def fetched(home: Path, *arguments: str, script: str = SCRIPT, **environment: str) -> str:
    env = {**os.environ, "HF_HOME": str(home), **environment}
    line = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_is_downloaded_once_and_then_found_without_a_server(tmp_path):
    with serving("fine") as url:
        assert fetched(tmp_path, HF_ENDPOINT=url) == f"got {CONFIG.decode()}\n"
    assert fetched(tmp_path, HF_ENDPOINT=url, HF_HUB_OFFLINE="1") == f"got {CONFIG.decode()}\n"


def test_files_that_match_are_downloaded_in_order_and_then_found_without_a_server(tmp_path):
    with serving("fine") as url:
        assert (
            fetched(tmp_path, "data/test-*", script=MATCHING, HF_ENDPOINT=url) == "got test-0.parquet test-1.parquet\n"
        )
        said = fetched(tmp_path, "data/valid-*", script=MATCHING, HF_ENDPOINT=url)
        assert said == "not no file of it matches data/valid-*\n"
    again = fetched(tmp_path, "data/test-*", script=MATCHING, HF_ENDPOINT=url, HF_HUB_OFFLINE="1")
    assert again == "got test-0.parquet test-1.parquet\n"


def test_files_that_match_are_refused_with_one_reason(tmp_path):
    with serving("gated") as url:
        assert "restricted" in fetched(tmp_path, "data/test-*", script=MATCHING, HF_ENDPOINT=url).lower()
    assert fetched(tmp_path, "data/test-*", script=MATCHING, HF_HUB_OFFLINE="1").startswith("not ")


@pytest.mark.parametrize(("mode", "words"), [("gated", "restricted"), ("nonsense", "not ")])
def test_what_the_server_refuses_is_one_reason(tmp_path, mode, words):
    with serving(mode) as url:
        said = fetched(tmp_path, HF_ENDPOINT=url)
    assert said.startswith("not ") and words in said.lower() and len(said.splitlines()) == 1


def test_without_a_network_or_with_a_proxy_that_needs_a_package_it_says_so(tmp_path):
    assert fetched(tmp_path, HF_ENDPOINT="http://nowhere.invalid").startswith("not ")
    assert fetched(tmp_path, HF_HUB_OFFLINE="1").startswith("not ")
    assert fetched(tmp_path, ALL_PROXY="socks5://127.0.0.1:9").startswith("not ")

"""The door: what passes, and that nothing else does."""

from __future__ import annotations

import asyncio
import json

import pytest

from fastip.web.door import LONGEST, Door

OWN = "127.0.0.1:7860"


def asked(folder, method, path, headers=None, body=b"", hosts=("127.0.0.1", "localhost", "[::1]")):
    """The status, and what the application behind the door was given."""
    told, given = [], []

    async def inside(scope, receive, send):
        given.append((await receive()).get("body"))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive(parts=[body[:9], body[9:]]):  # noqa: B006
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message):
        told.append(message)

    lines = {"host": OWN} | (headers or {})
    scope = {"type": "http", "method": method, "path": path}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in lines.items()]
    asyncio.run(Door(inside, folder, hosts)(scope, receive, send))
    return told[0]["status"], given


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.png").write_text("a")
    (tmp_path / "secret.png").write_text("s")
    (tmp_path / "own" / "link.png").symlink_to(tmp_path / "secret.png")
    return tmp_path / "own"


@pytest.mark.parametrize(
    "path", ["/", "/config", "/assets/index.js", "/gradio_api/queue/data", "/gradio_api/heartbeat/x"]
)
def test_what_the_page_reads_passes(folder, path):
    assert asked(folder, "GET", path)[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/gradio_api/info", "/gradio_api/proxy=https://example.org/a", "/monitoring", "/gradio_api/runs", "/login"),
        *("/gradio_api/run/predict", "/gradio_api/call/x", "/gradio_api/deep_link", "/docs", "/openapi.json"),
        *("/static/../../etc/passwd", "/gradio_api/file/etc/passwd", "/gradio_api/vibe-code", "/custom_component/x"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_what_it_does_not_read_does_not(folder, method, path):
    status, given = asked(folder, method, path)
    assert status in (404, 405) and not given


def test_files_are_those_of_the_server(folder):
    ask = lambda path: asked(folder, "GET", f"/gradio_api/file={path}")[0]  # noqa: E731
    assert ask(folder / "a.png") == 200
    for path in ("/etc/passwd", "/proc/self/environ", f"{folder}/../secret.png", f"{folder}/link.png", "a.png", ""):
        assert ask(path) == 403, path
    assert ask("http://example.org/a.png") == ask("https://example.org/a.png") == ask("/a\0b") == 403


def test_a_question_names_no_other_file_and_no_address(folder):
    ask = lambda body: asked(folder, "POST", "/gradio_api/queue/join", body=body)  # noqa: E731
    file = {
        "path": str(folder / "a.png"),
        "url": f"http://{OWN}/gradio_api/file=a",
        "meta": {"_type": "gradio.FileData"},
    }
    good = json.dumps({"data": [file, "text", [1, {"deeper": file}]]}).encode()
    assert ask(good) == (200, [good])
    for path in ("/etc/passwd", "http://example.org/a.png", f"{folder}/link.png", 3, None, [str(folder)]):
        body = json.dumps({"data": [1, [{"deeper": file | {"path": path}}]]}).encode()
        assert ask(body) == (400, []), path
    for body in (b"no json", b"\xff" * 20, b"[" * 30_000, b'"' + b"a" * LONGEST + b'"'):
        assert ask(body) == (400, []), body[:20]


def test_other_pages_and_other_names_are_refused(folder):
    assert asked(folder, "GET", "/", {"host": "evil.example:7860"})[0] == 421
    assert asked(folder, "GET", "/", {"host": ""})[0] == 421
    assert (
        asked(folder, "GET", "/", {"host": "[::1]:80"})[0] == asked(folder, "GET", "/", {"host": "localhost"})[0] == 200
    )
    assert asked(folder, "GET", "/", {"host": "camera.lan:7860"}, hosts=())[0] == 200
    for origin, status in ((f"http://{OWN}", 200), ("http://evil.example", 403), ("null", 403)):
        assert asked(folder, "POST", "/gradio_api/upload", {"origin": origin})[0] == status

"""The door of the server: which requests pass, whatever the framework behind it would answer."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api/"
# All that the page asks for; the framework has more: proxies, recordings, histories, its own interface for programs.
READ = (
    *("/", "/config", "/theme.css", "/favicon.ico", "/manifest.json"),
    *(f"{API}upload_progress", f"{API}queue/data", f"{API}startup-events"),
)
BELOW = ("/assets/", "/static/", f"{API}heartbeat/")
WRITTEN = (f"{API}upload", f"{API}queue/join", f"{API}cancel", f"{API}reset")
FILES = f"{API}file="
LONGEST = 2**16  # bytes of a question: fields and the names of files


class Door:
    """An ASGI application that lets through what the page needs.

    Requests come to a known host (another one may be a page elsewhere whose name was pointed here), writes from the
    page itself, and files are named only inside the folder of the server.

    Args:
        inside: The application behind it.
        folder: Where uploads and results lie.
        hosts: Names by which the server is asked, without ports; none: any.
    """

    def __init__(self, inside: Application, folder: Path, hosts: tuple[str, ...] = ()) -> None:
        self._inside, self._folder, self._hosts = inside, folder.resolve(), hosts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            status = self._refused(scope["method"], scope["path"], headers)
            if status is None and scope["path"] == f"{API}queue/join":
                body = await _body(receive)
                status = None if body is not None and self._allowed(body) else 400
                receive = _again(body or b"", receive)
            if status is not None:
                await _answer(send, status)
                return
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        await self._inside(scope, receive, send)

    def _refused(self, method: str, path: str, headers: dict[str, str]) -> int | None:
        """The status of a refusal, or None."""
        host = headers.get("host", "")
        if self._hosts and _name(host) not in self._hosts:
            return 421
        if method == "POST":
            origin = headers.get("origin")
            if origin is not None and urllib.parse.urlsplit(origin).netloc != host:
                return 403
            return None if path in WRITTEN else 404
        if method not in ("GET", "HEAD"):
            return 405
        if path.startswith(FILES):
            return None if self._inside_folder(path.removeprefix(FILES)) else 403
        if path.startswith(BELOW) and ".." not in path:
            return None
        return None if path in READ else 404

    def _inside_folder(self, path: str) -> bool:
        """Whether a path is one of the files of the server, by links too."""
        try:
            return path.startswith("/") and Path(path).resolve().is_relative_to(self._folder)
        except (OSError, ValueError):
            return False

    def _allowed(self, body: bytes) -> bool:
        """Whether a question names no files but uploads; an address would be fetched."""
        try:
            return all(isinstance(path, str) and self._inside_folder(path) for path in _paths(json.loads(body)))
        except (ValueError, RecursionError):
            return False


def _paths(value: Any) -> Iterator[Any]:
    """What stands under "path" anywhere; what is nested too deeply is a RecursionError."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "path":
                yield inner
            yield from _paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner)


def _name(host: str) -> str:
    """A host without its port."""
    return host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host


async def _body(receive: Receive) -> bytes | None:
    """The whole of it, or None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or len(body) > LONGEST:
            return None
        if not message.get("more_body"):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, then what comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def given() -> Message:
        return first.pop() if first else await receive()

    return given


async def _answer(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"fastip serve has no such page."})

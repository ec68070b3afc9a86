"""fastip serve: its options, its warnings and what it refuses; the page itself is in tests/web."""

from __future__ import annotations

import socket
import subprocess

import pytest

from cases.cli import fastip
from cases.programs import PYTHON
from fastip.cli import serve
from fastip.web import server


@pytest.fixture
def served(monkeypatch):
    """What the server is given, where it would start."""
    given = []
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: name)

    def started(job, limits, max_pixels, address, ready):
        given.append((job.__name__, limits, max_pixels, address.getsockname()[0]))
        ready()
        address.close()

    monkeypatch.setattr(server, "serve", started)
    return given


def test_the_options_become_limits(served):
    told = fastip(
        "serve", "--port", 0, "--no-open", "--workers", 2, "--memory", 1.5, "--time-limit", 9, "--max-pixels", 77
    )
    assert told.exit_code == 0 and "http://127.0.0.1:" in told.output and "warning" not in told.output
    [(job, limits, max_pixels, host)] = served
    assert (job, max_pixels, host) == ("job", 77, "127.0.0.1")
    assert (limits.workers, limits.seconds, limits.memory, limits.waiting) == (2, 9.0, 1_500_000_000, 8)


def test_any_other_address_is_warned_of(served):
    told = fastip("serve", "--port", 0, "--no-open", "--host", "0.0.0.0")
    assert told.exit_code == 0 and "warning: 0.0.0.0 lets other computers in, without a password" in told.output


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_these_are_local(host):
    assert server.is_local(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "camera.lan", ""])
def test_these_are_not(host):
    assert not server.is_local(host)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--max-pixels", 0], "--max-pixels is 0; expected at least 1"),
        (["--workers", 0], "at least one worker"),
        (["--time-limit", 0], "at least one worker"),
        (["--port", 99999], "port 99999 cannot be used"),
        (["--host", "no.such.host.invalid"], "choose another one with --port or --host"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(served, words, why):
    told = fastip("serve", "--no-open", "--port", 0, *words)
    assert told.exit_code == 2 and why in told.output and not served


def test_a_port_that_is_taken_is_told(served):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = fastip("serve", "--no-open", "--port", port)
    assert told.exit_code == 2 and f"port {port} cannot be used: Address already in use" in told.output


def test_without_gradio_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    told = fastip("serve")
    assert (
        told.exit_code == 2 and "needs the package gradio" in told.output and "pip install 'fastip[web]'" in told.output
    )


def test_nobody_pays_for_it():
    code = "import sys, fastip, fastip.cli; fastip.tasks; print(*sys.modules)"
    loaded = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "fastip.cli.serve" in loaded
    assert not [name for name in loaded if name.startswith(("gradio", "uvicorn", "fastip.web", "fastip.cli.served"))]

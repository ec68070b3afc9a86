"""The server of the page: an address, a folder of its own, workers, and the page behind a door."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..errors import InvalidInput
from .choices import Warm
from .door import Door
from .kept import Kept
from .workers import Job, Limits, Workers

UPLOAD = 20_000_000  # bytes
# Read when the framework is imported: no measurements of its use, no look for another version, no cache elsewhere.
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def is_local(host: str) -> bool:
    """Whether only this computer can ask there.

    Args:
        host: A name or an address.

    Returns:
        True for ``localhost`` and addresses of loopback.
    """
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def listening(host: str, port: int) -> socket.socket:
    """A socket at this address.

    Args:
        host: A name or an address of this computer.
        port: Its port; 0: any that is free.

    Returns:
        The socket.

    Raises:
        InvalidInput: Where it cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"the address {host}, port {port} cannot be used: {reason}; choose another one with --port or --host"
        ) from None


def serve(job: Job, limits: Limits, max_pixels: int, address: socket.socket, ready: Callable[[], None]) -> None:
    """Show the page until a signal ends it; nothing is left behind.

    Args:
        job: What the workers do.
        limits: What they are granted.
        max_pixels: Of a picture and of a result.
        address: Where it listens.
        ready: Is called as soon as the page can be asked for.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(address.close)
        folder = Path(tempfile.mkdtemp(prefix="fastip-serve-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        os.environ.update(QUIET, GRADIO_TEMP_DIR=str(folder))
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # or nothing would be removed
        workers = stack.enter_context(Workers(job, limits, Warm(limits.workers), folder))
        import uvicorn

        settings = uvicorn.Config(
            _application(workers, folder, max_pixels, address.getsockname()[0]),
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=1,
        )
        ready()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(settings).run(sockets=[address])


def _application(workers: Workers, folder: Path, max_pixels: int, host: str) -> Door:
    import fastapi
    import gradio as gr

    from .page import CSS, Page

    blocks = Page(workers, Kept(folder), max_pixels).blocks()
    plain = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # none is fetched
    inside = gr.mount_gradio_app(
        fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        blocked_paths=[],
        max_file_size=UPLOAD,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        show_error=False,
        theme=gr.themes.Default(primary_hue="slate", **plain).set(
            body_text_color_subdued="*neutral_500", block_info_text_color="*neutral_500"
        ),
        css=CSS,
    )
    hosts = ("127.0.0.1", "localhost", "[::1]") if is_local(host) else ()
    return Door(inside, folder, hosts)

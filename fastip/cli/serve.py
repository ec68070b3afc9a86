"""The command ``fastip serve``: a local page to try fastip."""

from __future__ import annotations

import importlib.util
import os
from typing import Annotated

import typer

from ..errors import InvalidInput, Unsupported
from .console import err, out

PORT = 7860
MAX_PIXELS = 4096 * 4096


def serve(
    host: Annotated[
        str, typer.Option(help="Where to listen. Any other address than that of this computer lets others in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.")] = PORT,
    max_pixels: Annotated[
        int, typer.Option("--max-pixels", help="Larger pictures and results are refused, before they are decoded.")
    ] = MAX_PIXELS,
    workers: Annotated[int, typer.Option(help="How many pictures are worked at at once.")] = 1,
    memory: Annotated[float, typer.Option(metavar="GB", help="What a picture may take.")] = 4.0,
    time_limit: Annotated[float, typer.Option("--time-limit", metavar="SECONDS", help="Likewise.")] = 300.0,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Show a page in the browser: drop a picture, see it before and after, download the result.

    It needs the extra web: pip install 'fastip[web]'. Pictures stay on this computer.
    """
    for package in ("gradio", "uvicorn"):
        if importlib.util.find_spec(package) is None:
            raise Unsupported(
                f"the page needs the package {package}, which is not installed; run: pip install 'fastip[web]'"
            )
    if max_pixels < 1:
        raise InvalidInput(f"--max-pixels is {max_pixels}; expected at least 1")
    from ..web import server
    from ..web.workers import Limits
    from .served import job

    limits = Limits(workers=workers, seconds=time_limit, memory=round(memory * 1e9))
    address = server.listening(host, port)
    name = f"[{host}]" if ":" in host else host
    url = f"http://{name}:{address.getsockname()[1]}"
    if not server.is_local(host):
        err.print(
            f"warning: {host} lets other computers in, without a password and without encryption: "
            "anybody who reaches it can use this computer to restore pictures",
            style="yellow",
            soft_wrap=True,
        )

    def ready() -> None:
        out.print(f"{url}  (Ctrl-C ends it)", soft_wrap=True)
        if show and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):  # else a browser of text opens
            import webbrowser

            webbrowser.open(url)

    out.print("loading ...")
    server.serve(job, limits, max_pixels, address, ready)

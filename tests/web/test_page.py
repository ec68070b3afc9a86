"""The page in a real browser, and the server behind it: what is seen, downloaded, refused, replaced and left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
import torch

from cases import bombs
from cases.cli import fastip
from cases.programs import PYTHON
from cases.scenes import scene, seen
from fastip import io, psf
from fastip.web.choices import FOCUS, MOVED, NOISY

pytest.importorskip("gradio", reason="the extra web is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright, of the extra web-test, is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("there is no chromium; install it with apt-get install chromium", allow_module_level=True)

WAIT = 120_000  # milliseconds: a machine at work
AUDIT = """
import os, sys
def look(event, given):
    if event in ("socket.connect", "socket.getaddrinfo"):
        with open(os.environ["ASKED"], "a") as file:
            print(event, given[1] if event == "socket.connect" else given[0], file=file)
sys.addaudithook(look)
"""


class Server:
    """fastip serve, with a folder for temporary files of its own, and a list of whom it asked."""

    def __init__(self, folder: Path) -> None:
        self.temporary, self.asked = folder / "temporary", folder / "asked.txt"
        self.temporary.mkdir()
        (folder / "sitecustomize.py").write_text(AUDIT)
        paths = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        settings = {"TMPDIR": str(self.temporary), "ASKED": str(self.asked), "PYTHONPATH": paths}
        words = ["serve", "--port", "0", "--no-open", "--max-pixels", "1000000", "--time-limit", "100"]
        self.process = subprocess.Popen(
            [*PYTHON, "-m", "fastip", *words],
            env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        lines = [self.process.stdout.readline(), self.process.stdout.readline()]
        assert lines[0] == "loading ...\n" and lines[1].startswith("http://127.0.0.1:"), lines
        self.url = lines[1].split()[0]

    def worker(self) -> int:
        """The process that works; another child of the server watches over its resources."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        children = [child for path in threads for child in path.read_text().split()]
        [found] = [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return found

    def status(self, path: str, data: bytes | None = None, **headers: str) -> int:
        asked = urllib.request.Request(self.url + path, data, headers)
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(asked, timeout=60)
        return told.value.code


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    some = Server(tmp_path_factory.mktemp("server"))
    yield some
    worker = some.worker()
    some.process.send_signal(signal.SIGTERM)
    assert some.process.wait(30) == 0
    assert not list(some.temporary.glob("fastip-serve-*")), "files are left"
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    asked = some.asked.read_text().splitlines() if some.asked.exists() else []
    assert not [line for line in asked if "127.0.0.1" not in line], "the server asked somebody"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(server, browser):
    """Pages of users of their own; in the end it is looked at whom they asked and what failed."""
    with contextlib.ExitStack() as stack:
        asked, failed = [], []

        def opened(width=1280):
            context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(WAIT)
            page.on("request", lambda request: asked.append(request.url))
            page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
            page.on("console", lambda line: failed.append(line.text) if line.type == "error" else None)
            page.goto(server.url)
            page.wait_for_selector("#restore")
            return page

        yield opened
        hosts = {urllib.parse.urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
        assert hosts == {urllib.parse.urlsplit(server.url).netloc} and not failed


FIELD = {FOCUS: "The blur", MOVED: "The motion"}
SHOWN = "[...document.querySelectorAll('#slider img')].filter(image => image.naturalWidth).length == 2"


def upload(page, path):
    page.set_input_files("#picture input[type=file]", path)


def choose(page, damage):
    """A click on what is wrong, and its fields seen: they move the button, and a click on one that moves is lost."""
    page.click(f"text={damage}")
    page.wait_for_selector('text="How many times larger?"', state="hidden")
    if damage in FIELD:
        page.wait_for_selector(f'text="{FIELD[damage]}"')


def restored(page):
    page.click("#restore")
    page.wait_for_selector("#told >> text=Assumed:")


@pytest.fixture
def noisy(tmp_path):
    """A colour picture of 16 bits."""
    path = tmp_path / "photo of a tree.png"
    x = scene(40, 48, 3, channels=3).float() + 0.03 * torch.randn(1, 3, 40, 48, generator=torch.manual_seed(0))
    io.write_image(path, x, like=io.Kind("uint16"))
    return path


def test_a_picture_in_and_the_bytes_of_the_command_out(visit, noisy, tmp_path, server):
    page = visit()
    upload(page, noisy)
    page.wait_for_selector("text=48 × 40 pixels, colour, 16 bits")
    choose(page, NOISY)
    page.fill("#noise input, #noise textarea", "7.5")
    restored(page)
    told = page.inner_text("#told")
    assert (
        "denoise, noise 0.029" in told and "fastip restore 'photo of a tree.png' --task denoise --noise 7.5/255" in told
    )
    page.wait_for_function(SHOWN)  # the text can be there before the pictures
    sizes = page.eval_on_selector_all("#slider img", "images => images.map(i => [i.naturalWidth, i.naturalHeight])")
    assert sizes == [[48, 40], [48, 40]]
    _slide(page)
    with page.expect_download() as download:
        page.click("#download")
    same = tmp_path / "same.png"
    assert fastip("restore", noisy, "--task", "denoise", "--noise", "7.5/255", "-o", same).exit_code == 0
    assert Path(download.value.path()).read_bytes() == same.read_bytes()
    assert download.value.suggested_filename == "photo of a tree-restored.png"
    page.context.close()
    _gone(server)


def _slide(page):
    """The line between the two follows the mouse."""
    first, box = page.screenshot(), page.locator("#slider img").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 5, middle, steps=5)
    page.mouse.up()
    assert page.screenshot() != first


def _gone(server):
    """No file is left of a user who is gone."""
    until, left = time.monotonic() + 60, ["not looked at"]
    while left and time.monotonic() < until:
        time.sleep(0.2)
        left = [path for path in server.temporary.rglob("*") if path.is_file() and path.stat().st_size]
    assert not left


@pytest.mark.parametrize("width", [1280, 400])
def test_the_search_is_seen_where_the_blur_is_found_and_where_it_is_not(visit, tmp_path, width):
    picture = tmp_path / "cup.png"
    io.write_image(picture, seen(scene(96, 110, 2), psf.disk(9, 3.4)).float())
    page = visit(width)
    upload(page, picture)
    choose(page, FOCUS)
    page.wait_for_selector("text=88 pixels, grey")
    restored(page)
    assert "psf disk of radius 3." in page.inner_text("#told")
    page.wait_for_selector("#curve img")
    choose(page, MOVED)
    page.click("#restore")
    page.wait_for_selector("#told .refused >> text=not a blur of this kind")
    page.wait_for_selector("#curve img")
    assert not page.is_visible("#download")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_bombs_are_refused_in_words(visit, tmp_path):
    page = visit()
    for number, (make, words) in enumerate(bombs.BOMBS.items()):
        upload(page, make(tmp_path / f"bomb {number}"))
        page.wait_for_selector(f"#told .refused >> text=bomb {number}")
        assert words in page.inner_text("#told") and str(tmp_path) not in page.inner_text("#told")
        page.click("#picture [aria-label=Clear], #picture [aria-label='Remove this file'], #picture button >> nth=0")
        page.wait_for_selector("#picture input[type=file]", state="attached")


def test_two_at_once_get_their_own(visit, noisy, tmp_path):
    other = tmp_path / "other.tif"
    io.write_image(other, scene(32, 56, 5).float(), like=io.Kind("float32"))
    users = [(visit(), noisy, "48 × 40"), (visit(), other, "56 × 32")]
    for page, path, _ in users:
        upload(page, path)
        page.wait_for_selector("#told >> text=pixels")
        choose(page, NOISY)
    for page, _, _ in users:
        page.click("#restore")
    for page, path, size in users:
        page.wait_for_selector("#told >> text=Assumed:")
        assert f"{size} -> {size}" in page.inner_text("#told") and f"{path.stem}-restored" in page.inner_text(
            "#download"
        )


def test_a_worker_that_is_killed_is_replaced(visit, noisy, server):
    page = visit()
    upload(page, noisy)
    page.wait_for_selector("text=48 × 40 pixels")
    choose(page, NOISY)
    worker = server.worker()
    os.kill(worker, signal.SIGSTOP)  # so that it is at work when it dies
    with page.expect_response("**/queue/join*"):
        page.click("#restore")
    time.sleep(2)
    os.kill(worker, signal.SIGKILL)
    page.wait_for_selector("#told .refused >> text=stopped by SIGKILL")
    assert "is replaced; try again" in page.inner_text("#told")
    restored(page)
    assert server.worker() != worker


def test_an_example_fills_the_page(visit):
    page = visit()
    button = page.locator("text=Flower, with holes")
    if not button.count():
        pytest.skip("the package with this photograph is not installed")
    button.click()
    page.wait_for_selector("#told >> text=with transparent pixels")
    assert page.is_checked("#damage input[value='It has holes']")


def test_nothing_else_is_served(server):
    for path in (
        "/gradio_api/file=/etc/passwd",
        f"/gradio_api/file={Path(__file__)}",
        "/gradio_api/file=http://127.0.0.1/",
    ):
        assert server.status(path) == 403
    assert server.status("/gradio_api/info") == server.status("/docs") == 404
    assert server.status("/", Host="evil.example") == 421
    assert server.status("/") == 200


def test_an_upload_of_more_than_20_mb_is_refused(server):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    for length, status in ((20_000_001, 413), (1000, 200)):
        body = head + bytes(length) + b"\r\n--x--\r\n"
        kind = "multipart/form-data; boundary=x"
        assert server.status("/gradio_api/upload", body, **{"Content-Type": kind}) == status

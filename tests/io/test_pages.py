"""TIFFs of several pages: read one by one, written one by one, whole or not at all."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile
import torch

from cases import tiff
from cases.cli import fastip, picture
from fastip import data, io, tasks
from fastip.errors import InvalidInput

SIZES = [(13, 17, 3), (9, 20, 3), (16, 12, 1)]


def book(path, sizes=SIZES) -> list[torch.Tensor]:
    """Pages of unlike sizes and kinds: 8 bits, 16 bits with alpha, grey floats."""
    kinds = [io.Kind(), io.Kind("uint16", np.full(sizes[1][:2], 50_000, "uint16")), io.Kind("float32")]
    draw = torch.Generator().manual_seed(1)
    pages = [torch.rand(1, c, h, w, generator=draw) for h, w, c in sizes]
    io.write_pages(path, zip(pages, kinds, strict=True), count=len(pages))
    return pages


def test_pages_in_and_out(tmp_path):
    pages = book(tmp_path / "a.tif")
    assert io.count_pages(tmp_path / "a.tif") == 3
    read = [io.read_image(tmp_path / "a.tif", page=k) for k in range(3)]
    for (x, kind), page, depth, bound in zip(
        read, pages, ("uint8", "uint16", "float32"), (0.51 / 255, 0.51 / 65535, 0), strict=True
    ):
        assert kind.depth == depth and float((x - page).abs().max()) <= bound and x.shape == page.shape
    assert (read[1][1].alpha == 50_000).all() and read[0][1].alpha is None
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert [page.shape for page in file.pages] == [(13, 17, 3), (9, 20, 4), (16, 12)]
        assert np.array_equal(file.pages[2].asarray(), pages[2][0, 0].numpy())
    io.write_pages(tmp_path / "b.tif", read, count=3)
    assert (tmp_path / "b.tif").read_bytes() == (tmp_path / "a.tif").read_bytes()


def test_one_page_is_asked_for_or_there(tmp_path):
    book(tmp_path / "a.tif")
    with pytest.raises(InvalidInput, match=r"several pages; expected one image: .*page by page"):
        io.read_image(tmp_path / "a.tif")
    with pytest.raises(InvalidInput, match="holds 3 pages, and page 3, from 0"):
        io.read_image(tmp_path / "a.tif", page=3)
    for bad in (-1, 1.0, True):
        with pytest.raises(InvalidInput, match="page"):
            io.read_image(tmp_path / "a.tif", page=bad)
    io.write_image(tmp_path / "a.png", torch.zeros(1, 1, 4, 4))
    assert io.count_pages(tmp_path / "a.png") == 1
    assert io.read_image(tmp_path / "a.png", page=0)[0].shape == (1, 1, 4, 4)
    with pytest.raises(InvalidInput, match="is a PNG file, which has one page, and page 1"):
        io.read_image(tmp_path / "a.png", page=1)


def test_smaller_copies_are_no_pages(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (4, 16, 20), dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in array:
            file.write(page)
            file.write(page[::2, ::2], subfiletype=1)
    assert io.count_pages(tmp_path / "a.tif") == 4
    for k in range(4):
        assert np.array_equal(io.read_image(tmp_path / "a.tif", page=k)[0][0, 0] * 255, array[k])


def test_damaged_and_endless_lists(tmp_path):
    tiff.chain(tmp_path / "a.tif", [1, 2, 0])
    with pytest.raises(InvalidInput, match="leads back to itself"):
        io.count_pages(tmp_path / "a.tif")
    tiff.chain(tmp_path / "b.tif", [*range(1, 5000), -1])
    with pytest.raises(InvalidInput, match="more than 4096 pages"):
        io.count_pages(tmp_path / "b.tif")
    tiff.chain(tmp_path / "c.tif", [1, 2, 5000])
    with pytest.raises(InvalidInput, match=r"c\.tif cannot be read as TIFF"):
        io.count_pages(tmp_path / "c.tif")
    for name, message in (("no.tif", "does not exist"), ("a.xyz", "suffix")):
        with pytest.raises(InvalidInput, match=message):
            io.count_pages(tmp_path / name)


def test_one_page_is_held_at_a_time(tmp_path):
    """Each is written, and let go, before the next one is asked for."""
    alive = []

    def pages():
        import weakref

        for k in range(5):
            x = torch.rand(1, 1, 30, 30)
            alive.append(weakref.ref(x))
            assert sum(known() is not None for known in alive) == 1, k
            yield x, io.Kind("float32")
            del x

    io.write_pages(tmp_path / "a.tif", pages(), count=5)
    assert io.count_pages(tmp_path / "a.tif") == 5


@pytest.mark.parametrize("error", [InvalidInput("page 3"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_a_page_that_fails_leaves_nothing(tmp_path, error):
    def pages():
        yield torch.zeros(1, 1, 4, 4), io.Kind()
        yield torch.zeros(1, 1, 5, 4), io.Kind()
        raise error

    (tmp_path / "a.tif").write_bytes(b"old")
    with pytest.raises((InvalidInput, KeyboardInterrupt)):
        io.write_pages(tmp_path / "a.tif", pages(), count=3)
    assert (tmp_path / "a.tif").read_bytes() == b"old" and os.listdir(tmp_path) == ["a.tif"]


def test_what_has_no_pages(tmp_path):
    with pytest.raises(InvalidInput, match=r"a\.png is to hold 2 pages, which only a TIFF can; write it as \.tif"):
        io.write_pages(tmp_path / "a.png", [], count=2)
    with pytest.raises(InvalidInput, match="no page to write"):
        io.write_pages(tmp_path / "a.tif", [], count=2)
    assert not os.listdir(tmp_path)


def test_large_offsets_where_pages_need_them(tmp_path, monkeypatch):
    monkeypatch.setattr(io.pages, "_MOST_BYTES", 3 * 400)
    for count, begin in ((3, b"II*\0"), (4, b"II+\0")):
        pages = [(torch.full((1, 1, 10, 10), k / 9), io.Kind("float32")) for k in range(count)]
        io.write_pages(tmp_path / "a.tif", pages, count=count)
        assert (tmp_path / "a.tif").read_bytes()[:4] == begin and io.count_pages(tmp_path / "a.tif") == count
        assert float(io.read_image(tmp_path / "a.tif", page=2)[0][0, 0, 0, 0]) == pytest.approx(2 / 9)


# ---- the command line ------------------------------------------------------------------------------------------------


def test_restore_goes_page_by_page(tmp_path):
    book(tmp_path / "a.tif")
    words = ["--task", "sr2", "--iterations", 6, "-o"]
    told = fastip("restore", tmp_path / "a.tif", *words, tmp_path / "b.tif")
    assert told.exit_code == 0, told.output
    assert "3 pages, 17 × 13 -> 34 × 26, 20 × 9 -> 40 × 18, 12 × 16 -> 24 × 32, sr2" in told.output
    assert io.count_pages(tmp_path / "b.tif") == 3
    for k, name in enumerate(("0.png", "1.png", "2.npy")):
        x, kind = io.read_image(tmp_path / "a.tif", page=k)
        io.write_image(tmp_path / name, x, like=kind)
        assert fastip("restore", tmp_path / name, *words, tmp_path / f"alone{name}").exit_code == 0
        page, alone = (
            io.read_image(tmp_path / "b.tif", page=k, value_range=(0, 1)),
            io.read_image(tmp_path / f"alone{name}", value_range=(0, 1)),
        )
        assert torch.equal(page[0], alone[0]) and page[1].depth == alone[1].depth
        assert k != 1 or np.array_equal(page[1].alpha, alone[1].alpha)
    (tmp_path / "in").mkdir()
    (tmp_path / "a.tif").rename(tmp_path / "in" / "a.tif")
    picture(tmp_path / "in" / "c.jxl", h=12, w=10)
    assert fastip("restore", tmp_path / "in", *words, tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert io.read_image(tmp_path / "out" / "c.jxl")[0].shape == (1, 3, 24, 20)


def test_refusals_of_pages(tmp_path, monkeypatch):
    book(tmp_path / "a.tif")
    words = ["restore", tmp_path / "a.tif", "--task", "sr2", "--iterations", 2, "-o"]
    told = fastip(*words, tmp_path / "b.tif", "--figure", tmp_path / "f.png")
    assert told.exit_code == 2 and "draws one image" in told.output
    monkeypatch.setattr(tasks.AdmmProblem, "solve", lambda self, y, report=None: pytest.fail("solved in vain"))
    told = fastip(*words, tmp_path / "b.png")
    assert told.exit_code == 2 and "holds" not in told.output and "only a TIFF can; write it as .tif" in told.output
    monkeypatch.undo()
    with tifffile.TiffWriter(tmp_path / "nan.tif") as file:
        file.write(np.zeros((9, 9), "float32"))
        file.write(np.full((9, 9), np.nan, "float32"))
    told = fastip("restore", tmp_path / "nan.tif", *words[2:], tmp_path / "b.tif")
    assert told.exit_code == 2 and "page 2 of 2: " in told.output and "NaN" in told.output
    assert sorted(os.listdir(tmp_path)) == ["a.tif", "nan.tif"]


def test_degrade_goes_page_by_page(tmp_path):
    pages = book(tmp_path / "a.tif")
    words = ["degrade", tmp_path / "a.tif", "--task", "deblur", "--psf", "box:3", "--noise", 0.01, "--seed", 4, "-o"]
    told = fastip(*words, tmp_path / "b.tif")
    assert told.exit_code == 0 and "3 pages, 17 × 13 -> 15 × 11 (rows 1 to 11, columns 1 to 15), " in told.output, (
        told.output
    )
    op, draw = tasks.get("deblur").problem(psf="box:3").op, torch.Generator().manual_seed(4)
    for k, page in enumerate(pages):
        x = io.read_image(tmp_path / "a.tif", page=k)[0]
        expected = data.degrade(x, op, 0.01, generator=draw)  # other noise on each page
        found = io.read_image(tmp_path / "b.tif", page=k)[0]
        assert found.shape == (*page.shape[:2], page.shape[2] - 2, page.shape[3] - 2)
        assert float((found - (expected.clamp(0, 1) if k < 2 else expected)).abs().max()) <= 0.51 / 255
    told = fastip("degrade", tmp_path / "a.tif", "--task", "digits-cs100", "-o", tmp_path / "y.npy")
    assert told.exit_code == 2

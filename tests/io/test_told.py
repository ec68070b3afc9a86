"""What files tell of their tone curve, and that light written in kind has the values that were read."""

from __future__ import annotations

import io as memory
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from cases import icc
from fastip import io
from fastip.errors import InvalidInput

ADOBE = 563 / 256
RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
COLOURS = np.stack([RAMP, RAMP.T, RAMP[::-1]], -1)
FINE = np.random.default_rng(5).permutation(65536).astype(np.uint16).reshape(256, 256)


def exif(space: int | None, index: str | None = None) -> bytes:
    """Of EXIF: the colour space, and the interoperability index in a directory of its own, behind the others."""
    entries = [] if space is None else [struct.pack(">HHIHH", 0xA001, 3, 1, space, 0)]
    place = 8 + 18 + 2 + 12 * (len(entries) + (index is not None)) + 4
    entries += [] if index is None else [struct.pack(">HHII", 0xA005, 4, 1, place)]
    data = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIII", 1, 0x8769, 4, 1, 26, 0)
    data += struct.pack(">H", len(entries)) + b"".join(entries) + bytes(4)
    if index is not None:
        data += struct.pack(">HHHI4sI", 1, 1, 2, 4, index.encode().ljust(4, b"\0"), 0)
    return b"Exif\0\0" + data


def with_chunks(png: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with chunks behind its header."""
    new = b""
    for name, body in chunks:
        new += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return png[:33] + new + png[33:]


def saved(array: np.ndarray, kind: str, **options: object) -> bytes:
    file = memory.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def read(path: Path, data: bytes) -> io.Transfer:
    path.write_bytes(data)
    return io.read_image(path)[1].transfer()


def curve(found: io.Transfer) -> torch.Tensor:
    return found.decode(torch.linspace(0, 1, 300, dtype=torch.float64))


SRGB, GAMMA, LIGHT = (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 50000)), (b"gAMA", struct.pack(">I", 100000))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("chunks", "words", "exponent"),
    [
        ([], "by sRGB, assumed", None),
        ([SRGB], "by sRGB, as the PNG says", None),
        ([GAMMA, SRGB], "by sRGB, as the PNG says", None),
        ([GAMMA], "by the gamma 2 of the PNG", 2.0),
        ([LIGHT], "by the gamma 1 of the PNG", 1.0),
        ([(b"gAMA", struct.pack(">I", 45455))], "by the gamma 2.2 of the PNG", 1 / 0.45455),
        ([(b"gAMA", bytes(4))], "by sRGB, assumed", None),
        ([(b"gAMA", b"\xff\xff\xff\xff")], "by sRGB, assumed", None),
        ([(b"eXIf", exif(2)[6:])], "by Adobe RGB, as EXIF says", ADOBE),
        ([(b"eXIf", exif(2)[6:]), GAMMA], "by the gamma 2 of the PNG", 2.0),
    ],
)
def test_png(tmp_path: Path, depth: int, chunks: list[tuple[bytes, bytes]], words: str, exponent: float | None) -> None:
    """Sixteen bits are read by another library than eight."""
    png = saved(COLOURS, "PNG") if depth == 8 else bytes(imagecodecs.png_encode(COLOURS.astype(np.uint16) * 257))
    found = read(tmp_path / "a.png", with_chunks(png, *chunks))
    assert found.said == words and found.assumed is ("assumed" in words)
    grid = torch.linspace(0, 1, 300, dtype=torch.float64)
    expected = io.Transfer.srgb().decode(grid) if exponent is None else grid**exponent
    torch.testing.assert_close(curve(found), expected)


def cicp(curve: int, full: int = 1, primaries: int = 1) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, curve, 0, full])


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    ("chunks", "words", "expected"),
    [
        ([cicp(13)], "by sRGB, as the PNG says", io.Transfer.srgb()),
        ([GAMMA, cicp(13)], "by sRGB, as the PNG says", io.Transfer.srgb()),
        ([cicp(8, primaries=9), SRGB, GAMMA], "as it is, as the PNG says", io.Transfer.linear()),
        ([GAMMA, cicp(2)], "by the gamma 2 of the PNG", io.Transfer.gamma(2)),
        ([cicp(2, full=0)], "by sRGB, assumed", io.Transfer.srgb()),
        ([(b"cICP", b"\1\x08\0")], "by sRGB, assumed", io.Transfer.srgb()),
    ],
)
def test_the_coding_of_a_png(
    tmp_path: Path, depth: int, chunks: list[tuple[bytes, bytes]], words: str, expected: io.Transfer
) -> None:
    """The standard has cICP before all else."""
    png = saved(COLOURS, "PNG") if depth == 8 else bytes(imagecodecs.png_encode(COLOURS.astype(np.uint16) * 257))
    found = read(tmp_path / "a.png", with_chunks(png, *chunks))
    assert found.said == words
    torch.testing.assert_close(curve(found), curve(expected))


@pytest.mark.parametrize("code", [1, 6, 14, 15])
def test_the_coding_of_video(tmp_path: Path, code: int) -> None:
    found = read(tmp_path / "a.png", with_chunks(saved(RAMP, "PNG"), cicp(code)))
    assert found.said == "by BT.709, as the PNG says"
    assert float(found.decode(torch.tensor(0.5))) == pytest.approx(((0.5 + 0.099) / 1.099) ** (1 / 0.45))


@pytest.mark.parametrize(
    ("chunk", "words"),
    [
        (cicp(16, primaries=9), "HDR values by the curve PQ, as its chunk cICP says"),
        (cicp(18, primaries=9), "HDR values by the curve HLG, as its chunk cICP says"),
        (cicp(17), "values by the curve 17 of ITU-T H.273, as its chunk cICP says"),
        (cicp(13, full=0), "in a part of their range, as its chunk cICP says"),
    ],
)
def test_other_codings_are_refused_when_light_is_asked_for(
    tmp_path: Path, chunk: tuple[bytes, bytes], words: str
) -> None:
    profile = icc.profile([icc.gamma(1.5)] * 3)
    for array in (saved(COLOURS, "PNG", icc_profile=profile), saved(np.dstack([COLOURS, RAMP]), "PNG")):
        (tmp_path / "a.png").write_bytes(with_chunks(array, chunk))
        x, kind = io.read_image(tmp_path / "a.png")
        assert x.shape[1] == 3
        with pytest.raises(InvalidInput, match=f"the PNG holds .*{words}; expected sRGB.*convert"):
            kind.transfer()


def test_the_coding_comes_before_a_profile_that_is_written_without_it(tmp_path: Path) -> None:
    profile = icc.profile([icc.gamma(1.5)] * 3)
    (tmp_path / "a.png").write_bytes(with_chunks(saved(COLOURS, "PNG", icc_profile=profile), cicp(8)))
    _, kind = io.read_image(tmp_path / "a.png")
    assert kind.coding == (1, 8, 0, 1) and kind.profile == profile
    assert kind.transfer().said == "as it is, as the PNG says"
    assert kind.transfer(to="b.png").said == "by the ICC profile"
    for coding in ((1, 8, 0), (1, 8, 0, 256), (1, 8.0, 0, 1), "sRGB", [1, 8, 0, 1]):
        with pytest.raises(InvalidInput, match="coding is .*; expected four whole numbers"):
            io.Kind(coding=coding)  # type: ignore[arg-type]


def test_a_profile_comes_before_all_else(tmp_path: Path) -> None:
    profile = icc.profile([icc.gamma(1.5)] * 3)
    png = saved(COLOURS, "PNG", icc_profile=profile)
    found = read(tmp_path / "a.png", with_chunks(png, SRGB, GAMMA))
    assert found.said == "by the ICC profile"
    torch.testing.assert_close(curve(found), torch.linspace(0, 1, 300, dtype=torch.float64) ** 1.5)
    found = read(tmp_path / "a.jpg", saved(COLOURS, "JPEG", icc_profile=profile, exif=exif(1)))
    assert found.said == "by the ICC profile"
    palette = memory.BytesIO()
    Image.fromarray(COLOURS).quantize(16).save(palette, "PNG", icc_profile=profile)
    assert read(tmp_path / "a.png", palette.getvalue()).said == "by the ICC profile"


def test_profiles_in_a_tiff(tmp_path: Path) -> None:
    for array in (COLOURS, COLOURS.astype(np.uint16), COLOURS.astype(np.float32) / 255):
        tifffile.imwrite(tmp_path / "a.tif", array, iccprofile=icc.profile([icc.gamma(2.5)] * 3), photometric="rgb")
        assert io.read_image(tmp_path / "a.tif")[1].transfer().said == "by the ICC profile"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (exif(1), "by sRGB, as EXIF says"),
        (exif(2), "by Adobe RGB, as EXIF says"),
        (exif(65535, "R03"), "by Adobe RGB, as EXIF says"),
        (exif(65535, "R98"), "by sRGB, assumed"),
        (exif(65535), "by sRGB, assumed"),
        (exif(None, "R03"), "by sRGB, assumed"),
        (exif(7), "by sRGB, assumed"),
        (exif(65535, "R03")[:-12], "by sRGB, assumed"),
        (exif(2)[:28], "by sRGB, assumed"),
        (b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\xff\xff\xff\xff", "by sRGB, assumed"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged EXIF
def test_jpeg(tmp_path: Path, data: bytes, words: str) -> None:
    found = read(tmp_path / "a.jpg", saved(COLOURS, "JPEG", exif=data))
    assert found.said == words
    adobe = torch.linspace(0, 1, 300, dtype=torch.float64) ** ADOBE
    assert torch.allclose(curve(found), adobe) == ("Adobe" in words)
    assert read(tmp_path / "a.webp", saved(COLOURS, "WEBP", exif=data)).said == words


def test_what_is_told_of_inks_is_not_told_of_colours(tmp_path: Path) -> None:
    file = memory.BytesIO()
    Image.fromarray(COLOURS).convert("CMYK").save(file, "JPEG", exif=exif(2), icc_profile=icc.profile([]))
    assert read(tmp_path / "a.jpg", file.getvalue()).said == "by sRGB, assumed"


def test_exif_in_a_tiff(tmp_path: Path) -> None:
    for array in (COLOURS, FINE):
        for space, words in ((1, "by sRGB, as EXIF says"), (2, "by Adobe RGB, as EXIF says"), (7, "by sRGB, assumed")):
            data = saved(array, "TIFF", exif=exif(space))
            assert read(tmp_path / "a.tif", data).said == words
        pointer = struct.pack("<HHI", 34665, 4, 1)
        at = data.index(pointer) + len(pointer)
        damaged = data[:at] + struct.pack("<I", len(data) + 9) + data[at + 4 :]
        assert read(tmp_path / "a.tif", damaged).said == "by sRGB, assumed"


def test_formats_that_say_srgb_themselves(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    said = {}
    for suffix in (".jp2", ".jxl", ".avif", ".bmp", ".ppm"):
        io.write_image(tmp_path / f"a{suffix}", x)
        said[suffix] = io.read_image(tmp_path / f"a{suffix}")[1].transfer().said
    assert {suffix for suffix, words in said.items() if words == "by sRGB, as the file says"} == {".jp2", ".jxl"}
    assert {suffix for suffix, words in said.items() if words == "by sRGB, assumed"} == {".avif", ".bmp", ".ppm"}


def test_avif_of_bt709(tmp_path: Path) -> None:
    options = {"primaries": 1, "transfer": 1, "matrix": 1}
    found = read(tmp_path / "a.avif", bytes(imagecodecs.avif_encode(COLOURS, 95, **options)))
    assert found.said == "by BT.709, as the file says"
    assert float(found.decode(torch.tensor(0.5))) == pytest.approx(((0.5 + 0.099) / 1.099) ** (1 / 0.45))


def test_floats_are_light(tmp_path: Path) -> None:
    x = torch.rand(1, 3, 9, 8, generator=torch.Generator().manual_seed(0)) * 1.5 - 0.2
    for suffix in (".tif", ".npy"):
        io.write_image(tmp_path / f"a{suffix}", x, like=io.Kind("float32"))
        found, kind = io.read_image(tmp_path / f"a{suffix}")
        assert kind.transfer().said == "as it is, assumed of floats" and kind.transfer().assumed
        assert torch.equal(kind.transfer().decode(found), x)


def test_a_file_is_written_by_the_curve_that_it_will_be_read_by(tmp_path: Path) -> None:
    profile = icc.profile([icc.gamma(2.0)] * 3)
    for kind in (io.Kind(), io.Kind("uint16"), io.Kind("float32"), io.Kind("float32", profile=profile)):
        for name in ("a.png", "a.tif", "a.npy", "a.jpg"):
            light = torch.linspace(0.1, 0.9, 3 * 16 * 24).reshape(1, 3, 16, 24)
            io.write_image(tmp_path / name, kind.transfer(to=tmp_path / name).encode(light), like=kind)
            x, found = io.read_image(tmp_path / name)
            step = 0.02 if name == "a.jpg" else 0.006
            assert (found.transfer().decode(x) - light).abs().max() < step, (kind, name)
    with pytest.raises(InvalidInput, match="has the suffix '.xyz'"):
        io.Kind().transfer(to="a.xyz")


SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SAVED = {
    "none": None,
    "lcms": SRGB_PROFILE,
    "gamma": icc.profile([icc.gamma(2.2)] * 3),
    "table": icc.profile([icc.sampled(2.2, 256), icc.sampled(1.8, 1024), icc.sampled(2.4, 4096)]),
    "formula": icc.profile([icc.para(3, 1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)] * 3),
}


@pytest.mark.parametrize("name", SAVED)
@pytest.mark.parametrize(
    ("suffix", "array"), [(".png", RAMP), (".png", FINE), (".tif", FINE), (".jp2", FINE), (".webp", RAMP)]
)
def test_what_was_read_is_written(tmp_path: Path, suffix: str, array: np.ndarray, name: str) -> None:
    """All values of 8 and of 16 bits, in three channels, to light and back into a file."""
    top = np.iinfo(array.dtype).max
    x = torch.from_numpy(np.stack([array, array.T, top - array]).astype(np.float32) / top)[None]
    io.write_image(tmp_path / f"a{suffix}", x, like=io.Kind(array.dtype.name, None, SAVED[name]))
    x, kind = io.read_image(tmp_path / f"a{suffix}")
    light = kind.transfer().decode(x)
    assert (light - x).abs().max() > 0.2
    io.write_image(tmp_path / f"b{suffix}", kind.transfer().encode(light), like=kind)
    again, kind_again = io.read_image(tmp_path / f"b{suffix}")
    assert torch.equal(again, x) and kind_again == kind
    assert kind.profile == SAVED[name]


@pytest.mark.parametrize("premultiplied", [False, True])
def test_transparent_pictures(tmp_path: Path, premultiplied: bool) -> None:
    """Alpha is no light: it stays as it is, and colours go to light straight."""
    alpha = np.full((16, 16), 255, np.uint8)
    alpha[:4] = 128
    kind = io.Kind("uint8", alpha, SRGB_PROFILE, premultiplied)
    x = torch.from_numpy(COLOURS.astype(np.float32) / 255).permute(2, 0, 1)[None]
    io.write_image(tmp_path / "a.tif", x, like=kind)
    x, kind = io.read_image(tmp_path / "a.tif")
    io.write_image(tmp_path / "b.tif", kind.transfer().encode(kind.transfer().decode(x)), like=kind)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_a_profile_without_curves_is_read_and_told_when_asked(tmp_path: Path) -> None:
    io.write_image(tmp_path / "a.png", torch.rand(1, 3, 5, 6), like=io.Kind(profile=icc.profile([])))
    _, kind = io.read_image(tmp_path / "a.png")
    with pytest.raises(InvalidInput, match="no tone curve"):
        kind.transfer()
    assert io.Kind(profile=b"").transfer().said == "by sRGB, assumed"

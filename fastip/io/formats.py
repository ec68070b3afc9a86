"""Which formats there are, how a file shows which it is, and what each can hold: the one table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InvalidInput, Unsupported
from .source import check_source

_SAME = {"uint8": "uint8", "uint16": "uint16", "float32": "float32"}
_INTEGERS = {**_SAME, "float32": "uint16"}
_BYTES = {"uint8": "uint8"}


@dataclass(frozen=True)
class Format:
    """What files of a format hold.

    Args:
        signature: What they begin with.
        suffixes: Of their names, with how many channels an image may have besides alpha; none: any number.
        depths: With which depth an image of each depth is written; one that is missing is refused.
        alpha: Whether alpha is kept (True), left out (False) or refused (None).
        most: Of height and width, where files hold no larger ones.
        white: Of 16-bit samples as they are written.
        codec: The package and the name under which it has the decoder, where builds may lack it.
    """

    signature: bytes
    suffixes: Mapping[str, tuple[int, ...]]
    depths: Mapping[str, str] = field(default_factory=lambda: _INTEGERS)
    alpha: bool | None = True
    most: int = 2**31 - 1
    white: int = 65535
    codec: tuple[str, str] | None = None


_ANY = (1, 3)
FORMATS = {
    "PNG": Format(rb"\x89PNG", {".png": _ANY}),
    # JPEG leaves alpha out and NPY all but colours, as both always did: a picture is seen, or taken on, without it.
    "JPEG": Format(
        rb"\xff\xd8\xff", {".jpg": _ANY, ".jpeg": _ANY}, dict.fromkeys(_SAME, "uint8"), alpha=False, most=65500
    ),
    "TIFF": Format(rb"II[*+]\0|MM\0[*+]", {".tif": _ANY, ".tiff": _ANY}, _SAME),
    "NPY": Format(rb"\x93NUMPY", {".npy": ()}, dict.fromkeys(_SAME, "float32"), alpha=False),
    "BMP": Format(rb"BM", {".bmp": _ANY}, _BYTES, alpha=None),
    "PNM": Format(rb"P[1-6][\s#]", {".pgm": (1,), ".ppm": (3,), ".pnm": _ANY}, alpha=None),
    "WebP": Format(rb"RIFF....WEBP", {".webp": _ANY}, _BYTES, most=16383, codec=("pillow", "webp")),
    "JPEG 2000": Format(rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", {".jp2": _ANY}, codec=("imagecodecs", "JPEG2K")),
    "JPEG XL": Format(rb"\xff\x0a|\0\0\0\x0cJXL ", {".jxl": _ANY}, codec=("imagecodecs", "JPEGXL")),
    # Encoders of its code take no larger sides.
    "AVIF": Format(
        rb"....ftyp(avi[fs]|.{0,48}avif)", {".avif": _ANY}, most=65536, white=4095, codec=("imagecodecs", "AVIF")
    ),
}
SUFFIXES = {suffix: name for name, held in FORMATS.items() for suffix in held.suffixes}


def format_of(path: str | Path) -> str:
    """The format that a file name stands for.

    Args:
        path: A file, which need not exist.

    Returns:
        A name such as "PNG" or "JPEG XL".

    Raises:
        InvalidInput: For a suffix that fastip does not read or write.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(
            f"{path} has the suffix {suffix!r}; expected one of {', '.join(SUFFIXES)}: convert or rename the file"
        )
    return SUFFIXES[suffix]


def format_in(path: Path) -> str:
    """The format that the first bytes of a file show.

    Args:
        path: A file with one of ``SUFFIXES``, not always the right one.

    Returns:
        As for :func:`format_of`.

    Raises:
        InvalidInput: For other suffixes and files, and one that is missing, no regular file or cannot be opened.
        Unsupported: Where what reads it is not installed.
    """
    if path.suffix.lower() != ".gif":  # which is refused with the number of its frames
        format_of(path)
    check_source(path)
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be opened: {error.strerror}") from error
    for name, held in FORMATS.items():
        if re.match(held.signature, head, re.DOTALL):
            check_codec(path, name)
            return name
    if head.startswith(b"GIF8"):
        raise InvalidInput(f"{path} is a GIF{_frames(path)}; expected one picture in another format: save it as PNG")
    raise InvalidInput(
        f"{path} begins with {head[:8]!r}, which is not a {SUFFIXES.get(path.suffix.lower(), 'GIF')} image; "
        f"expected the content of one of {', '.join(FORMATS)}"
    )


def _frames(path: Path) -> str:
    from PIL.GifImagePlugin import GifImageFile

    try:
        with GifImageFile(path) as image:
            return f" of {getattr(image, 'n_frames', 1)} frames"  # typed in some versions of Pillow alone
    except Exception:  # a damaged one is refused anyway
        return ""


def check_codec(path: Path, name: str) -> None:
    """Refuse a format that this installation has no code for.

    Raises:
        Unsupported: With what to install.
    """
    if FORMATS[name].codec is None:
        return
    package, codec = FORMATS[name].codec or ("", "")
    if package == "pillow":
        from PIL import features

        there = features.check(codec)
    else:
        import imagecodecs

        there = getattr(getattr(imagecodecs, codec, None), "available", False)
    if there and name == "AVIF":  # what tells the size before imagecodecs decodes
        package, there = "pillow>=11.3", _has_avif()
    if not there:
        raise Unsupported(
            f"{path} needs {name}, which the installed {package.partition('>')[0]} lacks: "
            f"pip install --upgrade '{package}', or use PNG or TIFF"
        )


def _has_avif() -> bool:
    try:
        from PIL import _avif  # noqa: F401
    except ImportError:
        return False
    return True


def check_content(path: Path, channels: int, depth: str, alpha: bool, size: tuple[int, int] | None = None) -> str:
    """Refuse an image that the format of this name cannot hold.

    Args:
        path: The file to write.
        channels: Of the image, without alpha.
        depth: That of its source.
        alpha: Whether it has alpha.
        size: Height and width, where they are known.

    Returns:
        The format.

    Raises:
        InvalidInput: With what to choose instead.
        Unsupported: Where what writes it is not installed.
    """
    name = format_of(path)
    held = FORMATS[name]
    allowed = held.suffixes[path.suffix.lower()]
    if allowed and channels not in allowed:
        instead = ".npy" if channels not in _ANY else ".pnm or .png" if name == "PNM" else ".png"
        raise InvalidInput(
            f"the image has {channels} channels and {path.name} can hold {' or '.join(map(str, allowed))}; "
            f"write it as {instead}"
        )
    if depth not in held.depths:
        bits = "32 bits (float)" if depth == "float32" else "16 bits"
        raise InvalidInput(
            f"the image has {bits} a sample and {path.name}, a {name} file, can hold 8; write it as .png or .tif"
        )
    if alpha and held.alpha is None:
        raise InvalidInput(
            f"the image has alpha and {path.name}, a {name} file, can hold none; write it as .png or .tif"
        )
    if size is not None and max(size) > held.most:
        raise InvalidInput(
            f"the image has {size[1]} x {size[0]} pixels and {path.name}, a {name} file, can hold {held.most} a side; "
            "write it as .png or .tif"
        )
    check_codec(path, name)
    return name

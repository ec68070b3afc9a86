"""Arrays h w or h w c as image files, with a colour profile where the format holds one.

Only TIFF can say that colours are premultiplied by alpha.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from .codecs import avif, jpeg2000, jpegxl, pnm, webp

if TYPE_CHECKING:
    import tifffile


def _write_png(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    if array.dtype == np.uint16:  # Pillow has no 16-bit colour
        import imagecodecs

        file.write(_embed_profile(bytes(imagecodecs.png_encode(array)), profile))
    else:
        from PIL import Image

        Image.fromarray(array).save(file, "PNG", icc_profile=profile)


def _embed_profile(png: bytes, profile: bytes | None) -> bytes:
    """Put an iCCP chunk behind the 33 bytes of signature and header."""
    if not profile:
        return png
    import zlib

    body = b"iCCPICC profile\0\0" + zlib.compress(profile)
    return png[:33] + (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big") + png[33:]


def _write_jpeg(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    from PIL import Image

    # A result must not lose again what was restored: a lower quality, or colours at half the resolution, gives smaller
    # files with more artefacts.
    Image.fromarray(array).save(file, "JPEG", quality=95, subsampling=0, icc_profile=profile)


def _write_tiff(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    import tifffile

    with tifffile.TiffWriter(file, bigtiff=array.nbytes > 2**32 - 2**25) as out:  # tifffile's own limit
        write_tiff(out, array, profile, premultiplied)


def write_tiff(out: tifffile.TiffWriter, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    """One page.

    Args:
        out: The file.
        array: h w or h w c.
        profile: The colour profile, or None.
        premultiplied: Whether the colours are multiplied by alpha.
    """
    samples = array.shape[2] if array.ndim == 3 else 1
    photometric, planes = "rgb" if samples >= 3 else "minisblack", "contig" if samples > 1 else None
    extra = ["assocalpha" if premultiplied else "unassalpha"] if samples in (2, 4) else None
    compression = "zlib" if array.dtype.kind == "u" else None
    out.write(
        array,
        photometric=photometric,
        planarconfig=planes,
        extrasamples=extra,
        compression=compression,
        iccprofile=profile,
        metadata=None,
        contiguous=False,
    )


def _write_bmp(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    from PIL import Image

    Image.fromarray(array).save(file, "BMP")


def _write_npy(file: BinaryIO, array: np.ndarray, profile: bytes | None, premultiplied: bool) -> None:
    np.save(file, array)


WRITERS: dict[str, Callable[[BinaryIO, np.ndarray, bytes | None, bool], None]] = {
    "PNG": _write_png,
    "JPEG": _write_jpeg,
    "TIFF": _write_tiff,
    "NPY": _write_npy,
    "BMP": _write_bmp,
    "PNM": pnm.write,
    "WebP": webp.write,
    "JPEG 2000": jpeg2000.write,
    "JPEG XL": jpegxl.write,
    "AVIF": avif.write,
}

"""Arrays as read and as written, and images 1 c h w in [0, 1] between them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..arrays import check_finite, check_number
from ..errors import InvalidInput, brief
from . import alpha
from .decoded import Decoded

SCALE = {"uint8": 255, "uint16": 65535}
Range = tuple[float, float]  # black and white
# Of the values of a float image that lie outside [-1, 2]: noise, ringing and highlights stay below one in a hundred. A
# larger share lets images of another scale pass, a smaller one refuses those with many highlights.
STRAY = 0.01
# Alpha among floats that goes no further is in [0, 1], with rounding or ringing above it; alpha of 0 to 255 goes there
# too only where all of the picture is as good as invisible.
RINGING = 1.5
_LEAST, _MOST = float(np.finfo("float32").tiny), float(np.finfo("float32").max)


def check_range(given: Range | None) -> Range | None:
    """Black and white, two numbers in rising order that float32 can hold, with what is between them, or None.

    Raises:
        InvalidInput: For anything else.
    """
    if given is None:
        return None
    try:
        low, high = given
    except (TypeError, ValueError):
        raise InvalidInput(f"value_range is {brief(given)}; expected two numbers, black and white: (0, 255)") from None
    low, high = check_number(low, "black of value_range"), check_number(high, "white of value_range")
    if low >= high:
        raise InvalidInput(f"value_range is {brief(given)}; expected black below white, such as (0, 255)")
    if any(size and not _LEAST <= size <= _MOST for size in (abs(low), abs(high), high - low)):
        raise InvalidInput(
            f"value_range is {brief(given)}; expected black, white and white - black to be 0 or {_LEAST:.3g} to "
            f"{_MOST:.3g} in size, the normal numbers of float32: scale what is in the file, and its range with it"
        )
    return low, high


def to_tensor(path: Path, found: Decoded, given: Range | None) -> tuple[Tensor, float]:
    """All channels, alpha too, scaled to [0, 1]: 1 c h w float32, plane by plane so that one float copy is held.

    Alpha among floats has no black of its own: it is taken as it is where it is in [0, 1], else divided by white.

    Args:
        path: The file, for messages.
        found: What its decoder found.
        given: Black and white among floats, None where [0, 1] is expected.

    Returns:
        The image, and which value of alpha among floats is opaque.

    Raises:
        InvalidInput: For NaN, for a range that integers are given, for floats of another scale without one, and for
            alpha of another scale.
    """
    array = found.array[..., None] if found.array.ndim == 2 else found.array
    h, w, c = array.shape
    x = torch.empty(1, c, h, w)
    planes, floating = x.numpy(), array.dtype.kind == "f"
    if given is not None and given != (0, 1) and not floating:
        raise InvalidInput(
            f"{path} holds integers of which {found.top} is white, and a range of {given[0]:g} to {given[1]:g} is "
            "given; ranges are for floats: leave it out"
        )
    low, high = given or (0, 1)
    opaque = high if floating and found.alpha and high > 1 and array[..., -1].max() > RINGING else 1.0
    for i in range(c):
        if not floating:
            np.divide(array[..., i], np.float32(found.top), out=planes[0, i], dtype=np.float32)
        else:
            black, white = (0, opaque) if found.alpha and i == c - 1 else (low, high)
            with np.errstate(over="ignore"):  # becomes infinite, which is refused
                if (black, white) == (0, 1):
                    planes[0, i] = array[..., i]
                else:
                    planes[0, i] = (array[..., i].astype(np.float64) - black) / (white - black)
    check_finite(x, str(path))
    if floating and given is None:
        _check_scale(path, x[:, : c - found.alpha])
    if found.inverted:
        x[:, : c - found.alpha].neg_().add_(1)
    if floating and found.alpha:
        _check_alpha(path, x[:, -1])
        x[:, -1].clamp_(0, 1)
    return x, opaque


def _check_alpha(path: Path, share: Tensor) -> None:
    """Refuse alpha that is in neither of the scales that it may have."""
    if float((share > 2).double().mean()) > STRAY:
        raise InvalidInput(
            f"{path} holds alpha that reaches {float(share.max()):g} times what is opaque; expected it in [0, 1], "
            "or up to the white of value_range: scale the last channel of the file to [0, 1]"
        )


def _check_scale(path: Path, x: Tensor) -> None:
    """Refuse floats that are no image in [0, 1], with the range that they look to be of."""
    low, high = (float(bound) for bound in x.aminmax())
    if low >= -1 and high <= 2:
        return
    share = float(((x < -1) | (x > 2)).double().mean())
    if not share > STRAY:  # so is the median of absolute values where it is above 2
        return
    white = next((top for top in (255, 4095, 65535) if low >= -0.1 * high and high <= top), None)
    asked = f"{low:g}, {high:g}" if white is None else f"0, {white}"
    raise InvalidInput(
        f"{path} holds floats from {low:g} to {high:g}, {100 * share:.0f} % of them outside [-1, 2]; expected an image "
        f"in [0, 1]: say what is black and what is white, as value_range=({asked}), on the command line "
        f"--range {asked.replace(', ', ',')}; (0, 1) takes the values as they are"
    )


def to_array(
    x: Tensor, depth: str, a: np.ndarray | None, premultiplied: bool, given: Range | None, white: int = 65535
) -> np.ndarray:
    """1 c h w -> h w c (h w for one sample) of the given depth, in bands so that no second float image is held.

    Args:
        x: The image.
        depth: "uint8", "uint16" or "float32".
        a: Alpha, h w on any grid, or None.
        premultiplied: Whether colours are to be multiplied by it.
        given: Black and white among floats.
        white: Among 16-bit integers.

    Returns:
        The array.
    """
    planes = x.detach().cpu()[0]
    c, h, w = planes.shape
    array = np.empty((h, w, c + (a is not None)), depth)
    low, high = given or (0.0, 1.0)
    scale = white if depth == "uint16" else SCALE.get(depth)
    if a is not None:
        share = alpha.resample(a / SCALE.get(a.dtype.name, 1), h, w)
        array[..., c] = share if scale is None else np.round(np.clip(share, 0, 1) * scale)
    for top in range(0, h, 256):  # more rows a band hold more memory, fewer make more calls
        rows = slice(top, top + 256)
        band = planes[:, rows].permute(1, 2, 0).float()
        if a is not None and premultiplied:
            band = (band.clamp(0, 1) if scale else band) * torch.from_numpy(share[rows, :, None]).float()
        if scale is not None:
            band = band.clamp(0, 1).mul_(scale).round_()
        elif given is not None:
            band = band.mul(high - low).add_(low)
            check_finite(band, f"the image to write, in the range of {low:g} to {high:g},")
        array[rows, :, :c] = band.numpy()
    return array[..., 0] if array.shape[2] == 1 else array

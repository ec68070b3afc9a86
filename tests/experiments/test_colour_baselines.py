"""Grey, the mean colour and the tiles they are measured on."""

import pytest
import torch

from fastip import data, metrics, operators, psf
from fastip.errors import InvalidInput
from fastip.experiments import colour_baselines as baselines

OP = operators.Blur(psf.box(2), stride=2) @ operators.ToGray()


def ramp(b, h, w, seed):
    """Luma that is linear in rows and columns, well inside [0, 1].

    Bicubic interpolation all but reproduces it away from borders.
    """
    slopes = torch.rand(b, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    rows, columns = torch.meshgrid(torch.arange(h) / h - 0.5, torch.arange(w) / w - 0.5, indexing="ij")
    return 0.5 + 0.4 * (slopes[:, :1, None] * rows + slopes[:, 1:, None] * columns)[:, None]


def test_grey_lies_where_the_pixels_lie():
    x = ramp(2, 20, 28, seed=3).expand(-1, 3, -1, -1)
    error = (baselines.grey(OP(x)) - x).abs()
    assert error[..., 4:-4, 4:-4].max() < 3e-3 and baselines.grey(OP(x)).shape == x.shape
    x = torch.rand(2, 3, 6, 10)
    # any other alignment moves the picture
    assert torch.allclose(baselines.grey(OP(x.flip(-1, -2))), baselines.grey(OP(x)).flip(-1, -2), atol=1e-6)


def test_a_constant_colour_keeps_the_luma_and_is_found_again():
    luma = ramp(3, 16, 24, seed=4)
    chroma = torch.tensor([[0.1, 0.0, -0.2], [-0.05, 0.03, 0.1], [0.0, -0.1, 0.0]])[:, :, None, None]
    chroma = chroma - operators.ToGray()(chroma)
    x = luma + chroma
    y = OP(x)
    assert torch.allclose(baselines.chroma_of(x), chroma, atol=1e-6)
    guess = baselines.mean_chroma(y, chroma=baselines.chroma_of(x))
    assert (guess - x).abs()[..., 4:-4, 4:-4].max() < 3e-3
    assert torch.allclose(
        operators.ToGray()(baselines.mean_chroma(y)), operators.ToGray()(baselines.grey(y)), atol=1e-5
    )


def test_the_constant_is_a_colour_without_luma_and_warm():
    constant = torch.tensor(baselines.CHROMA)
    assert abs(float(operators.ToGray()(constant.reshape(1, 3, 1, 1)))) < 1e-6
    assert constant[0] > 0 > constant[2]


def test_the_mean_is_that_of_the_first_pictures():
    class Some(data.Pictures):
        images = torch.rand(230, 3, 4, 6, generator=torch.Generator().manual_seed(5))

        def __len__(self):
            return len(self.images)

        def batch(self, indices):
            return self.images[list(indices)]

    expected = baselines.chroma_of(Some.images[:205]).double().mean(dim=0).flatten()
    assert torch.allclose(baselines.mean_chroma_of(Some(), 205), expected, atol=1e-7)


def test_tiles_are_the_middle_of_the_reduced_picture():
    x = torch.rand(1, 3, 53, 64)
    tiles = baselines.tiles(x, 3, side=8)  # 17 x 21 pixels: 2 x 2 tiles from row 0, column 2
    assert tiles.shape == (4, 3, 8, 8)
    assert torch.allclose(tiles[3], x[0, :, 24:48, 30:54].reshape(3, 8, 3, 8, 3).mean((2, 4)), atol=1e-6)
    assert torch.allclose(tiles[1, :, 0, 0], x[0, :, :3, 30:33].mean((1, 2)), atol=1e-6)
    with pytest.raises(InvalidInput, match="at least 72 x 72"):
        baselines.tiles(x, 3, side=24)


def test_each_everyday_photograph_holds_tiles_and_its_own_colour_helps():
    gains = []
    for picture in data.held_out_photographs(("chelsea", "coffee", "rocket")).values():
        x = baselines.tiles(picture, 3)
        y = OP(x)
        oracle = baselines.mean_chroma(y, chroma=baselines.chroma_of(x))
        gains.append(float((metrics.psnr(oracle, x) - metrics.psnr(baselines.grey(y), x)).mean()))
    assert min(gains) > 2.0


@pytest.mark.parametrize("bad", [torch.rand(1, 3, 4, 4), torch.rand(4, 4)])
def test_data_that_are_not_grey_are_refused(bad):
    with pytest.raises(InvalidInput):
        baselines.grey(bad)

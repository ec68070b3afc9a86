"""Families: each is whole, the list of them is one, and their argument structs are filled by name."""

from __future__ import annotations

import inspect
import pickle
import re
from pathlib import Path

import pytest

from fastip import kernels
from fastip.kernels import extension
from fastip.kernels.family import FAMILIES, OPERATORS

ROOT = Path(__file__).parents[2]
# where the names differ
COMPILED = {
    "spectral_step_": "spectral_step",
    "solve": "admm",
    "stencil": "strided_conv",
    "woodbury": "strided_conv",
}
SHARED = {
    "spectral_step_": {"spectral_step"},
    "solve": {"admm"},
    "soft_threshold": {"soft_threshold", "soft_threshold.Tensor"},
    "tv_prox": set(),
    "split_open": set(),
    "split_mix": set(),
    "split_close": set(),
}


def lines() -> dict[str, tuple[str, str]]:
    """name -> (struct, file) of csrc/families.cmake."""
    listed = re.findall(r'^  "(\w+) (\w+) (\w+)"', (ROOT / "csrc" / "families.cmake").read_text(), re.M)
    return {name: (struct, file) for name, struct, file in listed}


def test_the_list_of_families_is_one() -> None:
    assert {COMPILED.get(name, name) for name in FAMILIES} == set(lines())
    assert {name for own in (SHARED.get(name, {name}) for name in FAMILIES) for name in own} == set(OPERATORS)
    for folder, suffix in (("cpu", ".cpp"), ("cuda", ".cu")):
        assert all((ROOT / "csrc" / folder / f"{file}{suffix}").is_file() for _, file in lines().values())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_whole(name: str) -> None:
    family = FAMILIES[name]
    assert getattr(kernels, name) is family and family.__doc__ == family.reference.__doc__
    module = ROOT / "fastip" / "kernels" / "triton" / f"{family._triton}.py"
    assert re.search(rf"^def {name}\(", module.read_text(), re.M)
    assert pickle.loads(pickle.dumps(family)) is family
    names = list(inspect.signature(family.reference).parameters)
    assert list(inspect.signature(family.native).parameters) == names and max(family.images) < len(names)


@pytest.mark.usefixtures("compiled")
def test_boundaries_have_the_same_order() -> None:
    from fastip import _C

    assert _C.boundaries == kernels.reference.BOUNDARIES and extension.why_missing() is None


@pytest.mark.usefixtures("compiled")
def test_a_struct_is_filled_by_name() -> None:
    from fastip import _C

    fields = {"source": 0, "out": 0, "planes": 1, "height": 4, "width": 4, "h": 2, "w": 2, "stride": 2}
    _C.ShuffleArgs(**fields)
    for name in fields:
        with pytest.raises(TypeError, match=f"ShuffleArgs lacks {name}"):
            _C.ShuffleArgs(**{k: v for k, v in fields.items() if k != name})
    with pytest.raises(TypeError, match="ShuffleArgs was given a name that it does not have"):
        _C.ShuffleArgs(**fields, depth=1)
    with pytest.raises(ValueError, match="no boundary 'mirror'"):
        _C.ConvArgs(**fields, psf=0, kh=1, kw=1, boundary="mirror")

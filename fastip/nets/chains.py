"""VGG-16 and AlexNet as comparators: chains of convolutions, under the names that torchvision's weights have."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .comparator import Comparator

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # red, green, blue of ImageNet in [0, 1]


class Chain(Comparator):
    """Convolutions, ReLUs and poolings in a row; ``taken``: the positions of those whose results are the layers."""

    taken: tuple[int, ...]

    def __init__(self, features: list[nn.Module]) -> None:
        super().__init__()
        self.chain = nn.Sequential(*features)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.mean: Tensor
        self.deviation: Tensor

    def layers(self, x: Tensor) -> list[Tensor]:
        found, f = [], (x - self.mean) / self.deviation
        for position, module in enumerate(self.chain):
            f = module(f)
            if position in self.taken:
                found.append(f)
        return found


class VGG16(Chain):
    """VGG-16 without its last pooling and its classifier; layers: relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.

    Untrained as it is built here; with torchvision's weights, where they are:
    ``fastip.data.comparators.comparator("vgg16")``.

    References:
        Simonyan and Zisserman, Very deep convolutional networks, 2014, configuration D.
    """

    smallest = 16  # below it the fourth pooling finds nothing
    taken = (3, 8, 15, 22, 29)

    def __init__(self) -> None:
        features: list[nn.Module] = []
        channels = 3
        for width, count in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            features += [nn.MaxPool2d(2)] if features else []
            for _ in range(count):
                features += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
        super().__init__(features)


class AlexNet(Chain):
    """AlexNet ("one weird trick") without its last pooling and its classifier; layers: the five ReLUs.

    Untrained as it is built here; with torchvision's weights, where they are:
    ``fastip.data.comparators.comparator("alexnet")``.

    References:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """

    smallest = 31  # below it the second pooling finds nothing
    taken = (1, 4, 7, 9, 11)

    def __init__(self) -> None:
        first = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        second = [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        rest = [
            layer
            for i, o in ((192, 384), (384, 256), (256, 256))
            for layer in (nn.Conv2d(i, o, 3, padding=1), nn.ReLU())
        ]
        super().__init__([*first, *second, *rest])

"""A ResNet in torch whose modules are named as torchvision's are. Import it where torch is installed only."""

from __future__ import annotations

import torch
from torch import nn

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet101": (3, 4, 23, 3)}


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _downsample(given, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(found)) + (self.downsample(x) if self.downsample else x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, given: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = _downsample(given, 4 * width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.bn1(self.conv1(x)))
        found = torch.relu(self.bn2(self.conv2(found)))
        return torch.relu(self.bn3(self.conv3(found)) + (self.downsample(x) if self.downsample else x))


def _downsample(given: int, width: int, stride: int) -> nn.Module | None:
    if stride == 1 and given == width:
        return None
    return nn.Sequential(nn.Conv2d(given, width, 1, stride, bias=False), nn.BatchNorm2d(width))


class TorchResNet(nn.Module):
    """float32 [N, 3, H, W] -> features float32 [N, F]; `fc` is there for its weights only."""

    def __init__(self, name: str) -> None:
        super().__init__()
        block = _Basic if name == "resnet18" else _Bottleneck
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        given = 64
        for number, blocks in enumerate(BLOCKS[name], start=1):
            width = 32 << number
            layers = []
            for index in range(blocks):
                layers.append(block(given, width, 2 if number > 1 and index == 0 else 1))
                given = width * block.expansion
            setattr(self, f"layer{number}", nn.Sequential(*layers))
        self.fc = nn.Linear(given, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x.mean(dim=(2, 3))


def randomize(network: nn.Module, films: torch.Tensor) -> None:
    """Give batch norms scales that aren't 1, and the statistics of `films`: activations keep a unit scale."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.1, 0.1)
    kept = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(films)
    for norm, momentum in zip(norms, kept, strict=True):
        norm.momentum = momentum
    network.eval()

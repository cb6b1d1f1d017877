"""What torchvision calls the weights of the networks that paddle.vision has too.

Both build ResNet, ResNeXt, Wide ResNet and MobileNetV2 of modules with the same names, and the others of the
same parts under other names. timm's names of ResNets are torchvision's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

_SUFFIXES: Final = {"_mean": "running_mean", "_variance": "running_var"}
_COUNTER: Final = "num_batches_tracked"
_TORCH_SUFFIXES: Final = ("." + _COUNTER, *(f".{suffix}" for suffix in _SUFFIXES.values()))

_DENSENET: Final = (
    (r"conv1_func\._conv", "features.conv0"),
    (r"conv1_func\._batch_norm", "features.norm0"),
    (r"batch_norm", "features.norm5"),
    (
        r"db_conv_(\d)\.conv\d_(\d+)\.bn_ac_func(\d)\.(_conv|_batch_norm)",
        "features.denseblock{0}.denselayer{1}.",
    ),
    (r"tr_conv(\d)_blk\.conv_ac_func\.(_conv|_batch_norm)", "features.transition{0}."),
)
# The files that torchvision downloads for DenseNet have the names of before 2018, `norm.1` for `norm1`.
_OLDER_DENSENET: Final = re.compile(r"(?<=\.)(norm|conv)\.([12])(?=\.)")
# How far a part's convolution lies in torchvision's branch of a ShuffleNetV2 block.
_SHUFFLENET_PLACES: Final = {
    "_conv_dw_1": ("branch1", 0),
    "_conv_linear_1": ("branch1", 2),
    "_conv_pw_2": ("branch2", 0),
    "_conv_dw_2": ("branch2", 3),
    "_conv_linear_2": ("branch2", 5),
    "_conv_pw": ("branch2", 0),
    "_conv_dw": ("branch2", 3),
    "_conv_linear": ("branch2", 5),
}
# The parts of a MobileNetV3 block in their order; a block may lack the first and the third.
_MOBILENET_V3_PARTS: Final = ("expand_conv", "bottleneck_conv", "mid_se", "linear_conv")


def is_torch_state(names: Iterable[str]) -> bool:
    """Whether a state has torch's names: those of batch norms give it away."""
    return any(name.endswith(_TORCH_SUFFIXES) for name in names)


def with_own_names(state: Mapping[str, Any], own: Collection[str]) -> dict[str, Any]:
    """`state` under paddle.vision's names; what has no counterpart keeps its name.

    Args:
        state: weights by torchvision's name.
        own: all names of the network's weights, as paddle.vision has them.
    """
    theirs_of = torchvision_names(own)
    found = {theirs: name for name, theirs in theirs_of.items()}
    return {
        found.get(name, found.get(_OLDER_DENSENET.sub(r"\1\2", name), name)): value
        for name, value in state.items()
        if not name.endswith(_COUNTER)
    }


def torchvision_names(own: Collection[str]) -> dict[str, str]:
    """torchvision's name of each weight of a network of paddle.vision, by that network's own."""
    translate = _translation(own)
    names = {}
    for name in own:
        module, _, suffix = name.rpartition(".")
        names[name] = f"{translate(module)}.{_SUFFIXES.get(suffix, suffix)}"
    return names


def _translation(own: Collection[str]) -> Callable[[str], str]:
    modules = {name.rpartition(".")[0] for name in own}
    if "conv1_func._conv" in modules:
        return _densenet
    if "_last_conv.0" in modules:
        return _shufflenet
    if "lastconv.0" in modules:
        return lambda module: _mobilenet_v3(module, modules)
    return lambda module: module


def _densenet(module: str) -> str:
    for pattern, theirs in _DENSENET:
        found = re.fullmatch(pattern, module)
        if found is None:
            continue
        if not found.groups():
            return theirs
        block, *between, part = found.groups()
        number = between[-1] if between else ""
        return theirs.format(int(block) - 1, *between) + ("conv" if part == "_conv" else "norm") + number
    return module


def _shufflenet(module: str) -> str:
    first, *rest = module.split(".")
    if first in ("_conv1", "_last_conv"):
        return ".".join(["conv1" if first == "_conv1" else "conv5", *rest])
    stage, block = first.split("_")
    branch, start = _SHUFFLENET_PLACES[rest[0]]
    return f"stage{stage}.{int(block) - 1}.{branch}.{start + int(rest[1])}"


def _mobilenet_v3(module: str, modules: Collection[str]) -> str:
    first, *rest = module.split(".")
    if first == "conv":
        return ".".join(["features.0", *rest])
    blocks = 1 + max(int(name.split(".")[1]) for name in modules if name.startswith("blocks."))
    if first == "lastconv":
        return ".".join([f"features.{blocks + 1}", *rest])
    block, part, *inner = rest
    parts = [
        known
        for known in _MOBILENET_V3_PARTS
        if any(name.startswith(f"blocks.{block}.{known}.") for name in modules)
    ]
    return ".".join([f"features.{int(block) + 1}.block.{parts.index(part)}", *inner])

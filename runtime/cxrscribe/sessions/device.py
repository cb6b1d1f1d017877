"""Where graphs run: the devices that can be asked for, this machine's processor and its threads for us."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Final

from cxrscribe.arguments import shown
from cxrscribe.errors import DeviceError, MissingExtraError

AUTO: Final = "auto"


class Role(StrEnum):
    """What a graph is for. Some devices run the encoder only, and leave the decoder to another one."""

    ENCODER = "encoder"
    DECODER = "decoder"


class Memory(StrEnum):
    """Where a device keeps the tensors of the decoder between two steps."""

    CPU = "cpu"
    CUDA = "cuda"


class Engine(StrEnum):
    """A library that runs graphs."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


@dataclass(frozen=True)
class Provider:
    """One of onnxruntime's execution providers."""

    name: str
    """As onnxruntime calls it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Those that keep it from computing float32 in a lower precision of its own choice are among them."""


@dataclass(frozen=True)
class Device:
    """A device that a user can name."""

    name: str
    extra: str
    """The pip extra that brings it."""
    memory: Memory
    encoder: tuple[Provider, ...]
    """For the encoder, the preferred one first; a node goes to the first that can run it. None where another
    engine runs it.
    """
    decoder: tuple[Provider, ...]
    """For the decoder's graphs, which onnxruntime runs on every device."""

    def engine(self, role: Role) -> Engine:
        """What runs a graph of that role."""
        return Engine.ONNXRUNTIME if self.providers(role) else Engine.OPENVINO

    def providers(self, role: Role) -> tuple[Provider, ...]:
        """Onnxruntime's of a graph of that role, the preferred one first."""
        return self.encoder if role is Role.ENCODER else self.decoder


_CPU: Final = Provider("CPUExecutionProvider")
_CUDA: Final = Provider(
    "CUDAExecutionProvider",
    # The exhaustive search for convolution algorithms runs for each new shape (onnxruntime issue 19838).
    # Tensor cores would round the factors of float32 products to 10 bits.
    {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"},
)
_TENSORRT: Final = Provider("TensorrtExecutionProvider")

CPU: Final = Device("cpu", "cpu", Memory.CPU, (_CPU,), (_CPU,))
CUDA: Final = Device("cuda", "gpu", Memory.CUDA, (_CUDA, _CPU), (_CUDA, _CPU))
TENSORRT: Final = Device("tensorrt", "gpu", Memory.CUDA, (_TENSORRT, _CUDA, _CPU), (_CUDA, _CPU))
OPENVINO: Final = Device("openvino", "openvino", Memory.CPU, (), (_CPU,))

DEVICES: Final = (CPU, CUDA, TENSORRT, OPENVINO)
DEVICE_NAMES: Final = (AUTO, *(device.name for device in DEVICES))
GPU_NAMES: Final = tuple(device.name for device in DEVICES if device.memory is Memory.CUDA)
# OpenVINO is not among them: in fp32 it is no faster than onnxruntime's own kernels (docs/devices.md).
_BEST_FIRST: Final = (CUDA, CPU)


def decoder_device(name: str) -> str:
    """Name of the device that runs the decoder where `name` was chosen."""
    (device,) = (each for each in DEVICES if each.name == name)
    return next(each.name for each in DEVICES if each.decoder == device.decoder)


def import_onnxruntime() -> ModuleType:
    """The onnxruntime module. Raises MissingExtraError when it isn't installed, or can't be used."""
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "onnxruntime":
            raise MissingExtraError("running a bundle", CPU.extra) from None
        raise _broken(f"{type(error).__name__}: {error}") from error
    module: ModuleType = onnxruntime
    if not hasattr(module, "InferenceSession"):  # a folder that an uninstallation left behind
        raise _broken("it has no InferenceSession")
    return module


def _broken(reason: str) -> MissingExtraError:
    """onnxruntime and onnxruntime-gpu share their files: what one leaves behind, the other trips over."""
    return MissingExtraError(
        f"the onnxruntime that is installed is broken ({reason}). Running a bundle",
        CPU.extra,
        "Uninstall both, pip uninstall onnxruntime onnxruntime-gpu, and install one",
    )


def find_devices(name: str) -> tuple[Device, ...]:
    """The devices to try for this name, best first; `auto` is the best that there is.

    Raises DeviceError when the name is unknown, or what is installed can't drive that device.
    """
    if not isinstance(name, str) or name not in DEVICE_NAMES:
        raise DeviceError(f"device {shown(name)} is unknown; there are {', '.join(DEVICE_NAMES)}")
    if name == AUTO:
        return tuple(device for device in _BEST_FIRST if _is_installed(device))
    device = next(device for device in DEVICES if device.name == name)
    if not _is_installed(device):
        raise missing(device)
    return (device,)


def _is_installed(device: Device) -> bool:
    """Whether what drives the device is there. Whether it works is another question."""
    if device.engine(Role.ENCODER) is Engine.OPENVINO:
        try:
            return find_spec(Engine.OPENVINO.value) is not None  # which imports nothing
        except (ImportError, ValueError):  # whoever keeps it from being imported may raise that here
            return False
    return device.encoder[0].name in import_onnxruntime().get_available_providers()


def missing(device: Device, reason: str = "", remedy: str = "") -> DeviceError:
    """The error that says that a device was asked for by name and doesn't work.

    `reason` says why; `remedy` what to do, by default to install the device's extra.
    """
    if device is CPU:
        provider = device.encoder[0].name
        return DeviceError(f"this onnxruntime has no {provider}; install it: pip install 'cxrscribe[cpu]'")
    install = f"Run pip install 'cxrscribe[{device.extra}]'"
    if device.engine(Role.ENCODER) is Engine.OPENVINO:
        lacking = "there is no working package openvino"
    else:
        lacking = f"onnxruntime gives no working {device.encoder[0].name}"
        install += (
            " (after pip uninstall onnxruntime, which excludes it) and check the driver and its libraries"
        )
    why = f" ({reason})" if reason else ""
    return DeviceError(
        f"device {device.name!r} is not there: {lacking}{why}. {remedy or install}, or take device='cpu'"
    )


_CPUINFO: Final = Path("/proc/cpuinfo")
_FIRST_BYTES: Final = 1 << 14
# Of x86 and of ARM. Frequencies and numbers of cores are no matter.
_FIELDS: Final = frozenset(
    {
        "vendor_id",
        "cpu family",
        "model",
        "model name",
        "stepping",
        "flags",
        "CPU implementer",
        "CPU architecture",
        "CPU variant",
        "CPU part",
        "Features",
    }
)
_NAME_FIELDS: Final = ("model name", "CPU implementer", "CPU part")
_FLAG_FIELDS: Final = ("flags", "Features")  # of x86, of ARM


def processor_name() -> str:
    """What a person calls it: `AMD EPYC 9R14`; `unknown` where nobody says."""
    return name_and_flags(processor())[0] or "unknown"


def name_and_flags(description: str) -> tuple[str | None, list[str] | None]:
    """Name and instruction sets from what `processor` says; None for what it doesn't."""
    values = {
        field: part.removeprefix(f"{field} ")
        for part in description.split("; ")
        for field in (*_NAME_FIELDS, *_FLAG_FIELDS)
        if part.startswith(f"{field} ")
    }
    flags = next((values[field].split() for field in _FLAG_FIELDS if field in values), None)
    if "model name" in values:
        return values["model name"], flags
    import platform  # which takes longer to import than the rest of this takes

    arm = [f"{field} {values[field]}" for field in _NAME_FIELDS if field in values]
    return ", ".join(arm) or platform.processor() or platform.machine() or None, flags


@cache
def processor() -> str:
    """Model and instruction sets: what Linux says of the first processor, elsewhere what Python does."""
    return read_processor(_CPUINFO)


def read_processor(cpuinfo: Path) -> str:
    """As `processor`, from a file like /proc/cpuinfo, of which only the beginning is read."""
    try:
        # Linux writes this file anew for each reader, one processor after the other.
        with cpuinfo.open("rb", buffering=0) as stream:
            beginning = stream.read(_FIRST_BYTES).decode("utf-8", "replace")
    except OSError:
        import platform  # which takes longer to import than the rest of this takes

        return f"{platform.machine()}; {platform.processor()}"
    fields = [os.uname().machine]
    for line in beginning.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        if name.strip() in _FIELDS:
            fields.append(f"{name.strip()} {' '.join(value.split())}")
    return "; ".join(fields)


_CGROUP: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


def usable_threads(root: Path = _CGROUP, own: Path = _OWN_CGROUP) -> int:
    """Processors that the process may use: its affinity mask, less where its control group has a quota.

    onnxruntime itself counts the host's processors, and so starts too many threads in a container
    (onnxruntime issue 29510). `root` is where control groups are mounted, `own` says which is the process'.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = _cgroup_share(root, own)
    return max(1, allowed if share is None else min(allowed, math.ceil(share)))


def _cgroup_share(root: Path, own: Path) -> float | None:
    """Processors that the quotas of the process' control group and of those above it leave; None for all."""
    shares = [share for folder in _folders(root, own) if (share := _quota(folder)) is not None]
    return min(shares, default=None)


def _folders(root: Path, own: Path) -> list[Path]:
    """The folders of the process' control groups, version 2 and 1, each with all above it."""
    folders = [root, root / "cpu"]
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        base = root if controllers == "" else root / "cpu"
        if controllers == "" or "cpu" in controllers.split(","):
            parts = [part for part in path.split("/") if part not in ("", "..")]
            folders += [base.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]
    return folders


def _quota(folder: Path) -> float | None:
    """`cpu.max` (version 2: quota and period, or `max`) or `cpu.cfs_quota_us` (version 1: -1 for none)."""
    words = _read(folder / "cpu.max").split()
    if not words:
        words = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
    try:
        quota, period = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""

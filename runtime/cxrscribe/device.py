"""Where graphs run: the devices that can be asked for, and what onnxruntime calls them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Final

from cxrscribe.errors import DeviceError, MissingExtraError

AUTO: Final = "auto"


@dataclass(frozen=True)
class Device:
    """A device that a user can name."""

    name: str
    provider: str
    """onnxruntime's execution provider."""
    extra: str
    """The pip extra that brings it."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the provider."""


CPU: Final = Device("cpu", "CPUExecutionProvider", "cpu")
# The exhaustive search for convolution algorithms runs again for each new shape (onnxruntime issue 19838).
CUDA: Final = Device("cuda", "CUDAExecutionProvider", "gpu", {"cudnn_conv_algo_search": "HEURISTIC"})
DEVICES: Final = (CUDA, CPU)
DEVICE_NAMES: Final = (AUTO, *(device.name for device in DEVICES))


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

    Raises DeviceError when the name is unknown, or the installed onnxruntime can't drive that device.
    """
    if name not in DEVICE_NAMES:
        raise DeviceError(f"device {name!r} is unknown; there are {', '.join(DEVICE_NAMES)}")
    available = import_onnxruntime().get_available_providers()
    if name == AUTO:
        return tuple(device for device in DEVICES if device.provider in available)
    device = next(device for device in DEVICES if device.name == name)
    if device.provider not in available:
        raise missing(device)
    return (device,)


def missing(device: Device, reason: str = "") -> DeviceError:
    """The error that says that a device was asked for by name and doesn't work; `reason` is onnxruntime's."""
    if device is CPU:
        return DeviceError(
            f"this onnxruntime has no {CPU.provider}; install it: pip install 'cxrscribe[cpu]'"
        )
    why = f" ({reason})" if reason else ""
    return DeviceError(
        f"device {device.name!r} is not there: onnxruntime gives no working {device.provider}{why}. "
        f"Run pip install 'cxrscribe[{device.extra}]' (after pip uninstall onnxruntime, which excludes it) "
        "and check the driver and its libraries, or take device='cpu'"
    )

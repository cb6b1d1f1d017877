"""OpenVINO's execution provider, which comes as a plugin library in a package of its own."""

from __future__ import annotations

import json
from typing import Any, Final

from cxrscribe.forks import ForkSafeLock
from cxrscribe.sessions.device import OPENVINO, import_onnxruntime, missing

_NAME: Final = "OpenVINOExecutionProvider"
_LIBRARY: Final = "cxrscribe-openvino"  # what onnxruntime calls the plugin once it is registered
_KIND: Final = "ov_device"  # the plugin's metadata of a device: CPU, GPU or NPU
_registering: Final = ForkSafeLock()


def openvino_options(threads: int, exact: bool) -> dict[str, str]:
    """The provider's options: how many threads of the processor, and whether float32 stays float32.

    On processors with AVX512-BF16 or AMX, OpenVINO computes in bfloat16 by itself.
    """
    config = {"INFERENCE_NUM_THREADS": str(threads)}
    if exact:
        config["INFERENCE_PRECISION_HINT"] = "f32"
    return {"load_config": json.dumps({"CPU": config})}


def openvino_processors() -> list[Any]:
    """onnxruntime's entry (OrtEpDevice) of the processor as OpenVINO drives it: a list of one.

    The plugin is registered with onnxruntime unless it is already. Raises DeviceError when its package isn't
    installed, can't be loaded, or doesn't drive this processor.
    """
    with _registering:
        found = _found()
        if not found:
            _register()
            found = _found()
    if not found:
        # The plugin takes Intel's processors only, whatever OpenVINO itself could run on.
        raise missing(OPENVINO, "the plugin drives no processor of this machine; it wants one made by Intel")
    return found[:1]


def _found() -> list[Any]:
    devices = import_onnxruntime().get_ep_devices()
    return [
        device for device in devices if device.ep_name == _NAME and device.ep_metadata.get(_KIND) == "CPU"
    ]


def _register() -> None:
    try:
        import onnxruntime_ep_openvino
    except ImportError as error:
        raise missing(OPENVINO, f"onnxruntime-ep-openvino: {error}") from None
    runtime = import_onnxruntime()
    try:
        runtime.register_execution_provider_library(_LIBRARY, onnxruntime_ep_openvino.get_library_path())
    except Exception as error:  # onnxruntime's own errors have no common class below this one
        if "already" in str(error):  # by an earlier call that found no device
            return
        raise missing(OPENVINO, " ".join(str(error).split())[:300]) from error

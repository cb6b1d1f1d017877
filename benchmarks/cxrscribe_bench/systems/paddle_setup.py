"""Paddle, got ready in this process."""

from __future__ import annotations

import importlib.util

from cxrscribe.errors import MissingExtraError


def set_up_paddle(what: str, threads: int) -> str:
    """Import Paddle for the CPU with this many threads, without its usual warnings; gives its version.

    Raises MissingExtraError, which says that `what` needs it, where Paddle or onnx isn't installed.
    """
    if any(importlib.util.find_spec(module) is None for module in ("paddle", "onnx")):
        raise MissingExtraError(what, "export")
    from cxrscribe_train.paddle_warnings import ignore_paddle_warnings

    ignore_paddle_warnings()
    import paddle

    paddle.set_device("cpu")
    # Of the matrix products in the dynamic graph, for which there is no public function.
    paddle.base.core.set_num_threads(threads)
    return str(paddle.__version__)

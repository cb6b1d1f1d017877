"""`cxrscribe`, and `python -m cxrscribe` where that script isn't on the PATH."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Final, NoReturn

INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


def start() -> NoReturn:
    """Run the command line. An interruption is quiet from here on, while modules are imported too."""
    try:
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _interrupt)
        from cxrscribe.cli.main import main
        from cxrscribe.freed_memory import share_freed_memory

        share_freed_memory()
        main(prog_name="cxrscribe")
        code = 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        # Who asks once more, while threads and processes are waited for, gets an end at once.
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                signal.signal(number, signal.SIG_DFL)
    sys.exit(code)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    start()

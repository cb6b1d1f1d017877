"""The program that decodes films in a process of its own: `python -m cxrscribe.films.worker`.

`decoder_process` starts it and talks to it through pipes. It says that it is ready, and then takes one film
at a time: a line of JSON that says what to do, then the bytes of the film, or none where the line has its
path; back come a line of JSON, and the fitted picture or nothing. Asked for `study_uid` or `identifiers`, it
reads a DICOM file's header only. It ends when its input does, or at an empty line, and takes the folder for
its temporary files with it.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any, BinaryIO

from cxrscribe.errors import FilmError, MissingExtraError, Reason
from cxrscribe.films.decoder_process import FOLDER_VARIABLE, READY
from cxrscribe.films.film import open_source
from cxrscribe.films.identifiers import identifiers_of
from cxrscribe.films.preprocess import Preprocessing
from cxrscribe.films.study_uid import study_uid_of
from cxrscribe.json_object import JsonObject

_GRACE_SECONDS = 1.0


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that started this one
    for limit in ("SIGALRM", "SIGXCPU"):  # what that one ignores isn't ignored here
        if hasattr(signal, limit):
            signal.signal(getattr(signal, limit), signal.SIG_DFL)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # decoders print
    _leave_no_core()
    try:
        _serve(replies)
    finally:
        if FOLDER_VARIABLE in os.environ:
            rmtree(os.environ[FOLDER_VARIABLE], ignore_errors=True)


def _serve(replies: BinaryIO) -> None:
    replies.write(b"\n" + READY)  # whatever the start of Python has printed ends before it
    replies.flush()
    while (line := sys.stdin.buffer.readline()).strip():
        request = json.loads(line)
        content = None if "path" in request else sys.stdin.buffer.read(request["bytes"])
        _limit(request)
        _answer(request, content, replies)
        _lift_limits()  # the next film is read before its own hold


def _answer(request: dict[str, Any], content: bytes | None, replies: BinaryIO) -> None:
    pixels, reply = b"", dict[str, object]()
    try:
        film = Path(request["path"]) if content is None else content
        if "study_uid" in request:
            reply = {"study_uid": study_uid_of(film)}
        elif "identifiers" in request:
            assert isinstance(film, bytes)
            reply = {"identifiers": {tag: value.hex() for tag, value in identifiers_of(film).items()}}
        else:
            preprocessing = Preprocessing.from_json(JsonObject(request["preprocessing"], "the request"))
            picture = preprocessing.picture(open_source(film), tuple(request["modalities"]), request["text"])
            pixels = picture.pixels.tobytes()
            reply = {
                "bytes": len(pixels),
                "shape": picture.pixels.shape,
                "display": picture.display,
                "text": picture.text,
            }
    except MemoryError:
        reply = {"error": request["no_memory"], "reason": Reason.TOO_LARGE}
    except FilmError as error:
        reply = {"error": str(error), "reason": error.reason}
    except MissingExtraError as error:
        reply = {"error": str(error), "reason": Reason.UNSUPPORTED}
    except Exception as error:
        reply = {
            "error": f"can't be read ({type(error).__name__}); fetch it again",
            "reason": Reason.UNREADABLE,
        }
    replies.write(json.dumps(reply).encode() + b"\n" + pixels)
    replies.flush()


def _limit(request: dict[str, Any]) -> None:
    """Let this film take so much processor time and memory besides what has been taken, where that can be."""
    try:
        import resource
    except ImportError:  # Windows
        return
    # Else it is for the program that started this one to end it, which may be gone.
    signal.setitimer(signal.ITIMER_REAL, request["wall_seconds"] + _GRACE_SECONDS)
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        seconds = math.ceil(time.process_time() + request["cpu_seconds"])
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, most))
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (_address_space() + int(request["memory_bytes"]), most))


def _lift_limits() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    signal.setitimer(signal.ITIMER_REAL, 0)
    with suppress(OSError, ValueError):
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _leave_no_core() -> None:
    """A film isn't left on the disk by a decoder that crashes."""
    try:
        import resource
    except ImportError:  # Windows
        return
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _address_space() -> int:
    """Bytes of this process' address space. Raises OSError where the system doesn't tell (macOS)."""
    with open("/proc/self/statm", encoding="ascii") as status:  # noqa: PTH123 (once a film)
        return int(status.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()

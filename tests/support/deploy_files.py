"""What the files of examples/deploy say."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "examples" / "deploy"


class Containerfile:
    """The last stage of it."""

    def __init__(self, path: Path = DEPLOY / "Containerfile") -> None:
        text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
        lines = re.sub(r"\\\n\s*", " ", text).splitlines()
        last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
        self.instructions = [line.split(" ", 1) for line in lines[last:] if line.strip()]

    def of(self, name: str) -> str:
        (found,) = [rest for instruction, rest in self.instructions if instruction == name]
        return found

    @property
    def environment(self) -> dict[str, str]:
        return dict(item.split("=", 1) for item in shlex.split(self.of("ENV")))

    @property
    def entry_point(self) -> list[str]:
        return list(map(str, json.loads(self.of("ENTRYPOINT"))))

    @property
    def health_check(self) -> list[str]:
        return list(map(str, json.loads(self.of("HEALTHCHECK").partition("CMD ")[2])))


def after_serve(words: list[str]) -> list[str]:
    """The arguments of `cxrscribe serve`."""
    return words[words.index("serve") + 1 :]

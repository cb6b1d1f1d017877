"""How a run is summed up on the terminal, and what exit code that is."""

from __future__ import annotations

from collections.abc import Mapping


def counts(reasons: Mapping[str, int]) -> str:
    """`40 truncated, 5 missing`, the most frequent first."""
    ordered = sorted(reasons.items(), key=lambda reason: (-reason[1], reason[0]))
    return ", ".join(f"{count:,} {reason}" for reason, count in ordered)


def outcome(ok: int, reasons: Mapping[str, int], missing: int) -> str:
    """One line of what became of films."""
    quarantined = sum(reasons.values())
    why = f" ({counts(reasons)})" if reasons else ""
    return f"{ok:,} ok + {quarantined:,} quarantined{why} + {missing:,} missing"


def documents(made: int, not_possible: Mapping[str, int]) -> str:
    """One line of what became of structured reports."""
    line = f"{made:,} structured reports"
    return f"{line}; not possible for {counts(not_possible)}" if not_possible else line


def exit_code(quarantined: int, done: int, missing: int, allowed_share: float = 0.0) -> int:
    """0 where all films are done and few enough have no report; 1 otherwise."""
    return 0 if missing == 0 and quarantined <= allowed_share * done else 1


def duration(seconds: float) -> str:
    """`3 d 4 h`, `2 h 5 min`, `40 s`: to two units."""
    whole = round(seconds)
    for size, name, below, below_name in (
        (86_400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {below_name}"
    return f"{whole} s"

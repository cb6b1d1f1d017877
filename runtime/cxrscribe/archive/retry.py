"""A further pass over films that had no report."""

from __future__ import annotations

from collections.abc import Collection

from cxrscribe.archive.generation import Generation, write_retry
from cxrscribe.archive.rows.part import part_header, read_part
from cxrscribe.archive.run import Run
from cxrscribe.errors import InputError, Reason


def begin_retry(run: Run, reasons: Collection[Reason] = ()) -> Generation | None:
    """The retry to go on with: one that was begun and isn't done, or a new one.

    A new one is about all films that have no report by now, for one of these reasons, if any are given. None
    where there is no such film. Raises InputError when the run itself isn't done yet.
    """
    generations = run.generations()
    newest = next((each for each in generations if each.missing()), generations[-1])
    if missing := newest.missing():
        if newest.number:
            _check_reasons(newest, reasons)
            return newest
        raise InputError(
            f"{run.place.url} has {len(missing)} shards left to score; give the command that began the run "
            "again, and retry once it is done"
        )
    rows = _without_report(generations, reasons)
    if not rows:
        return None
    write_retry(run.place, newest.number + 1, rows)
    return run.generation(newest.number + 1)


def _check_reasons(generation: Generation, reasons: Collection[Reason]) -> None:
    """Raise InputError when a retry that isn't done is about other reasons than these."""
    begun = {reason for rows in (generation.rows or {}).values() for reason in rows.values()}
    if reasons and not begun <= set(reasons):
        raise InputError(
            f"retry {generation.number} isn't done, and is about {', '.join(sorted(begun))}; give no reason "
            "to go on with it"
        )


def _without_report(
    generations: Collection[Generation], reasons: Collection[Reason]
) -> dict[int, dict[int, Reason]]:
    """By shard, the rows that have no report by now, each with its reason."""
    found: dict[int, dict[int, Reason]] = {}
    for generation in generations:
        for shard, name in generation.done().items():
            if generation.number == 0 and not part_header(generation.place, name).quarantined:
                continue
            rows = found.setdefault(shard, {})
            for row in read_part(generation.place.read(name), name).rows():
                rows.pop(row.row, None)
                if row.reason is not None:
                    rows[row.row] = row.reason
    chosen = frozenset(reasons) or frozenset(Reason) - {Reason.CHANGED}  # that one stays changed
    wanted = {
        shard: {row: reason for row, reason in sorted(rows.items()) if reason in chosen}
        for shard, rows in found.items()
    }
    return {shard: rows for shard, rows in sorted(wanted.items()) if rows}

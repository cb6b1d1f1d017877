"""Archives scored in runs: a plan of films, a part file for each of its shards, none lost and none twice."""

from __future__ import annotations

from cxrscribe.archive.beginning import begin_run
from cxrscribe.archive.run import Run, open_run
from cxrscribe.archive.scoring import Receipt, score_shards

__all__ = ["Receipt", "Run", "begin_run", "open_run", "score_shards"]

"""`cxrscribe score send`, in this process, of runs whose documents `small_reports` draws."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from cxrscribe.archive import Run
from cxrscribe.cli.main import main
from support.small_reports import uid
from support.web_pacs import WebPacs


def send(run: Run, *options: str) -> Result:
    return CliRunner().invoke(main, ["score", "send", run.place.url, *options], catch_exceptions=False)


def sent(run: Run, pacs: WebPacs, *options: str) -> tuple[int, dict[str, Any]]:
    result = send(run, "--dicomweb", pacs.url, "--json", *options)
    assert result.stdout, result.stderr
    return result.exit_code, json.loads(result.stdout)


def once(run: Run) -> dict[str, int]:
    return {uid(3, row): 1 for row in range(run.plan.films)}

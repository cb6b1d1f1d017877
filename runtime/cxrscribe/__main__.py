"""`python -m cxrscribe`: the command line, where its script isn't on the PATH."""

from __future__ import annotations

from cxrscribe.cli.main import main

main(prog_name="cxrscribe")

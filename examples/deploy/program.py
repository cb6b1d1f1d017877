"""What the one program runs: the command line, or one of the processes that it starts for itself.

cxrscribe reads films in processes of their own, `python -P -m cxrscribe.films.worker`. Here there is no
python: the program takes the same arguments.
"""

import runpy
import sys

MODULE = ["-P", "-m"]

if __name__ == "__main__":
    sys.cxrscribe_runs_modules = True  # type: ignore[attr-defined]
    if sys.argv[1:3] == MODULE and len(sys.argv) > 3 and sys.argv[3].startswith("cxrscribe."):
        module = sys.argv.pop(3)
        del sys.argv[1:3]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    else:
        from cxrscribe.__main__ import start

        start()

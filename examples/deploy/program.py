"""What the one program runs: the command line, or one of the processes in which it reads films."""

import sys

if __name__ == "__main__":
    from cxrscribe.__main__ import start

    sys.exit(start())

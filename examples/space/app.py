"""The page of `etp app`, as a Space starts it; the variables ETP_MODEL and ETP_INDEX say of what."""

import sys

from etp.cli import main

if __name__ == "__main__":
    sys.exit(main(["app"]))

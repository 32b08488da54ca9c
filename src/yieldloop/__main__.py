"""``python -m yieldloop``: the door to the command line. Nothing lives here but the call."""

import sys

from yieldloop.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

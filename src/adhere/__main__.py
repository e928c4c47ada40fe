"""`python -m adhere` is the command `adhere`."""

import sys

from adhere.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m firsthand.cli` is the same as `firsthand`."""

import sys

from firsthand.cli import main

sys.exit(main())

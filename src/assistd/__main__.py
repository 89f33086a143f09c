"""`python -m assistd` is `assistd`."""

import sys

from assistd.cli import main

sys.exit(main())

"""Where the command-line programs of this environment's packages are."""

import sysconfig
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))

"""``python -m emtc_lab.attacks FILE TOOL ARGUMENT ...``: one of the lab's own small attack clients."""

import importlib
import sys

from emtc_lab.attacks.base import TOOLS

importlib.import_module(f"emtc_lab.attacks.{sys.argv[1]}")
TOOLS[sys.argv[2]](*sys.argv[3:])

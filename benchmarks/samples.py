"""Every figure of divergences between samples: transport, then kernels. ``python benchmarks/samples.py``.

Each part is a script of its own with options, samples_transport.py and samples_kernel.py; this runs both with their
defaults and exits with 1 where a target of either is missed.
"""

import subprocess
import sys
from pathlib import Path

PARTS = ("samples_transport.py", "samples_kernel.py")

if __name__ == "__main__":
    sys.exit(max(subprocess.run([sys.executable, Path(__file__).parent / part]).returncode for part in PARTS))

"""Import time of divjax against that of what it stands on: the median of alternating fresh processes.

    python benchmarks/imports.py [--repeats 15]

Exit code 1 where ``import divjax`` costs more than 1.1 times ``import jax, optax, distrax``.
"""

import argparse
import statistics
import subprocess
import sys
import time

TARGET = 1.10


def seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    base, ours = "import jax, optax, distrax", "import divjax"
    seconds(base), seconds(ours)  # files into memory, bytecode onto disk
    pairs = [(seconds(base), seconds(ours)) for _ in range(repeats)]
    ratio = statistics.median(b / a for a, b in pairs)
    print(f"{base}: {statistics.median(a for a, _ in pairs):.3f} s")
    print(f"{ours}: {statistics.median(b for _, b in pairs):.3f} s")
    print(f"ratio, median of {repeats} pairs: {ratio:.3f} (target ≤ {TARGET})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())

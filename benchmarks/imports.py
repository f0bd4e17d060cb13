"""Import time of divjax against that of what it stands on: the median of alternating fresh processes.

    python benchmarks/imports.py [--repeats 15]

Exit code 1 where ``import divjax`` costs more than 1.1 times ``import jax, optax``. The last line is what there is in
addition the first time that a divergence is asked for: modules are imported when a name of theirs is.
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
    base, ours, used = "import jax, optax", "import jax, optax, divjax", "import jax, optax, divjax; divjax.kl"
    statements = (base, ours, used)
    for statement in statements:
        seconds(statement)  # files into memory, bytecode onto disk
    rounds = [[seconds(statement) for statement in statements] for _ in range(repeats)]
    ratio = statistics.median(times[1] / times[0] for times in rounds)
    for i, statement in enumerate(statements):
        print(f"{statement}: {statistics.median(times[i] for times in rounds):.3f} s")
    print(f"ratio, the second to the first, median of {repeats} rounds: {ratio:.3f} (target ≤ {TARGET})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())

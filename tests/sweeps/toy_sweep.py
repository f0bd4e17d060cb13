"""A sweep in a process: ``toy_sweep.py STORE [--pause SECONDS] [--member ADDRESS COUNT INDEX] [--die INDEX]``."""

import argparse
import time

import numpy as np
from toy_iterations import descent, newton

from divjax.sweeps import join, product, sweep
from divjax.sweeps.launch import end_with_parent

CASES = product(a=np.linspace(1.0, 100.0, 8), seed=range(4))
OPTIONS = {"chunk_size": 1, "dims": {"params.powers": ("power",)}}
FITS = 2 * CASES.size


def run(store=None, **options):
    return sweep({"newton": newton(), "descent": descent()}, CASES, store=store, **OPTIONS | options)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("store")
    parser.add_argument("--pause", type=float, default=0.0, help="after each chunk")
    parser.add_argument("--member", nargs=3)
    parser.add_argument("--die", help="the process that ends before it joins")
    asked = parser.parse_args()
    end_with_parent()
    if asked.member:
        address, count, index = asked.member
        if index == asked.die:
            raise SystemExit("no memory")
        join(address=address, num_processes=int(count), process_id=int(index))
    run(asked.store, progress=lambda *_: time.sleep(asked.pause))


if __name__ == "__main__":
    main()

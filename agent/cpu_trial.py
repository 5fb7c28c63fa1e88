"""A program of its own: what all processors that this process may use reach together, measured with NumPy.

    python -m agent.cpu_trial 2.0

It prints one object of JSON: the figures, when and with what. The agent itself does not load NumPy, which would cost it
as much memory as all else. Exit code 3: there is no NumPy.
"""

import importlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from agent import cgroups

NO_NUMPY = 3

# Larger than the caches of most processors, all arrays of all threads together; and no more than a node can spare.
_ARRAYS_BYTES = 384 << 20
_LEAST_ARRAY_BYTES = 4 << 20
_ARRAYS_PER_THREAD = 3
_SIDES = (128, 256, 512, 1024)
# A product that takes so long is large enough: what it costs to call it does not count any more.
_LONG_ENOUGH_SECONDS = 0.01
# The libraries that NumPy may calculate by: each of our threads is to be one of theirs.
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


def main() -> int:
    """Measures for about as many seconds as the first argument says."""
    seconds = float(sys.argv[1])
    # It must not be in the way of anything else on the node.
    os.nice(19)
    for name in _ONE_THREAD:
        os.putenv(name, "1")
    try:
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        sys.stderr.write(f"{error}\n")
        return NO_NUMPY
    threads = usable_threads()
    with ThreadPoolExecutor(threads) as pool:
        figures = {
            "fp64_gflops": product_gflops(numpy, pool, threads, "float64", seconds / 4),
            "fp32_gflops": product_gflops(numpy, pool, threads, "float32", seconds / 4),
            "memory_gb_per_second": memory_gb_per_second(numpy, pool, threads, seconds / 2),
        }
    date = time.strftime("%Y-%m-%d", time.gmtime())
    found = {"figures": figures, "date": date, "source": f"NumPy {numpy.__version__}, {date}"}
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def usable_threads() -> int:
    """How many processors this process may keep busy."""
    limit = cgroups.limits().cpu_millis
    usable = len(os.sched_getaffinity(0))
    return usable if limit is None else max(1, min(usable, round(limit / 1000)))


def product_gflops(numpy: Any, pool: ThreadPoolExecutor, threads: int, kind: str, seconds: float) -> float:
    """Of matrix products in `kind`, a thread for each processor, the sum of what each reaches while it runs.

    By each thread's own time: what else the node does just then takes turns away, but says nothing of the processors.
    """

    def reached(seed: int) -> float:
        until = time.perf_counter() + seconds
        best = 0.0
        for side in _SIDES:
            left = numpy.random.default_rng(seed).random((side, side)).astype(kind)
            out = numpy.empty_like(left)
            numpy.matmul(left, left, out=out)
            while True:
                begun = time.thread_time()
                numpy.matmul(left, left, out=out)
                took = max(time.thread_time() - begun, 1e-9)
                best = max(best, 2 * side**3 / took / 1e9)
                if time.perf_counter() >= until or (side != _SIDES[-1] and took < _LONG_ENOUGH_SECONDS):
                    break
            if time.perf_counter() >= until:
                break
        return best

    return round(sum(pool.map(reached, range(threads))), 3)


def memory_gb_per_second(numpy: Any, pool: ThreadPoolExecutor, threads: int, seconds: float) -> float:
    """Of copying (c = a) and of a triad (c = a + 3 b, in two steps), the better, as bytes read and written."""
    spared = min(_ARRAYS_BYTES, psutil.virtual_memory().available // 8)
    each = max(_LEAST_ARRAY_BYTES, spared // (_ARRAYS_PER_THREAD * threads)) // 8

    def reached(_: int) -> tuple[float, float]:
        a, b, c = (numpy.full(each, 1.0 + one) for one in range(_ARRAYS_PER_THREAD))
        until = time.perf_counter() + seconds
        copied, combined = 0.0, 0.0
        while True:
            begun = time.thread_time()
            numpy.copyto(c, a)
            between = time.thread_time()
            numpy.multiply(b, 3.0, out=c)
            numpy.add(a, c, out=c)
            copied = max(copied, 2 * each * 8 / max(between - begun, 1e-9) / 1e9)
            combined = max(combined, 5 * each * 8 / max(time.thread_time() - between, 1e-9) / 1e9)
            if time.perf_counter() >= until:
                return copied, combined

    found = list(pool.map(reached, range(threads)))
    return round(max(sum(copied for copied, _ in found), sum(combined for _, combined in found)), 3)


if __name__ == "__main__":
    sys.exit(main())

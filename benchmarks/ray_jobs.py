"""Jobs of Ray, by the Python that Ray was put into: it needs nothing of ours. Prints JSON.

`python ray_jobs.py ONE_AT_A_TIME TOGETHER`: each job is an actor, which is a process of its own.
"""

import json
import sys
import time
from typing import Any

import ray


class _Process:
    """A process that says when it is there."""

    def started(self) -> float:
        """By this machine's clock."""
        return time.time()


Nothing: Any = ray.remote(num_cpus=0.1)(_Process)


def main() -> None:
    """Measures both."""
    one, together = map(int, sys.argv[1:])
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 << 20)
    millis = []
    for _ in range(one):
        begun = time.time()
        actor = Nothing.remote()
        millis.append(1000 * (ray.get(actor.started.remote()) - begun))
        ray.kill(actor)
    begun = time.time()
    waiting = list(range(together))
    running: dict[object, object] = {}
    while waiting or running:
        while waiting and len(running) < 8:
            waiting.pop()
            actor = Nothing.remote()
            running[actor.started.remote()] = actor
        done, _ = ray.wait(list(running), num_returns=1)
        ray.kill(running.pop(done[0]))
    rate = together / (time.time() - begun)
    print(json.dumps({"version": ray.__version__, "millis": millis, "rate": rate}))


if __name__ == "__main__":
    main()

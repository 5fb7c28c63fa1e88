"""The job of which the state is large: a Python program that saves as the examples do, or changes a file in place."""

from dataclasses import dataclass, replace

from benchmarks import hop_job
from deploy.local.made import Image
from headrace.jobs import JobSpec, Requests

# The clock is the machine's, since its start: the same in both containers, emulated or not. What is changed lies in one
# place, another one with each epoch. `saved` is said before the state is left alone, and nothing is saved between.
PROGRAM = """\
import json, os, random, signal, time
state = os.path.join(os.environ["HEADRACE_CHECKPOINT_DIR"], "state")
size, changed, how = int(os.environ["STATE_BYTES"]), int(os.environ["CHANGED_BYTES"]), os.environ["HOW"]
def say(word):
    os.write(1, b"%s 0 %.4f\\n" % (word.encode(), time.clock_gettime(time.CLOCK_BOOTTIME)))
def fresh(count):
    if how == "text":
        some = random.Random(os.urandom(8))
        text = json.dumps([some.gauss(0, 1) for _ in range(50000)]).encode()
        return (text * (count // len(text) + 1))[:count]
    return b"".join(os.urandom(min(count - at, 1 << 24)) for at in range(0, count, 1 << 24))
def save(start):
    if how == "in place" and os.path.exists(state):
        with open(state, "r+b") as file:
            file.seek(start)
            file.write(body[start:start + changed])
            file.flush()
            os.fsync(file.fileno())
        return
    with open(state + ".new", "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    os.rename(state + ".new", state)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
if os.path.exists(state):
    say("back")
    body = bytearray(size)
    with open(state, "rb", buffering=0) as file:
        view, at = memoryview(body), 0
        while count := file.readinto(view[at:at + (1 << 20)]):
            at += count
    say("restored")
else:
    say("begun")
    body = bytearray(fresh(size))
    save(0)
say("saved")
new = fresh(changed)
signal.sigwait([signal.SIGTERM])
say("leaving")
if changed:
    start = (size - changed) // 2
    body[start:start + changed] = new
    save(start)
say("written")
os._exit(85)
"""


@dataclass(frozen=True, slots=True)
class StateJob:
    """Such a job; `how` it saves: "aside" (all of it anew, then renamed), "in place", or "text", which is aside too."""

    state_bytes: int
    changed_bytes: int
    how: str = "aside"

    def spec(self, image: Image, *, source: str, natives: tuple[str, ...], interval_ms: int) -> JobSpec:
        """As hop_job.spec."""
        plain = hop_job.spec(image, source=source, natives=natives, interval_ms=interval_ms)
        env = {"STATE_BYTES": str(self.state_bytes), "CHANGED_BYTES": str(self.changed_bytes), "HOW": self.how}
        # The copy that is written aside is in memory too, until it is synced.
        room = Requests(1000, 3 * self.state_bytes + (256 << 20))
        return replace(plain, command=("python3", "-c", PROGRAM), env=env, resources=room)

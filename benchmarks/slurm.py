"""A Slurm of one node on loopback, from the distribution's packages, in a folder of its own."""

import contextlib
import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local import cluster, packages

PACKAGES = (
    packages.Need("slurmctld", ("slurmctld",)),
    packages.Need("slurmd", ("slurmd",)),
    packages.Need("sbatch", ("slurm-client",)),
    packages.Need("munged", ("munge",)),
)
# As fast as it schedules without another daemon: at each submission, and every second.
PARAMETERS = "batch_sched_delay=0,sched_interval=1,sched_min_interval=0,bf_interval=1,sched_max_job_start=0"
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Slurm:
    """How to ask it."""

    folder: Path
    environment: dict[str, str]

    def submit(self, script: Path) -> str:
        """Submits a script by `sbatch`; answers the job's number."""
        return self._run(["sbatch", "--parsable", "--output=/dev/null", "--mem=1", str(script)]).strip()

    def waiting(self) -> int:
        """How many jobs have not ended."""
        return len(self._run(["squeue", "--noheader"]).splitlines())

    def _run(self, argv: list[str]) -> str:
        done = subprocess.run(argv, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout


@contextlib.contextmanager
def served(folder: Path) -> Iterator[Slurm]:
    """Munge, slurmctld and slurmd, ended afterwards."""
    packages.ensure(PACKAGES)
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o711)
    key, munge_socket = folder / "munge" / "key", folder / "munge" / "socket"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    config = folder / "slurm.conf"
    config.write_text(_configuration(folder, munge_socket))
    environment = {**os.environ, "SLURM_CONF": str(config)}
    munge = ["munged", "--foreground", "--force", f"--key-file={key}", f"--socket={munge_socket}"]
    munge += [f"--{name}-file={folder / 'munge' / name}" for name in ("pid", "log", "seed")]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for argv in (munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", socket.gethostname()]):
            with (folder / f"{argv[0]}.out").open("wb") as log:
                started.append(subprocess.Popen(argv, env=environment, cwd=folder, stdout=log, stderr=log))
            time.sleep(1)
        _ready(folder, environment)
        yield Slurm(folder, environment)
    finally:
        for process in reversed(started):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(folder: Path, environment: dict[str, str]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        told = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        if told.stdout.strip() == "idle":
            return
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-600:] for path in sorted(folder.glob("*.out")))
            raise RuntimeError(f"Slurm's node is not idle: {told.stdout}{told.stderr}\n{logs}")
        time.sleep(0.2)


def _configuration(folder: Path, munge_socket: Path) -> str:
    host, user = socket.gethostname(), getpass.getuser()
    ports = [cluster.free_address().rpartition(":")[2] for _ in range(2)]
    return "\n".join(
        [
            "ClusterName=bench",
            f"SlurmctldHost={host}(127.0.0.1)",
            f"SlurmUser={user}",
            f"SlurmdUser={user}",
            f"SlurmctldPort={ports[0]}",
            f"SlurmdPort={ports[1]}",
            "AuthType=auth/munge",
            f"AuthInfo=socket={munge_socket}",
            "CredType=cred/munge",
            f"StateSaveLocation={folder / 'state'}",
            f"SlurmdSpoolDir={folder / 'spool'}",
            f"SlurmctldPidFile={folder / 'slurmctld.pid'}",
            f"SlurmdPidFile={folder / 'slurmd.pid'}",
            "ProctrackType=proctrack/linuxproc",
            "TaskPlugin=task/none",
            "SwitchType=switch/none",
            "MpiDefault=none",
            "SchedulerType=sched/backfill",
            f"SchedulerParameters={PARAMETERS}",
            "SelectType=select/cons_tres",
            "SelectTypeParameters=CR_Core",
            "ReturnToService=2",
            "MinJobAge=2",
            # More than there are, so that eight run at one time, as with the others.
            f"NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 State=UNKNOWN",
            f"PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO",
            "SlurmdParameters=config_overrides",
            "",
        ]
    )

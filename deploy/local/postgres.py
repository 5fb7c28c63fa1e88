"""A PostgreSQL server on loopback, for tests: the distribution's programs, and data that are gone when it ends."""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from sqlalchemy import URL, make_url

from deploy.local import packages, places, processes, progress, registry, sharing
from headrace.refusals import Code, Refusal

FAILED = "POSTGRES_FAILED"
START_SECONDS = 30.0
STOP_SECONDS = 15.0
USER = "headrace"
# The first of these that this machine has: as root no such server runs.
ACCOUNTS = ("postgres", "nobody")
# Nothing of it has to outlast a power cut.
SETTINGS = {
    "listen_addresses": registry.LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    # In its folder, so that nothing stays elsewhere if it is killed.
    "dynamic_shared_memory_type": "mmap",
    # Each store has up to 17, and pytest may have a worker for each processor.
    "max_connections": "500",
}


@dataclass(frozen=True, slots=True)
class OwnPostgres:
    """The server of this checkout. It begins empty, and leaves nothing."""

    folder: Path = places.STATE / "postgres"

    @property
    def url(self) -> URL:
        """Of the database that each server has; its password is in it."""
        return make_url(self._url_file.read_text().strip())

    @property
    def log(self) -> Path:
        """What it says."""
        return self.folder / "postgres.log"

    def process(self) -> processes.Process | None:
        """The server, if it lives."""
        return processes.recorded(self._pid_file, self.log)

    def answers(self) -> bool:
        """It is there, and serves."""
        return self.process() is not None and self._run("pg_isready", "--quiet").returncode == 0

    def is_left(self) -> bool:
        """It lives, or was killed with all that it had."""
        return self.process() is not None or self._data.exists()

    def start(self) -> None:
        """Starts it. Refusal: POSTGRES_FAILED, with the end of its log; PACKAGES_MISSING."""
        packages.ensure([packages.POSTGRES])
        with progress.step("starting a database server for tests"):
            self.log.unlink(missing_ok=True)
            password, port = secrets.token_hex(16), registry.free_port()
            self._make(password)
            self._url_file.touch(mode=0o600)
            self._url_file.write_text(f"postgresql+psycopg://{USER}:{password}@{registry.LOOPBACK}:{port}/postgres\n")
            settings = [f"--{name}={value}" for name, value in {**SETTINGS, "port": port}.items()]
            argv = [*_as_its_user(), str(_programs() / "postgres"), "-D", str(self._data), *settings]
            process = processes.spawn(argv, log=self.log)
            process.record(self._pid_file)
            processes.wait_until(self.answers, process, seconds=START_SECONDS, reason=FAILED)

    def stop(self) -> None:
        """Ends it, and removes its data."""
        process = self.process()
        if process is not None:
            # A test may have held some of it still, and those would stay.
            with contextlib.suppress(psutil.NoSuchProcess):
                server = psutil.Process(process.pid)
                for one in (server, *server.children()):
                    one.resume()
            # At once: no client is waited for, and nothing is written down.
            process.stop(grace_seconds=STOP_SECONDS, by=signal.SIGQUIT)
        for path in (self._pid_file, self._url_file, self._password_file):
            path.unlink(missing_ok=True)
        shutil.rmtree(self._data, ignore_errors=True)

    def create(self, name: str) -> str:
        """Makes a database, empty; answers with its URL. Refusal: POSTGRES_FAILED."""
        done = self._run("createdb", name)
        if done.returncode != 0:
            raise Refusal(Code.UNAVAILABLE, FAILED, f"no database could be made: {done.stderr.strip()}")
        return self.url.set(database=name).render_as_string(hide_password=False)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "pid"

    @property
    def _url_file(self) -> Path:
        return self.folder / "url"

    @property
    def _password_file(self) -> Path:
        return self.folder / "password"

    def _make(self, password: str) -> None:
        """Has it make its files. Texts are in the order of a language, as most servers have them: not byte by byte."""
        self._data.mkdir(mode=0o700)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        if os.geteuid() == 0:
            for path in (self._data, self._password_file):
                shutil.chown(path, _account())
        options = [f"--pgdata={self._data}", f"--username={USER}", f"--pwfile={self._password_file}"]
        options += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        options += ["--locale-provider=icu", "--icu-locale=en-US"]
        progress.run([*_as_its_user(), str(_programs() / "initdb"), *options], log="initdb")

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one of its clients, which come with it."""
        url = self.url
        environment = {**os.environ, "PGPASSWORD": str(url.password), "PGCONNECT_TIMEOUT": "5"}
        where = [f"--host={url.host}", f"--port={url.port}", f"--username={url.username}"]
        argv = [str(_programs() / program), *where, *arguments]
        return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)


@contextmanager
def database() -> Iterator[str]:
    """The URL of a database of our own for the length of a block, on the server that all in this checkout use."""
    server = OwnPostgres()
    with sharing.used(server):
        yield server.create(f"tests_{secrets.token_hex(4)}")


def _programs() -> Path:
    folder = packages.POSTGRES.folder()
    if folder is None:
        raise Refusal(Code.FAILED_PRECONDITION, packages.MISSING, "PostgreSQL's programs are gone; install them again")
    return folder


def _account() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ACCOUNTS if name in known)


def _as_its_user() -> list[str]:
    """What a command begins with. A checkout may lie where only root may go, and its user has to get there."""
    if os.geteuid() != 0:
        return []
    user = pwd.getpwnam(_account())
    reaches = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *reaches]

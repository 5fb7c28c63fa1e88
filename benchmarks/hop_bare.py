"""A hop by the engines alone: the least that any runtime would have to do. Nothing is checked, written down or kept."""

import shutil
import time
from pathlib import Path

import docker

from agent.folders import Folders
from agent.standbys import init_for
from benchmarks import hop_job
from benchmarks.hop_engines import HopEngines, Times, Way, first_line
from benchmarks.rivals import body_of, folders_in


class BareHop:
    """Hops of plain containers, whose checkpoint directory is copied on this machine's disk."""

    def __init__(self, engines: HopEngines, folder: Path, spec_of: hop_job.SpecOf = hop_job.spec) -> None:
        self._engines = engines
        self._folder = folder
        self._spec_of = spec_of

    def hop(self, way: Way) -> Times:
        """Starts the job, lets it save, moves it, and removes it."""
        both = self._engines
        name = f"bench-hop-{time.time_ns()}"
        there, here = folders_in(self._folder / name / "target"), folders_in(self._folder / name / "source")
        self._make(both.source, name, here, "amd64")
        both.source.start(name)
        first_line(both.source, name, "saved")
        both.make_ready(way)
        if way.prefetched:
            self._make(both.target, name, there, way.architecture, standby=way.standby)
            _copy(here, there)
        if way.standby:
            both.target.start(name)
        both.source.kill(name, "SIGTERM")
        both.source.wait(name)
        if not way.prefetched:
            repository, _, digest = both.image.on(way.architecture).partition("@")
            both.target.pull(repository, digest, platform=f"linux/{way.architecture}")
            self._make(both.target, name, there, way.architecture)
        _copy(here, there)
        if way.standby:
            Path(there.waiting.word).touch()
        else:
            both.target.start(name)
        first_line(both.target, name, "restored")
        said = both.source.logs(name).decode() + both.target.logs(name).decode()
        times = both.times(name, name, said.splitlines())
        both.source.remove_container(name, force=True, v=True)
        both.target.remove_container(name, force=True, v=True)
        shutil.rmtree(self._folder / name)
        return times

    def _make(
        self, client: docker.APIClient, name: str, folders: Folders, architecture: str, *, standby: bool = False
    ) -> None:
        image = self._engines.image
        spec = self._spec_of(image, source="", natives=(), interval_ms=0)
        body = body_of(spec, image.on(architecture), folders, architecture)
        if standby:
            folders.lay_init(init_for(architecture) or b"")
            body |= {"Entrypoint": [folders.waiting.program]}
        client.create_container_from_config(body, name, f"linux/{architecture}")


def _copy(here: Folders, there: Folders) -> None:
    aside = there.path / "aside"
    shutil.copyfile(here.checkpoint / "state", aside)
    aside.rename(there.checkpoint / "state")

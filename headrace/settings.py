"""What the daemons can be told, and where from: a TOML file, and the environment. The client: client_settings.

Each dataclass is a table of the file. Without a file everything stays on this machine, under ./.headrace.
"""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from headrace import project_settings, units
from headrace.addresses import DEFAULT_ADDRESS, check_address, is_local
from headrace.changes import replace
from headrace.price_settings import PriceSettings, price
from headrace.projects import Declared as DeclaredProject
from headrace.refusals import Code, Refusal
from headrace.reserve_settings import Reserve
from headrace.settings_reader import WrongSetting, home_of, key_of, read_settings, setting, size, text
from headrace.suggestions import unknown

__all__ = [
    "AgentSettings",
    "ControllerSettings",
    "check_address",
    "is_local",
    "load_agent",
    "load_controller",
]

Level = Literal["debug", "info", "warning", "error"]

DEFAULT_ENGINE = "unix:///var/run/docker.sock"
MIN_LEASE_MS, MAX_LEASE_MS = 1000, 3_600_000
NETWORKS_MAX = 1000
MOVES_MAX = 100_000
REPORTS_MAX = 1_000_000

_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*|")


def _lease(value: object) -> int:
    if not isinstance(value, str):
        raise WrongSetting('is a duration in quotes, e.g. "15s"')
    lease_ms = units.parse_duration(value)
    if not MIN_LEASE_MS <= lease_ms <= MAX_LEASE_MS:
        raise WrongSetting(f"{value} is not from 1s to 1h")
    return lease_ms


def _node_id(value: object) -> str:
    written = text(value)
    if not _ID.fullmatch(written):
        raise WrongSetting(
            f"{written!r} is no id; 1 to 63 lower-case letters, digits and dashes, no dash first or last"
        )
    return written


def _folder(value: object) -> Path | None:
    """The folder of a file URL; `None` for the empty text."""
    written = text(value)
    if not written:
        return None
    from urllib.parse import unquote, urlsplit  # noqa: PLC0415 - 5 ms, which the client would spend too.

    wrong = WrongSetting(f"{written!r} is not served by this version; write file:///path/to/folder")
    try:
        url = urlsplit(written)
    except ValueError:
        raise wrong from None
    if url.scheme != "file" or url.netloc not in ("", "localhost") or not url.path.strip("/"):
        raise wrong
    return Path(unquote(url.path))


def _host(value: object) -> str:
    written = text(value)
    if not _HOST.fullmatch(written):
        raise WrongSetting(f"{written!r} is no name and no IP address of a host; write it without a port")
    return written


def _moves(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOVES_MAX:
        raise WrongSetting(f"is a whole number from 0 (none) to {MOVES_MAX}, e.g. 10")
    return value


def _reports(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= REPORTS_MAX:
        raise WrongSetting(f"is a whole number from 0 (however many) to {REPORTS_MAX}, e.g. 300")
    return value


def _networks(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= NETWORKS_MAX:
        raise WrongSetting(f"is a whole number from 0 to {NETWORKS_MAX}, e.g. 16")
    return value


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The daemon's own log."""

    level: Level = "info"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """The container engine: `host` as DOCKER_HOST writes it; how many `networks` are made ahead, at most.

    `standby`: whether containers of jobs that are about to come are started ahead.
    """

    host: str = ""
    networks: int = setting(16, _networks)
    standby: bool = True


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """What checkpoints may take of the network, up and down together; 0: all there is."""

    bytes_per_second: int = setting(0, size, key="bandwidth")


@dataclass(frozen=True, slots=True)
class IdentifierSettings:
    """The node's compute identifier: its owner's prefix and key. An empty `prefix`: it has none.

    `node` is the last label; empty: one made of the hardware's own number.
    """

    prefix: str = ""
    node: str = ""
    key: Path | None = None
    delegations: Path | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """What devices can do for which `where` (query language, over one device) holds, as their owner says."""

    where: str
    figures: dict[str, float]


def _declared(value: object) -> tuple[Declared, ...]:
    from headrace import capacity, query  # noqa: PLC0415 - 20 ms, which the client would spend too.

    found = []
    for number, table in enumerate(value if isinstance(value, list) else [value], 1):
        if not isinstance(table, dict):
            raise WrongSetting("is a table for each kind of device; write [[figures]] and its keys below")
        try:
            where = str(query.parse(text(table.get("where", "")), query.DEVICE_FIELDS))
        except query.QueryError as error:
            raise WrongSetting(f"number {number}, where: {error.message}") from None
        values = {key: amount for key, amount in table.items() if key != "where"}
        for key, amount in values.items():
            if key not in capacity.DEVICE_FIGURES:
                raise WrongSetting(f"number {number}, {unknown('figure', key, capacity.DEVICE_FIGURES)}")
            try:
                _amount(amount)
            except WrongSetting as error:
                raise WrongSetting(f"number {number}, {key}: {error}") from None
        found.append(Declared(where, {key: float(amount) for key, amount in values.items()}))
    return tuple(found)


def _amount(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise WrongSetting("is a number above 0, e.g. 120 or 0.5")
    return float(value)


@dataclass(frozen=True, slots=True)
class ProcessorSettings:
    """Whether the processors are measured at the first start; and what they do together where they are not."""

    measure: bool = True
    fp64_gflops: float | None = setting(None, _amount)
    fp32_gflops: float | None = setting(None, _amount)
    memory_gb_per_second: float | None = setting(None, _amount)

    @property
    def figures(self) -> dict[str, float]:
        """What is declared."""
        names = ("fp64_gflops", "fp32_gflops", "memory_gb_per_second")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """Accelerators: patterns of models or ids of those that several jobs may have parts of, e.g. "*T4*"."""

    shareable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """What an agent can be told. What its node is, it finds out."""

    node: str = setting("", _node_id)
    state: Path = Path(".headrace/agent")
    controller: str = DEFAULT_ADDRESS
    region: str = ""
    owner: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    engine: EngineSettings = field(default_factory=EngineSettings)
    reserve: Reserve = field(default_factory=Reserve)
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    identifier: IdentifierSettings = field(default_factory=IdentifierSettings)
    processor: ProcessorSettings = field(default_factory=ProcessorSettings)
    figures: tuple[Declared, ...] = setting((), _declared)
    devices: DeviceSettings = field(default_factory=DeviceSettings)
    price: PriceSettings = field(default_factory=PriceSettings)
    host_network: bool = False
    address: str = setting("", _host)
    tls: Path | None = None
    insecure: bool = False
    log: LogSettings = field(default_factory=LogSettings)


@dataclass(frozen=True, slots=True)
class GrpcSettings:
    """Where agents and clients find the controller."""

    address: str = DEFAULT_ADDRESS


@dataclass(frozen=True, slots=True)
class WebSettings:
    """Where browsers and other programs ask over HTTP. Empty: nowhere."""

    address: str = "127.0.0.1:7401"


@dataclass(frozen=True, slots=True)
class TrustSettings:
    """Whose compute identifiers are believed: public keys by authority ("headrace:example")."""

    trust: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """Registries. An empty `default_registry` is Docker Hub; `docker_config` is the folder of Docker's config.json."""

    default_registry: str = ""
    insecure_registries: tuple[str, ...] = ()
    docker_config: Path | None = None


@dataclass(frozen=True, slots=True)
class JobLogSettings:
    """How much of a job's log is kept: its end."""

    max_bytes: int = setting(64 << 20, size)


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """How many moves that nobody asked for begin in an hour at most, of all jobs; and what prices are worth."""

    speed_moves_per_hour: int = setting(60, _moves)
    room_moves_per_hour: int = setting(4, _moves)
    seconds_per_price_unit: float = setting(0.0, price)


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """What a controller can be told. Without `store`, a URL, and `checkpoints`, a folder, both are in `state`."""

    state: Path = Path(".headrace/controller")
    grpc: GrpcSettings = field(default_factory=GrpcSettings)
    web: WebSettings = field(default_factory=WebSettings)
    identifiers: TrustSettings = field(default_factory=TrustSettings)
    lease_ms: int = setting(15_000, _lease, key="lease")
    reports_per_second: int = setting(300, _reports)
    store: str = ""
    checkpoints: Path | None = setting(None, _folder)  # noqa: RUF009 - setting() makes a field.
    images: ImageSettings = field(default_factory=ImageSettings)
    logs: JobLogSettings = field(default_factory=JobLogSettings)
    projects: dict[str, DeclaredProject] = field(default_factory=dict, metadata={"read": project_settings.projects})
    half_life_ms: int = setting(86_400_000, project_settings.half_life, key="half_life")
    placement: PlacementSettings = field(default_factory=PlacementSettings)
    tls: Path | None = None
    insecure: bool = False
    log: LogSettings = field(default_factory=LogSettings)

    @property
    def store_url(self) -> str:
        """Where the state is, as SQLAlchemy writes it."""
        return self.store or f"sqlite:///{self.state.absolute() / 'controller.db'}"

    @property
    def checkpoint_folder(self) -> Path:
        """The folder of the checkpoint store."""
        return self.checkpoints or self.state.absolute() / "checkpoints"


def load_agent(file: Path | None, environ: Mapping[str, str], *, hostname: str | None = None) -> AgentSettings:
    """The agent's settings. The engine is DOCKER_HOST's where the file names none, the node's id the host's name."""
    settings = read_settings(AgentSettings, file)
    guarded = settings.insecure or settings.tls is not None
    check_address(settings.controller, guarded=guarded, key=key_of(file, "controller"))
    host = settings.engine.host or environ.get("DOCKER_HOST") or DEFAULT_ENGINE
    node = settings.node or _id_of(os.uname().nodename if hostname is None else hostname, file)
    return replace(settings, node=node, engine=replace(settings.engine, host=host))


def load_controller(file: Path | None, environ: Mapping[str, str]) -> ControllerSettings:
    """The controller's settings. Registries' credentials are DOCKER_CONFIG's where the file names no folder."""
    settings = read_settings(ControllerSettings, file)
    guarded = settings.insecure or settings.tls is not None
    check_address(settings.grpc.address, guarded=guarded, key=key_of(file, "grpc.address"))
    if settings.web.address:
        check_address(settings.web.address, guarded=settings.insecure, key=key_of(file, "web.address"))
        if settings.web.address.startswith("unix-abstract:"):
            message = (
                f"{key_of(file, 'web.address')}: HTTP is not served on abstract sockets; write unix:/path/to/socket"
            )
            raise Refusal(Code.INVALID_ARGUMENT, "ADDRESS_INVALID", message)
    folder = settings.images.docker_config
    if folder is None and (configured := environ.get("DOCKER_CONFIG")):
        folder = Path(configured)
    if folder is None and (home := home_of(environ)):
        folder = home / ".docker"
    if folder is None:
        message = f"{key_of(file, 'images.docker_config')}: this user has no home to look into; set it, or HOME"
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)
    return replace(settings, images=replace(settings.images, docker_config=folder))


def _id_of(hostname: str, file: Path | None) -> str:
    """The host's name in the letters of ids; all of it: a first label alone would make one node of two."""
    node = re.sub(r"[^a-z0-9]+", "-", hostname.lower())[:63].strip("-")
    if not node:
        message = f'{key_of(file, "node")}: this host has no name to take an id from; set node, e.g. node = "east-1"'
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", message)
    return node

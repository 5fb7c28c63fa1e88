"""Laws of settings and of addresses."""

import os
from pathlib import Path
from subprocess import run
from sys import executable

import pytest

from headrace.client_settings import ClientSettings, load_client
from headrace.price_settings import PriceSettings
from headrace.projects import Declared as DeclaredProject
from headrace.projects import Quota
from headrace.refusals import Code, Refusal
from headrace.settings import (
    AgentSettings,
    ControllerSettings,
    Declared,
    EngineSettings,
    GrpcSettings,
    ImageSettings,
    JobLogSettings,
    LogSettings,
    PlacementSettings,
    ProcessorSettings,
    Reserve,
    check_address,
    is_local,
    load_agent,
    load_controller,
)


def written(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def refusal_of(load: object, *args: object) -> Refusal:
    with pytest.raises(Refusal) as caught:
        load(*args)  # type: ignore[operator]
    return caught.value


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user whom neither the environment nor the system's list of users knows."""
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: (1 << 31) - 5)


def test_an_agent_without_a_file_stays_on_this_machine() -> None:
    settings = load_agent(None, {})

    assert (settings.controller, settings.state) == ("127.0.0.1:7400", Path(".headrace/agent"))
    assert settings.engine.host == "unix:///var/run/docker.sock"
    assert settings.node


def test_an_agent_is_told_all_that_it_can_be_told(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        node = "east-1"
        state = "/var/lib/headrace"
        controller = "headrace.example:7400"
        region = "east"
        owner = "lab"
        labels = {zone = "z1", "example.org/rack" = "7"}
        host_network = true
        insecure = true
        [engine]
        host = "unix:///run/podman.sock"
        [reserve]
        cpu = 0.5
        memory = "2GiB"
        [log]
        level = "debug"
        [processor]
        measure = false
        fp64_gflops = 400
        [price]
        device_hour = 2.5
        [[figures]]
        where = 'vendor == "mthreads"'
        fp16_tflops = 28
        [[figures]]
        power_limit_watts = 99.5
        """,
    )

    assert load_agent(file, {"DOCKER_HOST": "tcp://other:2375"}) == AgentSettings(
        node="east-1",
        state=Path("/var/lib/headrace"),
        controller="headrace.example:7400",
        region="east",
        owner="lab",
        labels={"zone": "z1", "example.org/rack": "7"},
        engine=EngineSettings("unix:///run/podman.sock"),
        reserve=Reserve(cpu_millis=500, memory_bytes=2 << 30),
        processor=ProcessorSettings(measure=False, fp64_gflops=400.0),
        figures=(Declared('vendor == "mthreads"', {"fp16_tflops": 28.0}), Declared("", {"power_limit_watts": 99.5})),
        price=PriceSettings(device_hour=2.5),
        host_network=True,
        insecure=True,
        log=LogSettings("debug"),
    )


def test_the_engine_is_the_environments_where_the_file_names_none() -> None:
    assert load_agent(None, {"DOCKER_HOST": "unix:///run/user/1000/docker.sock"}).engine == EngineSettings(
        "unix:///run/user/1000/docker.sock"
    )


@pytest.mark.parametrize(
    ("hostname", "node"), [("GPU-1.lab.example", "gpu-1-lab-example"), ("_x_", "x"), ("a" * 70, "a" * 63)]
)
def test_a_node_without_an_id_takes_its_hosts_whole_name(hostname: str, node: str) -> None:
    assert load_agent(None, {}, hostname=hostname).node == node


def test_a_host_without_a_name_needs_an_id() -> None:
    with pytest.raises(Refusal, match=r"^node: this host has no name"):
        load_agent(None, {}, hostname="")


def test_a_controller_without_a_file_keeps_everything_in_its_state_folder() -> None:
    settings = load_controller(None, {"HOME": "/home/anna"})

    assert settings.grpc.address == "127.0.0.1:7400"
    assert settings.lease_ms == 15_000
    assert settings.store_url == f"sqlite:///{Path.cwd()}/.headrace/controller/controller.db"
    assert settings.checkpoint_folder == Path.cwd() / ".headrace/controller/checkpoints"
    assert settings.images.docker_config == Path("/home/anna/.docker")


def test_a_controller_is_told_all_that_it_can_be_told(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        state = "/var/lib/headrace"
        lease = "1m30s"
        reports_per_second = 50
        store = "sqlite:////srv/state.db"
        checkpoints = "file:///srv/check%20points"
        insecure = true
        grpc.address = "0.0.0.0:7400"
        logs.max_bytes = "1GiB"
        placement = {speed_moves_per_hour = 0, room_moves_per_hour = 12, seconds_per_price_unit = 600}
        log.level = "warning"
        [images]
        default_registry = "registry.example"
        insecure_registries = ["registry.example:5000"]
        docker_config = "/etc/headrace/docker"
        """,
    )
    settings = load_controller(file, {"DOCKER_CONFIG": "/elsewhere"})

    assert settings == ControllerSettings(
        state=Path("/var/lib/headrace"),
        grpc=GrpcSettings("0.0.0.0:7400"),
        lease_ms=90_000,
        reports_per_second=50,
        store="sqlite:////srv/state.db",
        checkpoints=Path("/srv/check points"),
        images=ImageSettings("registry.example", ("registry.example:5000",), Path("/etc/headrace/docker")),
        logs=JobLogSettings(1 << 30),
        placement=PlacementSettings(speed_moves_per_hour=0, room_moves_per_hour=12, seconds_per_price_unit=600.0),
        insecure=True,
        log=LogSettings("warning"),
    )
    assert settings.store_url == "sqlite:////srv/state.db"
    assert settings.checkpoint_folder == Path("/srv/check points")


def test_registries_credentials_are_where_dockers_environment_says() -> None:
    assert load_controller(None, {"DOCKER_CONFIG": "/elsewhere"}).images.docker_config == Path("/elsewhere")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('regoin = "east"', "regoin: unknown key 'regoin'; did you mean region?"),
        ('reserve = {mem = "1GiB"}', "reserve.mem: unknown key 'mem'; did you mean memory?"),
        ('reserve.memory = "4 gigs"', "reserve.memory: '4 gigs' is no size; write e.g. 4GiB"),
        ("reserve.memory = 0.5", 'reserve.memory: is a size, e.g. "4GiB"'),
        ("reserve.cpu = true", 'reserve.cpu: is a share of processors, e.g. 2, 0.5 or "500m"'),
        ("reserve = 5", "reserve: has keys of its own; write [reserve] and its keys below"),
        ('insecure = "yes"', "insecure: is true or false, without quotes, not the text 'yes'"),
        ("region = true", "region: is a text in quotes, not true"),
        ('log.level = "loud"', "log.level: the text 'loud' is not one of debug, info, warning, error"),
        ("log.level = [1]", "log.level: [1] is not one of debug"),
        ("labels = {zone = 1}", "labels: is a text in quotes, not 1"),
        ('labels = "zone"', "labels: is a table, e.g."),
        ('node = "East 1"', "node: 'East 1' is no id; 1 to 63 lower-case letters"),
        ('state = ""', "state: is a path and not empty"),
        ('state = "~nobody-here/a"', "state: '~nobody-here/a' begins with a user who has no home here"),
        ('platform = "linux/arm64"', "platform: unknown key 'platform'"),
        ("processor.fp64_gflops = 0", "processor.fp64_gflops: is a number above 0"),
        ("processor.fp64_gflops = true", "processor.fp64_gflops: is a number above 0"),
        ("figures = 3", "figures: is a table for each kind of device; write [[figures]]"),
        ("[[figures]]\nfp16_tflop = 3", "figures: number 1, unknown figure 'fp16_tflop'; did you mean fp16_tflops?"),
        ("[[figures]]\n[[figures]]\nint8_tops = inf", "figures: number 2, int8_tops: is a number above 0"),
        ("[[figures]]\nwhere = 'vendr == 1'", "figures: number 1, where: devices have no field 'vendr'"),
    ],
)
def test_a_wrong_setting_is_told_its_file_and_key_and_what_is_allowed(tmp_path: Path, text: str, problem: str) -> None:
    file = written(tmp_path, text)
    refusal = refusal_of(load_agent, file, {})

    assert (refusal.code, refusal.reason) == (Code.INVALID_ARGUMENT, "SETTINGS_INVALID")
    assert refusal.message.startswith(f"{file}: {problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lease = 15", 'lease: is a duration in quotes, e.g. "15s"'),
        ('lease = "15"', "lease: '15' is no duration"),
        ('lease = "10ms"', "lease: 10ms is not from 1s to 1h"),
        ("half_life = 5", 'half_life: is a duration in quotes, e.g. "24h"'),
        ('half_life = "1s"', "half_life: 1s is shorter than 1m"),
        ("projects = 1", "projects: has keys of its own; write [projects.NAME] and its keys below"),
        ("[projects.Physics]", "projects: 'Physics' is no name"),
        ("[projects.p]\nwheight = 2", "projects: p: unknown key 'wheight'; did you mean weight?"),
        ("[projects.p]\nweight = 0", "projects: p: weight: is a number above 0"),
        ("[projects.p]\nquota = {gpus = 2}", "projects: p: quota: unknown key 'gpus'"),
        ("[projects.p]\nquota = {units = -1}", "projects: p: quota.units: is a number of 0 or more"),
        ("[projects.p]\nborrow = false", "projects: p: borrow: without a quota there is nothing to keep to"),
        ('[projects.p]\nborrow = "no"', "projects: p: borrow: is true or false"),
        ("reports_per_second = -1", "reports_per_second: is a whole number from 0 (however many) to "),
        ("reports_per_second = true", "reports_per_second: is a whole number from 0 (however many) to "),
        ('reports_per_second = "50"', "reports_per_second: is a whole number from 0 (however many) to "),
        ("placement.speed_moves_per_hour = -1", "placement.speed_moves_per_hour: is a whole number from 0 (none) to "),
        ("placement.seconds_per_price_unit = -1", "placement.seconds_per_price_unit: is a number from 0 (nothing) to"),
        (
            "placement.seconds_per_price_unit = 1e308",
            "placement.seconds_per_price_unit: is a number from 0 (nothing) to",
        ),
        ("placement.room_moves_per_hour = true", "placement.room_moves_per_hour: is a whole number from 0 (none) to "),
        ('images.insecure_registries = "a"', 'images.insecure_registries: is a list, e.g. ["a", "b"]'),
    ],
)
def test_a_controllers_wrong_setting_is_told_likewise(tmp_path: Path, text: str, problem: str) -> None:
    file = written(tmp_path, text)

    assert refusal_of(load_controller, file, {}).message.startswith(f"{file}: {problem}")


def test_projects_have_weights_and_quotas(tmp_path: Path) -> None:
    text = "[projects.p]\nweight = 0.5\nquota = {units = 64, devices = 2.5, cpu = 8}\nborrow = false\n[projects.q]\n"
    settings = load_controller(written(tmp_path, text), {})

    assert settings.projects == {
        "p": DeclaredProject(0.5, Quota(64_000, 2_500, 8_000), borrows=False),
        "q": DeclaredProject(),
    }
    assert settings.half_life_ms == 86_400_000


def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    file = written(tmp_path, 'lease = "soon"\nstate = 5\nnews = 1\n')

    assert len(refusal_of(load_controller, file, {}).message.splitlines()) == 3


@pytest.mark.parametrize(
    "url", ["s3://bucket/folder", "file://host/folder", "file:///", "/srv/checkpoints", "file://["]
)
def test_checkpoints_that_no_folder_holds_are_refused_at_the_start(tmp_path: Path, url: str) -> None:
    file = written(tmp_path, f'checkpoints = "{url}"')

    assert "write file:///path/to/folder" in refusal_of(load_controller, file, {}).message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    refusal = refusal_of(load_agent, tmp_path / "agent.toml", {})

    assert refusal.reason == "SETTINGS_UNREADABLE"
    assert refusal.message == f"{tmp_path}/agent.toml: cannot be read: No such file or directory"


def test_a_file_that_is_not_toml_is_told_its_line(tmp_path: Path) -> None:
    refusal = refusal_of(load_agent, written(tmp_path, 'node = "a"\nregion: east\n'), {})

    assert refusal.reason == "SETTINGS_UNREADABLE"
    assert "is not TOML" in refusal.message
    assert "line 2" in refusal.message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")

    assert "is no text in UTF-8" in refusal_of(load_agent, file, {}).message


def test_the_client_finds_the_controller_by_option_then_environment_then_file(tmp_path: Path) -> None:
    (tmp_path / ".config/headrace").mkdir(parents=True)
    written(tmp_path / ".config/headrace", 'controller = "file.example:1"')
    home = {"HOME": str(tmp_path)}
    named = home | {"HEADRACE_CONTROLLER": "environment.example:1"}

    assert load_client("option.example:1", named) == ClientSettings("option.example:1")
    assert load_client("", named) == ClientSettings("environment.example:1")
    assert load_client("", home) == ClientSettings("file.example:1")


def test_a_client_that_is_told_nothing_asks_this_machine(tmp_path: Path) -> None:
    assert load_client("", {"HOME": str(tmp_path)}) == ClientSettings("127.0.0.1:7400")


def test_a_user_without_a_home_has_a_client_too(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)

    assert load_client("", {}).controller == "127.0.0.1:7400"


def test_a_controller_whose_user_has_no_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)

    with pytest.raises(Refusal, match=r"images\.docker_config"):
        load_controller(None, {})


def test_a_client_that_is_told_no_address_is_told_by_what(tmp_path: Path) -> None:
    named = {"HOME": str(tmp_path), "HEADRACE_CONTROLLER": "http://here"}

    assert refusal_of(load_client, "", named).message.startswith("HEADRACE_CONTROLLER: 'http://here' is no address")


LOCAL = ["127.0.0.1:7400", "127.8.8.8:0", "[::1]:7400", "localhost:7400", "LOCALHOST:1", "unix:/run/a", "unix:///run/a"]
REMOTE = ["0.0.0.0:7400", "[::]:7400", "10.0.0.1:7400", "headrace.example:7400", "localhost.example:7400", "127.1:7400"]


@pytest.mark.parametrize("address", LOCAL)
def test_an_address_of_this_machine_alone_needs_no_credentials(address: str) -> None:
    check_address(address, guarded=False, key="grpc.address")

    assert is_local(address)


@pytest.mark.parametrize("address", REMOTE)
def test_an_address_that_others_reach_is_refused_unless_told_insecure(address: str) -> None:
    with pytest.raises(Refusal, match=r"grpc\.address: .* insecure = true") as caught:
        check_address(address, guarded=False, key="grpc.address")

    assert caught.value.reason == "ADDRESS_NOT_LOCAL"
    assert not is_local(address)
    check_address(address, guarded=True, key="grpc.address")


@pytest.mark.parametrize(
    "address",
    ["", "7400", ":7400", "localhost", "localhost:70000", "127.0.0.1:\u0667", "http://a:1", "::1:7400", "unix:"],
)
def test_what_is_no_address_is_refused_even_if_told_insecure(address: str) -> None:
    with pytest.raises(Refusal, match=r"^controller: ") as caught:
        check_address(address, guarded=True, key="controller")

    assert caught.value.reason == "ADDRESS_INVALID"


def test_a_daemon_refuses_a_file_that_opens_it_to_the_network(tmp_path: Path) -> None:
    file = written(tmp_path, 'grpc.address = "0.0.0.0:7400"')
    refusal = refusal_of(load_controller, file, {})

    assert refusal.reason == "ADDRESS_NOT_LOCAL"
    assert refusal.message.startswith(f"{file}: grpc.address: 0.0.0.0:7400 can be reached from other machines")


def test_an_agent_refuses_a_controller_elsewhere(tmp_path: Path) -> None:
    assert (
        refusal_of(load_agent, written(tmp_path, 'controller = "headrace.example:7400"'), {}).reason
        == "ADDRESS_NOT_LOCAL"
    )


def test_settings_load_nothing_heavy() -> None:
    program = (
        "import sys, headrace.settings; sys.exit(any(name in sys.modules for name in ('pydantic', 'grpc', 'google')))"
    )

    assert run([executable, "-c", program], check=False).returncode == 0


def test_a_folder_of_a_user_who_is_not_there_is_refused() -> None:
    refusal = refusal_of(load_client, "", {"HEADRACE_TLS": "~nobody-of-that-name/tls"})

    assert refusal.message.startswith("HEADRACE_TLS: '~nobody-of-that-name/tls' begins with a user who has no home")

"""What the client can be told, and where from: options, the environment, and ~/.config/headrace/config.toml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.addresses import DEFAULT_ADDRESS, check_shape
from headrace.changes import replace
from headrace.refusals import Code, Refusal
from headrace.settings_reader import WrongSetting, home_of, key_of, path, read_settings


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """What the client can be told: where the controller is, with which certificate, whose identifiers are believed."""

    controller: str = DEFAULT_ADDRESS
    tls: Path | None = None
    trust: dict[str, str] = field(default_factory=dict)


def load_client(controller: str, environ: Mapping[str, str]) -> ClientSettings:
    """The client's settings: `--controller` wins over HEADRACE_CONTROLLER, that over ~/.config/headrace/config.toml.

    So does HEADRACE_TLS over `tls` there; where it is set and empty, there is none.
    """
    file = _client_file(environ)
    named = environ.get("HEADRACE_CONTROLLER", "")
    if controller:
        settings, key = ClientSettings(controller), "--controller"
    elif named:
        settings, key = ClientSettings(named), "HEADRACE_CONTROLLER"
    else:
        settings, key = read_settings(ClientSettings, file), key_of(file, "controller")
    check_shape(settings.controller, key=key)
    return replace(settings, tls=client_tls(environ))


def client_tls(environ: Mapping[str, str]) -> Path | None:
    """The folder of the client's certificate; None where it has none. Refusal: SETTINGS_INVALID."""
    named = environ.get("HEADRACE_TLS")
    if named is None:
        return read_settings(ClientSettings, _client_file(environ)).tls
    try:
        return path(named) if named else None
    except WrongSetting as wrong:
        raise Refusal(Code.INVALID_ARGUMENT, "SETTINGS_INVALID", f"HEADRACE_TLS: {wrong}") from wrong


def client_trust(environ: Mapping[str, str]) -> dict[str, str]:
    """Public keys by authority, as the client's file names them."""
    return read_settings(ClientSettings, _client_file(environ)).trust


def _client_file(environ: Mapping[str, str]) -> Path | None:
    home = home_of(environ)
    file = home / ".config" / "headrace" / "config.toml" if home else None
    return file if file and file.is_file() else None

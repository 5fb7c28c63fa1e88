"""Where the controller is, and our certificate: headrace.client_settings, but 25 ms sooner where there is no file."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.addresses import DEFAULT_ADDRESS, check_shape

if TYPE_CHECKING:
    from pathlib import Path

_FILE = ".config/headrace/config.toml"


def controller_address(option: str, environ: Mapping[str, str]) -> str:
    """The address of `--controller`, else of HEADRACE_CONTROLLER, else of the user's file, else the default.

    Raises Refusal for what is no address. A test holds this to what load_client says.
    """
    for key, address in (("--controller", option), ("HEADRACE_CONTROLLER", environ.get("HEADRACE_CONTROLLER", ""))):
        if address:
            check_shape(address, key=key)
            return address
    if _has_no_file(environ):
        return DEFAULT_ADDRESS
    from headrace.client_settings import load_client  # noqa: PLC0415 - reads TOML.

    return load_client("", environ).controller


def certificate_folder(environ: Mapping[str, str]) -> "Path | None":
    """The folder of HEADRACE_TLS, else that of the user's file; None where there is none."""
    if not environ.get("HEADRACE_TLS") and ("HEADRACE_TLS" in environ or _has_no_file(environ)):
        return None
    from headrace.client_settings import client_tls  # noqa: PLC0415 - as above.

    return client_tls(environ)


def _has_no_file(environ: Mapping[str, str]) -> bool:
    home = environ.get("HOME")
    return bool(home) and not os.access(f"{home}/{_FILE}", os.F_OK)

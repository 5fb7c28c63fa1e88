"""Where the controller is: headrace.settings.load_client, but 25 ms sooner where there is no file to read."""

import os
from collections.abc import Mapping

from headrace.addresses import DEFAULT_ADDRESS, check_shape

_FILE = ".config/headrace/config.toml"


def controller_address(option: str, environ: Mapping[str, str]) -> str:
    """The address of `--controller`, else of HEADRACE_CONTROLLER, else of the user's file, else the default.

    Raises Refusal for what is no address. A test holds this to what load_client says.
    """
    for key, address in (("--controller", option), ("HEADRACE_CONTROLLER", environ.get("HEADRACE_CONTROLLER", ""))):
        if address:
            check_shape(address, key=key)
            return address
    home = environ.get("HOME")
    if home and not os.access(f"{home}/{_FILE}", os.F_OK):
        return DEFAULT_ADDRESS
    from headrace.settings import load_client  # noqa: PLC0415 - reads TOML, and knows the daemons' settings too.

    return load_client("", environ).controller

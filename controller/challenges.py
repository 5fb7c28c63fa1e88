"""WWW-Authenticate headers of registries, parsed. Pure."""

import re

_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z]+)(?=\s+[A-Za-z_]+\s*=|\s*,|\s*$)")
_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


def challenges(headers: list[str]) -> dict[str, dict[str, str]]:
    """The parameters by scheme, both in lower case, of one or several headers; the first of each scheme counts."""
    found: dict[str, dict[str, str]] = {}
    for header in headers:
        _, *parts = _SCHEME.split(header)
        for scheme, parameters in zip(parts[::2], parts[1::2], strict=True):
            values = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(parameters)}
            found.setdefault(scheme.lower(), values)
    return found

"""What a tool prints where its devices were expected: that there are none, or why it cannot tell."""

import re
from collections.abc import Callable
from functools import wraps

from agent.accelerators.readings import Reading, Unreadable

Parser = Callable[[str], tuple[Reading, ...]]

# As much as is looked at: such sentences stand at the beginning.
_LOOKED_AT = 16_384

_NONE = re.compile(
    r"\b(?:no|0|zero) (?:\w+ ){0,3}(?:devices?|gpus?|npus?|tpus?|cards?|aips?|chips?|accelerators?|adapters?)"
    r"(?: (?:was|were|is|are))?(?: (?:found|detected|discovered|available|present|attached))",
    re.IGNORECASE,
)
_FAILED = re.compile(
    r"failed to initiali[sz]e|initiali[sz]ation failed|initialize failed|command not found|no such file"
    r"|cannot open shared"
    r"|permission denied|segmentation fault|timed out|driver (?:is )?not (?:loaded|initialized)|core dumped|ret is -\d+"
    r"|error while loading|traceback|\berror(?: code)?\b\s*[:=]|unable to",
    re.IGNORECASE,
)


def or_absent(parse: Parser) -> Parser:
    """`parse`, but () for an output that says that there are no devices; Unreadable has the tool's own complaint."""

    @wraps(parse)
    def parsed(text: str) -> tuple[Reading, ...]:
        try:
            return parse(text)
        except Unreadable as unreadable:
            start = text[:_LOOKED_AT]
            if _NONE.search(start):
                return ()
            said = next((line.strip() for line in start.splitlines() if len(line) < 500 and _FAILED.search(line)), None)
            if said is None:
                raise
            raise Unreadable(f"the tool says: {said[:200]!r}; {unreadable}") from unreadable

    return parsed

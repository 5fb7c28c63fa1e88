"""How the daemons log: one line an event, to standard error, for journald or a file to keep."""

import logging
import time


def configure(level: str) -> None:
    """Sets the root logger up; `level` is "debug", "info", "warning" or "error"."""
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("httpx", "httpcore", "alembic", "urllib3", "docker"):
        logging.getLogger(chatty).setLevel(logging.WARNING)

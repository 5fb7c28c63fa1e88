"""Where things lie: the repository, its `.headrace/` folder, and short paths for sockets."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".headrace"
LOGS = STATE / "logs"


def identity(name: str = "") -> str:
    """Eight letters that tell this checkout's things, and `name` among them, from every other's on this machine."""
    return hashlib.sha256(f"{ROOT}\n{name}".encode()).hexdigest()[:8]


def sockets() -> Path:
    """The folder for unix sockets: their paths may have 107 bytes, and a checkout can lie deeper than that."""
    return Path("/run") / f"headrace-{identity()}"

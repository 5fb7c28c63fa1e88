"""Row 12."""

from benchmarks import setting as settings
from benchmarks.figures import Row


async def measure(setting: settings.Setting) -> Row:
    raise NotImplementedError

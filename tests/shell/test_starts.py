"""What a controller loads, and does not, until it answers."""

import subprocess
import sys

LOADS_ALL_BUT = """
import sys
from controller import daemon
print(*({"alembic", "httpx", "starlette", "uvicorn"} & sys.modules.keys()))
"""


def test_what_is_not_needed_to_answer_is_not_loaded_before() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS_ALL_BUT], capture_output=True, check=True, text=True)

    assert done.stdout.strip() == ""

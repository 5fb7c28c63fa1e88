"""headrace outputs."""

from argparse import Namespace
from pathlib import Path

from headrace import units
from headrace.cli import render, tasks, words
from headrace.connection import Connection
from headrace.outputs import fetch


async def outputs(connection: Connection, arguments: Namespace) -> int:
    """Fetch a job's results, verified."""
    fetched = await fetch(connection, await tasks.meant(connection, arguments), Path(arguments.directory))
    size = units.rounded_bytes(fetched.size_bytes)
    text = f"{words.files(fetched.file_count)}, {size}, in {arguments.directory}: {fetched.digest}"
    render.show(fetched, arguments.output, lambda _outputs, _wide: [text])
    return 0

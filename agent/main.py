"""The program `headrace-agent`."""

import argparse
import logging
import os
import sys
import warnings
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from headrace import faultpoints, logs, transport
from headrace.refusals import Refusal
from headrace.settings import AgentSettings, is_local, load_agent

_log = logging.getLogger("agent")

_Answer = TypeVar("_Answer")


def main() -> int:
    """Runs the agent, or looks at the node; answers with the exit code."""
    arguments = _parser().parse_args()
    _guess_no_encodings()
    try:
        # For outputs of other machines: no settings of this one are needed.
        if arguments.command == "parse":
            return _parse(arguments.line, arguments.file)
        settings = load_agent(arguments.config, os.environ)
        logs.configure(settings.log.level)
        transport.log_as(settings.log.level, os.environ)
        faultpoints.arm(os.environ.get(faultpoints.VARIABLE, ""))
        if arguments.command == "doctor":
            return _run(_doctor(settings, arguments.output, arguments.registry))
        if arguments.command == "measure":
            return _run(_measure(settings))
        if settings.insecure and settings.tls is None and not is_local(settings.controller):
            _log.warning("insecure = true: whoever answers as %s may run anything here", settings.controller)
        _speak_no_tls(settings.engine.host or os.environ.get("DOCKER_HOST", ""))
        transport.read_in_one_thread(os.environ)
        # Each command loads what it needs: what an agent that works does not need, it would hold for ever.
        from agent.assembly import run  # noqa: PLC0415

        _run(run(settings))
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 1
    return 0


def _guess_no_encodings() -> None:
    """Keeps `requests`, below the engine's client, from loading tables by which to guess encodings: 3 MB.

    Without them it takes UTF-8, which is what engines write.
    """
    sys.modules.setdefault("charset_normalizer", None)  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")


def _speak_no_tls(engine: str) -> None:
    """Keeps asyncio and the engine's client from loading OpenSSL, 1.4 MB, where they reach the engine by its socket.

    gRPC has TLS of its own.
    """
    if not engine or engine.startswith(("unix:", "/")):
        sys.modules.setdefault("ssl", None)  # type: ignore[arg-type]


def _run(program: Coroutine[Any, Any, _Answer]) -> _Answer:
    # Loaded once it is known what it may load.
    import asyncio  # noqa: PLC0415

    return asyncio.run(program)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headrace-agent",
        description="Reports what this node has, and runs what the controller assigns to it.",
        epilog="example: headrace-agent --config /etc/headrace/agent.toml",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="settings, TOML; without it all is under ./.headrace"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    doctor = commands.add_parser(
        "doctor",
        help="say what was found on this node, by which means, and what is missing and why",
        epilog="example: headrace-agent doctor -o json",
    )
    doctor.add_argument(
        "-o", "--output", choices=("table", "json"), default="table", help="how to print (default: table)"
    )
    doctor.add_argument(
        "--registry",
        metavar="HOST",
        action="append",
        default=[],
        help="a registry to look for beside those that the engine's images come from; may be repeated",
    )
    parse = commands.add_parser(
        "parse",
        help="read a saved output of a vendor's tool, and print its devices as JSON",
        epilog='example: headrace-agent parse --command "npu-smi info" output.txt',
    )
    parse.add_argument("--command", dest="line", required=True, metavar="LINE", help="the command that printed it")
    parse.add_argument("file", metavar="FILE", help='the saved output; "-" for standard input')
    commands.add_parser(
        "measure",
        help="measure this node's processors now, for about two seconds; the agent takes the figures over",
        epilog="example: headrace-agent --config /etc/headrace/agent.toml measure",
    )
    return parser


def _parse(line: str, file: str) -> int:
    from agent.accelerators.parsers.table import readings_of  # noqa: PLC0415 - as the agent's own modules.
    from agent.parse import devices_as_json, read_output  # noqa: PLC0415

    sys.stdout.write(devices_as_json(readings_of(line, read_output(file))) + "\n")
    return 0


async def _measure(settings: AgentSettings) -> int:
    from agent import sensors  # noqa: PLC0415 - as the agent's own modules.
    from agent.measurements import Unmeasured, measure  # noqa: PLC0415

    folder = settings.state.absolute()
    found = await measure(folder, sensors.describe(folder))
    if isinstance(found, Unmeasured):
        sys.stderr.write(f"failed: {found.why}{found.remedy and '; '}{found.remedy}\n")
        return 1
    sys.stdout.write("".join(f"{name} {value:g}\n" for name, value in found.items()))
    return 0


async def _doctor(settings: AgentSettings, output: str, registries: list[str]) -> int:
    from agent import checkups  # noqa: PLC0415 - as the agent's own modules.
    from agent.accelerators.table import vendors  # noqa: PLC0415
    from agent.assembly import channel_to  # noqa: PLC0415
    from agent.doctor import examine  # noqa: PLC0415
    from agent.findings import Status, as_json, render, worst  # noqa: PLC0415
    from agent.runtimes.docker import DockerRuntime  # noqa: PLC0415

    engine = DockerRuntime(settings.engine.host, settings.node)
    try:
        async with channel_to(settings.controller, settings.tls) as channel:
            findings = await examine(
                folder=settings.state.absolute(),
                engine=engine,
                address=settings.controller,
                channel=channel,
                vendors=vendors(),
                registries=registries,
            )
    finally:
        engine.close()
    if settings.tls is not None:
        findings += (checkups.certificate(settings.tls, settings.node),)
    sys.stdout.write((as_json if output == "json" else render)(findings) + "\n")
    return 1 if worst(findings) is Status.BROKEN else 0


if __name__ == "__main__":
    sys.exit(main())

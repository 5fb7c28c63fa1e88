"""The program `headrace-agent`."""

import argparse
import asyncio
import logging
import os
import sys
from pathlib import Path

from agent.accelerators.parsers.table import readings_of
from agent.accelerators.table import vendors
from agent.assembly import channel_to, run
from agent.doctor import examine
from agent.findings import Status, as_json, render, worst
from agent.parse import devices_as_json, read_output
from agent.runtimes.docker import DockerRuntime
from headrace import faultpoints, logs
from headrace.refusals import Refusal
from headrace.settings import AgentSettings, is_local, load_agent

_log = logging.getLogger("agent")


def main() -> int:
    """Runs the agent, or looks at the node; answers with the exit code."""
    arguments = _parser().parse_args()
    try:
        # For outputs of other machines: no settings of this one are needed.
        if arguments.command == "parse":
            sys.stdout.write(devices_as_json(readings_of(arguments.line, read_output(arguments.file))) + "\n")
            return 0
        settings = load_agent(arguments.config, os.environ)
        logs.configure(settings.log.level)
        faultpoints.arm(os.environ.get(faultpoints.VARIABLE, ""))
        if arguments.command == "doctor":
            return asyncio.run(_doctor(settings, arguments.output))
        if settings.insecure and not is_local(settings.controller):
            _log.warning("insecure = true: whoever answers as %s may run anything here", settings.controller)
        asyncio.run(run(settings))
    except Refusal as refusal:
        sys.stderr.write(f"refused: {refusal.message} [{refusal.reason}]\n")
        return 1
    return 0


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
    parse = commands.add_parser(
        "parse",
        help="read a saved output of a vendor's tool, and print its devices as JSON",
        epilog='example: headrace-agent parse --command "npu-smi info" output.txt',
    )
    parse.add_argument("--command", dest="line", required=True, metavar="LINE", help="the command that printed it")
    parse.add_argument("file", metavar="FILE", help='the saved output; "-" for standard input')
    return parser


async def _doctor(settings: AgentSettings, output: str) -> int:
    engine = DockerRuntime(settings.engine.host, settings.node)
    try:
        async with channel_to(settings.controller) as channel:
            findings = await examine(
                folder=settings.state.absolute(),
                engine=engine,
                address=settings.controller,
                channel=channel,
                vendors=vendors(),
            )
    finally:
        engine.close()
    sys.stdout.write((as_json if output == "json" else render)(findings) + "\n")
    return 1 if worst(findings) is Status.BROKEN else 0


if __name__ == "__main__":
    sys.exit(main())

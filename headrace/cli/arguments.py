"""What the user wrote: the commands, their options, examples and help.

Only the parser of the command at hand is made: argparse takes 8 ms to make all of them.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from headrace.cli import options
from headrace.cli.options import Parser
from headrace.version import __version__

VERSION = f"headrace {__version__}, protocol headrace.v1"

_ASIDE = ": what begins with a dash and is no option stands behind --"


class Command(NamedTuple):
    """A command: the function `run` of headrace.cli.<module>.<function>, and what its help says."""

    module: str
    function: str
    summary: str
    example: str
    options: Callable[[Parser], None]
    # What a container is to execute may follow after "--".
    takes_argv: bool = False
    # Needs a controller.
    connects: bool = True


def parse(argv: Sequence[str]) -> tuple[Command, argparse.Namespace]:
    """The command and its arguments. Ends the program with help, or with exit code 2 where the usage is wrong."""
    overview = _overview()
    cut = _command_index(argv) + 1
    found = overview.parse_args(overview.joined(argv[:cut]))
    if found.command is None:
        overview.error("name a command; headrace --help lists them")
    command = COMMANDS.get(found.command)
    if command is None:
        _unknown_command(overview, found.command)
    return command, _parse_command(found.command, command, argv[cut:], found)


def _command_index(argv: Sequence[str]) -> int:
    # "headrace --controller ADDRESS jobs" and "headrace --controller=ADDRESS jobs" are both right.
    skip = False
    for index, word in enumerate(argv):
        if not skip and not word.startswith("-"):
            return index
        skip = word == "--controller"
    return len(argv)


def _overview() -> "_Parser":
    parser = _parser("headrace", "Brings jobs to compute, and moves them while they run.", _list_commands)
    parser.usage = "headrace [--controller ADDRESS] COMMAND …"
    _add_controller(parser)
    about = "show this program's version, as the command does"
    parser.add_argument("--version", action="version", version=VERSION, help=about)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    return parser


def _parse_command(
    name: str, command: Command, argv: Sequence[str], namespace: argparse.Namespace
) -> argparse.Namespace:
    written, container_argv = list(argv), None
    if command.takes_argv and "--" in written:
        cut = written.index("--")
        written, container_argv = written[:cut], written[cut + 1 :]
    parser = _parser(f"headrace {name}", command.summary, lambda: f"example:\n  {command.example}")
    command.options(parser)
    _add_controller(parser)
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "wide", "json", "yaml"),
        metavar="table|wide|json|yaml",
        default="table",
        help="how to show it; json and yaml have the fields of the protocol (default: table)",
    )
    arguments, unknown = parser.parse_known_args(parser.joined(written), namespace)
    if unknown:
        if command.takes_argv and (container_argv is None or not unknown[0].startswith("-")):
            _misplaced(parser, written, unknown, container_argv or [])
        parser.unrecognized(unknown)
    arguments.argv = container_argv or []
    arguments.usage_error = parser.error
    return arguments


def _misplaced(parser: Parser, written: list[str], unknown: list[str], container_argv: list[str]) -> NoReturn:
    import shlex  # noqa: PLC0415 - for a typing error only.

    # As `docker run` takes it; here it would not be clear whose an option is.
    known: list[str] = []
    left = list(unknown)
    for word in reversed(written):
        if left and word == left[-1]:
            left.pop()
        else:
            known.insert(0, word)
    argv = shlex.join([*known, "--", *unknown, *container_argv])
    where = f"what the container executes stands behind --: {parser.prog} {argv}"
    parser.error(f"unrecognized arguments: {unknown[0]}; {where}" if unknown[0].startswith("-") else where)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # Told the width, argparse need not ask the terminal through shutil, which takes 5 ms to load.
        super().__init__(prog, width=110, max_help_position=30)


class _Parser(argparse.ArgumentParser):
    # The first word that begins with a dash, and is no option.
    _strange = ""

    def joined(self, written: Sequence[str]) -> list[str]:
        """The same with each value that begins with a dash joined to its option: argparse takes it for another one."""
        found: list[str] = []
        takes_value = False
        for index, word in enumerate(written):
            if word == "--":
                return [*found, *written[index:]]
            option = self._option_string_actions.get(word.partition("=")[0])
            is_strange = option is None and word.startswith("-") and word != "-"
            if takes_value and is_strange:
                found[-1] += f"={word}" if found[-1].startswith("--") else word
                takes_value = False
                continue
            if is_strange and word[:2] not in self._option_string_actions:
                self._strange = self._strange or word
            found.append(word)
            takes_value = option is not None and option.nargs is None and "=" not in word
        return found

    def unrecognized(self, unknown: Sequence[str]) -> NoReturn:
        """Words that are nothing of the command's."""
        might_be_one = any(one.nargs == "?" for one in self._get_positional_actions())
        aside = _ASIDE if might_be_one and unknown[0].startswith("-") else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{aside}")

    def error(self, message: str) -> NoReturn:
        """Wrong usage is told in one line, and ends with exit code 2."""
        if self._strange and "arguments are required" in message:
            message += f"; {self._strange} is none{_ASIDE}"
        self.exit(2, f"{self.prog}: error: {message} ({self.prog} --help has all options)\n")


def _parser(prog: str, summary: str, epilog: Callable[[], str]) -> _Parser:
    return _Parser(prog, description=summary, epilog=epilog(), formatter_class=_Formatter, allow_abbrev=False)


def _list_commands() -> str:
    width = max(len(name) for name in COMMANDS) + 2
    lines = [f"  {name:{width}}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(["commands:", *lines, "", "'headrace COMMAND --help' has the options and an example of each."])


def _unknown_command(parser: Parser, name: str) -> NoReturn:
    from headrace.suggestions import unknown  # noqa: PLC0415 - difflib, for a typing error only.

    parser.error(unknown("command", name, COMMANDS))


def _add_controller(parser: Parser) -> None:
    parser.add_argument(
        "--controller",
        metavar="ADDRESS",
        # The overview and the command both have this option: neither may overwrite the other's with a default.
        default=argparse.SUPPRESS,
        help="where the controller is, e.g. 127.0.0.1:7400 or unix:/run/headrace.sock "
        "(else HEADRACE_CONTROLLER, else ~/.config/headrace/config.toml)",
    )


COMMANDS: dict[str, Command] = {
    "submit": Command(
        "submission",
        "submit",
        "Submit a job file.",
        "headrace submit job.yaml --set resources.cpu=4 --wait",
        options.submit_options,
    ),
    "run": Command(
        "submission",
        "run",
        "Submit a job that is only an image and a command.",
        "headrace run registry.example/tools:1 --follow -- python -c 'print(42)'",
        options.run_options,
        takes_argv=True,
    ),
    "jobs": Command(
        "jobs",
        "jobs",
        "List jobs, newest first.",
        "headrace jobs --where 'state == \"running\"' --watch",
        options.jobs_options,
    ),
    "job": Command(
        "jobs",
        "job",
        "Show a job: attempts, migrations, phases, why.",
        "headrace job train-mlp-1a2b",
        options.job_options,
    ),
    "logs": Command(
        "streams",
        "logs",
        "Show a job's log, one over all its attempts.",
        "headrace logs train-mlp-1a2b -f",
        options.logs_options,
    ),
    "events": Command(
        "streams",
        "events",
        "Show what happened, oldest first.",
        "headrace events --subject jobs/train --since 2h -f",
        options.events_options,
    ),
    "cancel": Command(
        "jobs",
        "cancel",
        "End a job, or all that are meant.",
        'headrace cancel train-mlp-1a2b\n  headrace cancel --where \'project == "bio" and state == "queued"\'',
        options.cancel_options,
    ),
    "outputs": Command(
        "outputs",
        "outputs",
        "Fetch a job's results, verified.",
        "headrace outputs train-mlp-1a2b ./model",
        options.outputs_options,
    ),
    "migrate": Command(
        "migration",
        "migrate",
        "Move a job to another node while it runs.",
        "headrace migrate train-mlp-1a2b --to node-b --wait",
        options.migrate_options,
    ),
    "explain": Command(
        "explanation",
        "explain",
        "Show where a job fits and why not elsewhere, why it waits, what would change that, and when it will start.",
        "headrace explain job.yaml",
        options.explain_options,
    ),
    "nodes": Command(
        "nodes", "nodes", "List nodes.", "headrace nodes --where 'arch == \"arm64\"' -o wide", options.nodes_options
    ),
    "node": Command("nodes", "node", "Show a node: devices, load, jobs.", "headrace node node-b", options.node_options),
    "find": Command(
        "find",
        "find",
        "Find capacity: nodes, devices or jobs, now.",
        "headrace find 'region == \"east\" and gpu.memory >= 24GiB' --free --order-by 'free.cpu desc'",
        options.find_options,
    ),
    "projects": Command(
        "projects",
        "projects",
        "List projects: their weights and quotas, and what they hold.",
        "headrace projects -o wide",
        options.no_options,
    ),
    "usage": Command(
        "projects",
        "usage",
        "Show what projects have used, and what they were due.",
        "headrace usage",
        options.no_options,
    ),
    "top": Command(
        "top", "top", "Watch devices and nodes live.", "headrace top --where 'region == \"east\"'", options.top_options
    ),
    "cordon": Command("nodes", "cordon", "Give a node no new jobs.", "headrace cordon node-b", options.node_options),
    "uncordon": Command(
        "nodes", "uncordon", "Give a node jobs again.", "headrace uncordon node-b", options.node_options
    ),
    "drain": Command(
        "nodes",
        "drain",
        "Move all jobs off a node.",
        "headrace drain node-b --wait --deadline 10m",
        options.drain_options,
    ),
    "undrain": Command(
        "nodes", "uncordon", "End a drain: give the node jobs again.", "headrace undrain node-b", options.node_options
    ),
    "forget": Command(
        "nodes",
        "forget",
        "Forget a node that is gone for good.",
        "headrace forget node-b",
        options.forget_options,
    ),
    "resolve": Command(
        "identifiers",
        "resolve",
        "Show what a compute identifier stands for now.",
        "headrace resolve headrace:example/east/acme/n-4k2p7q3xabcd2345",
        options.resolve_options,
    ),
    "keygen": Command(
        "identifiers",
        "keygen",
        "Make a key to sign with.",
        "headrace keygen owner.key",
        options.keygen_options,
        connects=False,
    ),
    "delegate": Command(
        "identifiers",
        "delegate",
        "Let another key sign for all identifiers under a prefix.",
        "headrace delegate headrace:example/east --to KEY --key authority.key > east.chain",
        options.delegate_options,
        connects=False,
    ),
    "authority": Command(
        "certificates",
        "authority",
        "Make an authority, by whose certificates controllers, agents and users know each other.",
        "headrace authority ./authority",
        options.authority_options,
        connects=False,
    ),
    "certificate": Command(
        "certificates",
        "certificate",
        "Make a certificate for a controller, an agent, a user or an operator.",
        "headrace certificate ./node-b --role agent --name node-b --authority ./authority",
        options.certificate_options,
        connects=False,
    ),
    "version": Command(
        "version",
        "version",
        "Show this program's version.",
        "headrace version -o json",
        options.no_options,
        connects=False,
    ),
}

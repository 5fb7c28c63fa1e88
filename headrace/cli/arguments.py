"""What the user wrote: the commands, their options, examples and help.

Only the parser of the command at hand is made: argparse takes 8 ms to make all of them.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

Parser = argparse.ArgumentParser

_EXPRESSION = "in the query language, e.g. 'arch == \"arm64\" and free.memory >= 4GiB'"


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
    options = overview.parse_args(argv[:cut])
    if options.command is None:
        overview.error("name a command; headrace --help lists them")
    command = COMMANDS.get(options.command)
    if command is None:
        _unknown_command(overview, options.command)
    return command, _parse_command(options.command, command, argv[cut:], options)


def _command_index(argv: Sequence[str]) -> int:
    # "headrace --controller ADDRESS jobs" and "headrace --controller=ADDRESS jobs" are both right.
    skip = False
    for index, word in enumerate(argv):
        if not skip and not word.startswith("-"):
            return index
        skip = word == "--controller"
    return len(argv)


def _overview() -> Parser:
    parser = _parser("headrace", "Brings jobs to compute, and moves them while they run.", _list_commands)
    parser.usage = "headrace [--controller ADDRESS] COMMAND …"
    _add_controller(parser)
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
    arguments = parser.parse_args(written, namespace)
    arguments.argv = container_argv or []
    arguments.usage_error = parser.error
    return arguments


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        # Told the width, argparse need not ask the terminal through shutil, which takes 5 ms to load.
        super().__init__(prog, width=110, max_help_position=30)


def _parser(prog: str, summary: str, epilog: Callable[[], str]) -> Parser:
    return argparse.ArgumentParser(
        prog, description=summary, epilog=epilog(), formatter_class=_Formatter, allow_abbrev=False
    )


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


def _text(text: str) -> str:
    # What is no text cannot be sent, and Python would say so in words of its own.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise argparse.ArgumentTypeError("is no text in UTF-8")
    return text


def _name(text: str) -> str:
    # Names may be shortened; shortened to nothing, one would mean the only job there is.
    if not text.strip("/") or text in ("jobs/", "nodes/"):
        raise argparse.ArgumentTypeError("a name must not be empty")
    return _text(text)


def _setting(text: str) -> str:
    key, equals, _ = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no setting; write e.g. resources.cpu=4")
    return text


def _duration_ms(text: str) -> int:
    from headrace.units import UnitError, parse_duration  # noqa: PLC0415 - used by one option.

    try:
        return parse_duration(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _subject(text: str) -> str:
    if not text.startswith(("jobs/", "nodes/")):
        raise argparse.ArgumentTypeError(f"{text!r} is no subject; write jobs/NAME or nodes/NAME")
    return _text(text)


def _nothing(_parser: Parser) -> None:
    pass


def _job(parser: Parser) -> None:
    parser.add_argument("job", metavar="JOB", type=_name, help="its name, or the beginning of it")


def _node(parser: Parser) -> None:
    parser.add_argument("node", metavar="NODE", type=_name, help="its name, or the beginning of it")


def _where(parser: Parser) -> None:
    about = f"only those for which it holds, {_EXPRESSION}"
    parser.add_argument("--where", metavar="EXPR", type=_text, default="", help=about)


def _submission(parser: Parser) -> None:
    parser.add_argument(
        "--set",
        dest="sets",
        metavar="KEY=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="a field of the job file, stronger than the file, e.g. resources.cpu=4; may be repeated",
    )
    parser.add_argument("--wait", action="store_true", help="wait for its end; exit code 0 only if it succeeded")
    parser.add_argument("--follow", action="store_true", help="as --wait, and show its log meanwhile")
    parser.add_argument("--dry-run", action="store_true", help="check it, images too, and submit nothing")


def _submit(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="a job file; - reads it from standard input")
    _submission(parser)


def _explain(parser: Parser) -> None:
    parser.add_argument(
        "subject", metavar="JOB|FILE", type=_name, help="a job's name, or a job file that is not submitted by this"
    )
    parser.add_argument(
        "--set",
        dest="sets",
        metavar="KEY=VALUE",
        type=_setting,
        action="append",
        default=[],
        help="of a job file: a field, stronger than the file, e.g. resources.cpu=4; may be repeated",
    )


def _run(parser: Parser) -> None:
    parser.usage = "headrace run [options] IMAGE [-- CMD …]"
    parser.add_argument("image", metavar="IMAGE", help="an image's reference; what follows -- is its command")
    parser.add_argument("--name", default="", help="a short name for people (default: from the image's)")
    _submission(parser)


def _jobs(parser: Parser) -> None:
    _where(parser)
    parser.add_argument("--watch", action="store_true", help="go on, and show changes as they come")
    parser.add_argument("--limit", metavar="N", type=int, default=1000, help="at most the newest N; 0: all (1000)")


def _nodes(parser: Parser) -> None:
    _where(parser)
    parser.add_argument("--watch", action="store_true", help="go on, and show each that joins, is lost or changes")


def _find(parser: Parser) -> None:
    about = f"what is asked for, {_EXPRESSION}; empty: everything"
    parser.add_argument("expression", metavar="EXPR", nargs="?", type=_text, default="", help=about)
    parser.add_argument("--free", action="store_true", help="only what no job holds, on nodes that take jobs")
    parser.add_argument(
        "--over",
        choices=("nodes", "devices", "jobs"),
        metavar="nodes|devices|jobs",
        default="nodes",
        help="what EXPR is asked of (default: nodes); of jobs, those that have not ended",
    )
    parser.add_argument(
        "--order-by",
        metavar="FIELD",
        type=_text,
        default="",
        help='by its values, smallest first; "FIELD desc" greatest',
    )
    parser.add_argument(
        "--sum",
        dest="sums",
        metavar="FIELD",
        type=_text,
        action="append",
        default=[],
        help="its sum over all that is found, e.g. free.cpu; may be repeated",
    )
    by = "how many for each of its values, e.g. region or model"
    parser.add_argument("--group-by", metavar="FIELD", type=_text, default="", help=by)
    parser.add_argument("--limit", metavar="N", type=int, default=100, help="list at most so many (100)")
    parser.add_argument(
        "--when", action="store_true", help="say when each node would have it, by its jobs' time limits"
    )


def _top(parser: Parser) -> None:
    _where(parser)
    parser.add_argument("--once", action="store_true", help="print it once, as without a terminal")


def _logs(parser: Parser) -> None:
    _job(parser)
    parser.add_argument("--task", metavar="N", type=int, help="of a gang, the task of that number (default: 0)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")


def _events(parser: Parser) -> None:
    parser.add_argument("--subject", metavar="NAME", type=_subject, help="only of jobs/NAME or nodes/NAME")
    parser.add_argument("-f", "--follow", action="store_true", help="go on, and show new ones as they come")


def _outputs(parser: Parser) -> None:
    _job(parser)
    parser.add_argument("--task", metavar="N", type=int, help="of a gang, the task of that number")
    parser.add_argument("directory", metavar="DIR", help="where to put the files; absent, or empty")


def _migrate(parser: Parser) -> None:
    _job(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--to", metavar="NODE", type=_name, help="where to (default: wherever is best)")
    about = f"to a node for which it holds, {_EXPRESSION}"
    target.add_argument("--where", metavar="EXPR", type=_text, default="", help=about)
    parser.add_argument("--dry-run", action="store_true", help="say what would be, touch nothing")
    parser.add_argument("--wait", action="store_true", help="wait for its end, and show what each phase took")


def _drain(parser: Parser) -> None:
    _node(parser)
    parser.add_argument("--wait", action="store_true", help="wait until nothing is left on it")
    parser.add_argument(
        "--deadline",
        metavar="TIME",
        dest="deadline_ms",
        type=_duration_ms,
        default=None,
        help="after this long, jobs that could not be moved save and leave, and wait for room elsewhere (default: "
        "never; a job without `checkpoint:` begins anew then)",
    )
    parser.add_argument("--force", action="store_true", help="though some jobs have nowhere to go")


def _trust(text: str) -> str:
    authority, equals, key = text.partition("=")
    if not authority or not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is no trust; write AUTHORITY=KEY, e.g. headrace:example=uG3…")
    return text


def _resolve(parser: Parser) -> None:
    parser.add_argument("identifier", metavar="IDENTIFIER", type=_text, help="a node's or a device's")
    parser.add_argument(
        "--trust",
        metavar="AUTHORITY=KEY",
        type=_trust,
        action="append",
        default=[],
        help="the public key of an authority, to verify the record here (else `[trust]` in config.toml); may be "
        "repeated",
    )


def _keygen(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="where the private key goes; its public half is printed")


def _delegate(parser: Parser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", type=_text, help="what is under it, e.g. headrace:example/east")
    parser.add_argument("--to", metavar="KEY", type=_text, required=True, help="the public key that may sign for it")
    parser.add_argument("--key", metavar="FILE", required=True, help="the private key that may let it")
    parser.add_argument("--chain", metavar="FILE", default="", help="by which delegations that key may")
    about = "for how long (default: 90d)"
    parser.add_argument("--for", metavar="TIME", dest="life_ms", type=_duration_ms, default=7_776_000_000, help=about)


COMMANDS: dict[str, Command] = {
    "submit": Command(
        "submission", "submit", "Submit a job file.", "headrace submit job.yaml --set resources.cpu=4 --wait", _submit
    ),
    "run": Command(
        "submission",
        "run",
        "Submit a job that is only an image and a command.",
        "headrace run registry.example/tools:1 --follow -- python -c 'print(42)'",
        _run,
        takes_argv=True,
    ),
    "jobs": Command(
        "jobs", "jobs", "List jobs, newest first.", "headrace jobs --where 'state == \"running\"' --watch", _jobs
    ),
    "job": Command(
        "jobs", "job", "Show a job: attempts, migrations, phases, why.", "headrace job train-mlp-1a2b", _job
    ),
    "logs": Command(
        "streams", "logs", "Show a job's log, one over all its attempts.", "headrace logs train-mlp-1a2b -f", _logs
    ),
    "events": Command(
        "streams", "events", "Show what happened, oldest first.", "headrace events --subject jobs/train -f", _events
    ),
    "cancel": Command("jobs", "cancel", "End a job.", "headrace cancel train-mlp-1a2b", _job),
    "outputs": Command(
        "outputs", "outputs", "Fetch a job's results, verified.", "headrace outputs train-mlp-1a2b ./model", _outputs
    ),
    "migrate": Command(
        "migration",
        "migrate",
        "Move a job to another node while it runs.",
        "headrace migrate train-mlp-1a2b --to node-b --wait",
        _migrate,
    ),
    "explain": Command(
        "explanation",
        "explain",
        "Show for each node whether a job fits there, why not, and how long it would run.",
        "headrace explain job.yaml",
        _explain,
    ),
    "nodes": Command("nodes", "nodes", "List nodes.", "headrace nodes --where 'arch == \"arm64\"' -o wide", _nodes),
    "node": Command("nodes", "node", "Show a node: devices, load, jobs.", "headrace node node-b", _node),
    "find": Command(
        "find",
        "find",
        "Find capacity: nodes, devices or jobs, now.",
        "headrace find 'region == \"east\" and gpu.memory >= 24GiB' --free --order-by 'free.cpu desc'",
        _find,
    ),
    "top": Command("top", "top", "Watch devices and nodes live.", "headrace top --where 'region == \"east\"'", _top),
    "cordon": Command("nodes", "cordon", "Give a node no new jobs.", "headrace cordon node-b", _node),
    "uncordon": Command("nodes", "uncordon", "Give a node jobs again.", "headrace uncordon node-b", _node),
    "drain": Command(
        "nodes", "drain", "Move all jobs off a node.", "headrace drain node-b --wait --deadline 10m", _drain
    ),
    "undrain": Command("nodes", "uncordon", "End a drain: give the node jobs again.", "headrace undrain node-b", _node),
    "resolve": Command(
        "identifiers",
        "resolve",
        "Show what a compute identifier stands for now.",
        "headrace resolve headrace:example/east/acme/n-4k2p7q3xabcd2345",
        _resolve,
    ),
    "keygen": Command(
        "identifiers", "keygen", "Make a key to sign with.", "headrace keygen owner.key", _keygen, connects=False
    ),
    "delegate": Command(
        "identifiers",
        "delegate",
        "Let another key sign for all identifiers under a prefix.",
        "headrace delegate headrace:example/east --to KEY --key authority.key > east.chain",
        _delegate,
        connects=False,
    ),
    "version": Command(
        "version", "version", "Show this program's version.", "headrace version -o json", _nothing, connects=False
    ),
}

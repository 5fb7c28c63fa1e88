"""What each command can be told, for argparse."""

import argparse

Parser = argparse.ArgumentParser

_EXPRESSION = "in the query language, e.g. 'arch == \"arm64\" and free.memory >= 4GiB'"


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


def _moment_ms(text: str) -> int:
    from datetime import datetime  # noqa: PLC0415 - used by one option, as what follows is.

    from headrace.cli import words  # noqa: PLC0415
    from headrace.units import UnitError, parse_duration  # noqa: PLC0415

    try:
        return words.now_ms() - parse_duration(text)
    except UnitError:
        pass
    try:
        # Without a zone it is this machine's, as times are shown.
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        message = f"{text!r} is no time; write e.g. 2h, 7d, '2026-11-30 14:05' or 2026-11-30T14:05:00Z"
        raise argparse.ArgumentTypeError(message) from None


def _subject(text: str) -> str:
    if not text.startswith(("jobs/", "nodes/")):
        raise argparse.ArgumentTypeError(f"{text!r} is no subject; write jobs/NAME or nodes/NAME")
    return _text(text)


def no_options(_parser: Parser) -> None:
    """None."""


def job_options(parser: Parser) -> None:
    """Those of job."""
    parser.add_argument("job", metavar="JOB", type=_name, help="its name, or the beginning of it")


def cancel_options(parser: Parser) -> None:
    """Those of cancel."""
    parser.add_argument("job", metavar="JOB", nargs="?", type=_name, help="its name, or the beginning of it")
    about = f"all those that have not ended and for which it holds, {_EXPRESSION}"
    parser.add_argument("--where", metavar="EXPR", type=_text, default="", help=about)


def node_options(parser: Parser) -> None:
    """Those of node."""
    parser.add_argument("node", metavar="NODE", type=_name, help="its name, or the beginning of it")


def forget_options(parser: Parser) -> None:
    """Those of forget."""
    parser.add_argument("node", metavar="NODE", type=_name, help="its name, in full")


def where_options(parser: Parser) -> None:
    """Those of where."""
    about = f"only those for which it holds, {_EXPRESSION}"
    parser.add_argument("--where", metavar="EXPR", type=_text, default="", help=about)


def submission_options(parser: Parser) -> None:
    """Those of submission."""
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


def submit_options(parser: Parser) -> None:
    """Those of submit."""
    about = "a job file; - reads it from standard input; of several, all are submitted or none"
    parser.add_argument("files", metavar="FILE", nargs="+", help=about)
    submission_options(parser)


def explain_options(parser: Parser) -> None:
    """Those of explain."""
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


def run_options(parser: Parser) -> None:
    """Those of run."""
    parser.usage = "headrace run [options] IMAGE [-- CMD …]"
    parser.add_argument("image", metavar="IMAGE", help="an image's reference; what follows -- is its command")
    parser.add_argument("--name", default="", help="a short name for people (default: from the image's)")
    submission_options(parser)


def jobs_options(parser: Parser) -> None:
    """Those of jobs."""
    where_options(parser)
    parser.add_argument("--watch", action="store_true", help="go on, and show changes as they come")
    parser.add_argument("--limit", metavar="N", type=int, default=1000, help="at most the newest N; 0: all (1000)")
    about = "the tasks of this gang, or those elements of this array that have had their turn"
    parser.add_argument("--of", metavar="JOB", type=_name, help=about)


def nodes_options(parser: Parser) -> None:
    """Those of nodes."""
    where_options(parser)
    parser.add_argument("--watch", action="store_true", help="go on, and show each that joins, is lost or changes")


def find_options(parser: Parser) -> None:
    """Those of find."""
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
    parser.add_argument(
        "--group-by",
        metavar="FIELD",
        type=_text,
        default="",
        help="how many for each of its values, e.g. region or model",
    )
    parser.add_argument("--limit", metavar="N", type=int, default=100, help="list at most so many (100)")
    parser.add_argument(
        "--when", action="store_true", help="say when each node would have it, by its jobs' time limits"
    )


def top_options(parser: Parser) -> None:
    """Those of top."""
    where_options(parser)
    parser.add_argument("--once", action="store_true", help="print it once, as without a terminal")


def logs_options(parser: Parser) -> None:
    """Those of logs."""
    job_options(parser)
    about = "of a gang the task, of an array the element of that number (default: 0)"
    parser.add_argument("--task", "--element", dest="task", metavar="N", type=int, help=about)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")


def events_options(parser: Parser) -> None:
    """Those of events."""
    parser.add_argument("--subject", metavar="NAME", type=_subject, help="only of jobs/NAME or nodes/NAME")
    about = "only what happened since: 2h, 7d, or a time such as '2026-11-30 14:05' of this machine's zone"
    parser.add_argument("--since", metavar="TIME", dest="since_ms", type=_moment_ms, default=None, help=about)
    parser.add_argument("--limit", metavar="N", type=int, default=1000, help="at most the newest N; 0: all (1000)")
    parser.add_argument("-f", "--follow", action="store_true", help="go on, and show new ones as they come")


def outputs_options(parser: Parser) -> None:
    """Those of outputs."""
    job_options(parser)
    about = "of a gang the task, of an array the element of that number"
    parser.add_argument("--task", "--element", dest="task", metavar="N", type=int, help=about)
    parser.add_argument("directory", metavar="DIR", help="where to put the files; absent, or empty")


def migrate_options(parser: Parser) -> None:
    """Those of migrate."""
    job_options(parser)
    target = parser.add_mutually_exclusive_group()
    target.add_argument("--to", metavar="NODE", type=_name, help="where to (default: wherever is best)")
    about = f"to a node for which it holds, {_EXPRESSION}"
    target.add_argument("--where", metavar="EXPR", type=_text, default="", help=about)
    parser.add_argument("--dry-run", action="store_true", help="say what would be, touch nothing")
    parser.add_argument("--wait", action="store_true", help="wait for its end, and show what each phase took")


def drain_options(parser: Parser) -> None:
    """Those of drain."""
    node_options(parser)
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


def resolve_options(parser: Parser) -> None:
    """Those of resolve."""
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


def keygen_options(parser: Parser) -> None:
    """Those of keygen."""
    parser.add_argument("file", metavar="FILE", help="where the private key goes; its public half is printed")


def delegate_options(parser: Parser) -> None:
    """Those of delegate."""
    parser.add_argument("prefix", metavar="PREFIX", type=_text, help="what is under it, e.g. headrace:example/east")
    parser.add_argument("--to", metavar="KEY", type=_text, required=True, help="the public key that may sign for it")
    parser.add_argument("--key", metavar="FILE", required=True, help="the private key that may let it")
    parser.add_argument("--chain", metavar="FILE", default="", help="by which delegations that key may")
    about = "for how long (default: 90d)"
    parser.add_argument("--for", metavar="TIME", dest="life_ms", type=_duration_ms, default=7_776_000_000, help=about)


def authority_options(parser: Parser) -> None:
    """Those of authority."""
    parser.add_argument("folder", metavar="FOLDER", help="where its certificate (ca.crt) and its key (ca.key) go")


def certificate_options(parser: Parser) -> None:
    """Those of certificate."""
    parser.add_argument("folder", metavar="FOLDER", help="where ca.crt, tls.crt and tls.key go: what `tls` names")
    parser.add_argument(
        "--role", choices=("controller", "agent", "user", "operator"), required=True, help="what it may do"
    )
    parser.add_argument("--name", metavar="NAME", required=True, help="whose it is; an agent's is its node's")
    parser.add_argument("--authority", metavar="FOLDER", required=True, help="what `headrace authority` made")
    parser.add_argument(
        "--host",
        dest="hosts",
        metavar="HOST",
        action="append",
        default=[],
        help="a name or an address at which a controller is reached; may be repeated (localhost always is one)",
    )
    about = "for how long (default: 365d)"
    parser.add_argument("--for", metavar="TIME", dest="life_ms", type=_duration_ms, default=31_536_000_000, help=about)
    parser.add_argument("--replace", action="store_true", help="make it anew where there is one")

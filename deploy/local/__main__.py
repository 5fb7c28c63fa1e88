"""Commands behind the Makefile: `python -m deploy.local up|down|env|images|packages|test`."""

import argparse
import sys

from deploy.local import daemon_images, packages, prepared, standing, tests
from deploy.local.command import carried_out

NEEDS = (
    *packages.ENGINE,
    *packages.REGISTRY,
    *packages.IMAGES,
    *packages.EMULATION,
    *packages.CHECK,
    *packages.TESTS,
    packages.POSTGRES,
)


def main() -> int:
    """Carries out one command; 1 for a refusal, which is printed as it reads."""
    # What is not ours goes to pytest as it is.
    if sys.argv[1:2] == ["test"]:
        return carried_out(lambda: tests.run(sys.argv[2:]))
    options = _parser().parse_args()
    return carried_out(lambda: _done(options))


def _done(options: argparse.Namespace) -> int:
    match options.command:
        case "up":
            standing.up(options.nodes)
        case "down":
            standing.down()
        case "env":
            print("\n".join(f"export {name}={value}" for name, value in standing.environment().items()))
        case "packages":
            packages.ensure(packages.CHECK if options.check else NEEDS)
        case "images":
            _make_images()
    return 0


def _make_images() -> None:
    with prepared.prepare() as local:
        for daemon in ("agent", "controller"):
            image = daemon_images.image(local.registry, daemon)
            print(f"{image.reference}  {' '.join(sorted(image.platforms))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="Headrace on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="a controller and agents in the background")
    up.add_argument("--nodes", type=int, default=1)
    commands.add_parser("down", help="ends them, and the engine and registry that they used")
    commands.add_parser("env", help="what runs, as lines for a shell's eval")
    commands.add_parser("images", help="images of agent and controller, for every architecture")
    wanted = commands.add_parser("packages", help="installs what the distribution has of what set-up needs")
    wanted.add_argument("--check", action="store_true", help="only what `make check` needs")
    commands.add_parser("test", help="pytest, with an engine, a registry and PostgreSQL")
    return parser


if __name__ == "__main__":
    sys.exit(main())

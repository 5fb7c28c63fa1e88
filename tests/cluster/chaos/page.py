"""The page docs/chaos.md: what came of each kill, as the tests saw it, and what the points are."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.faultpoints import POINTS
from tests.cluster.chaos.cases import AMD64, Case

PAGE = Path(__file__).parents[3] / "docs" / "chaos.md"
HEAD = ("| while | killed | at | of | outcome |", "|---|---|---|---|---|")
POINTS_HEAD = ("| point | what has happened by then |", "|---|---|")


def row(case: Case, outcome: str) -> str:
    """A case's line of the table."""
    way = {AMD64: ""}.get(case.way, f" ({case.way})" if case.way.startswith("from") else f" (to {case.way})")
    ahead = ", started ahead" if case.ahead else ""
    point = f"`{case.before}`, then `{case.point}`" if case.before else f"`{case.point}`"
    return f"| {case.scenario}{way}{ahead} | {case.victim} | {point} | {case.words} | {outcome} |"


def points() -> list[str]:
    """The table of the points."""
    return [*POINTS_HEAD, *(f"| `{point}` | {what} |" for point, what in POINTS.items())]


def rows(mark: str) -> list[str]:
    """What the page has between two marks."""
    return _between(PAGE.read_text(), mark).strip().splitlines()


def write(cases: Iterable[Case], outcomes: Mapping[Case, str]) -> None:
    """Puts both tables into the page; what was not looked at stays as it is."""
    known = {line.rpartition(" | ")[0]: line for line in rows("chaos")}
    new = [row(case, outcomes[case]) if case in outcomes else known.get(_key(case), "") for case in cases]
    _put("chaos", [*HEAD, *(line for line in new if line)])
    _put("points", points())


def _key(case: Case) -> str:
    return row(case, "").removesuffix("|").rpartition(" | ")[0]


def _put(mark: str, lines: list[str]) -> None:
    page = PAGE.read_text()
    old = _between(page, mark)
    begin, end = _marks(mark)
    text = "\n".join(lines)
    PAGE.write_text(page.replace(f"{begin}{old}{end}", f"{begin}\n{text}\n{end}"))


def _between(page: str, mark: str) -> str:
    begin, end = _marks(mark)
    return page.partition(begin)[2].partition(end)[0]


def _marks(mark: str) -> tuple[str, str]:
    return f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"

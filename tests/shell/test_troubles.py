"""What PostgreSQL's complaints mean to an operator, by their codes; no server is needed for that."""

import pytest
from sqlalchemy.exc import DBAPIError, InternalError, OperationalError, ProgrammingError

from controller import shell
from controller.troubles import trouble
from headrace.refusals import Code


class Complaint(Exception):
    """As PostgreSQL's drivers raise them."""

    def __init__(self, sqlstate: str | None) -> None:
        super().__init__("somehow put")
        self.sqlstate = sqlstate


def complaint(kind: type[DBAPIError], sqlstate: str | None, *, ended: bool = False) -> DBAPIError:
    return kind("INSERT", {}, Complaint(sqlstate), connection_invalidated=ended)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (complaint(OperationalError, None), "STORE_UNAVAILABLE"),
        (complaint(OperationalError, "57P01", ended=True), "STORE_UNAVAILABLE"),
        (complaint(OperationalError, "53300"), "STORE_UNAVAILABLE"),
        (complaint(InternalError, "XX000", ended=True), "STORE_UNAVAILABLE"),
        (complaint(OperationalError, "53100"), "STORE_FULL"),
        (complaint(InternalError, "25006"), "STORE_NOT_WRITABLE"),
        (complaint(ProgrammingError, "42501"), "STORE_NOT_WRITABLE"),
        (complaint(OperationalError, "55P03"), "STORE_BUSY"),
        (complaint(OperationalError, "40P01"), "STORE_BUSY"),
        (complaint(OperationalError, "58030"), "STORE_IO_ERROR"),
    ],
    ids=lambda one: one.orig.sqlstate if isinstance(one, DBAPIError) else one,
)
def test_what_passes_or_is_mended_beside_the_controller_is_waited_for(error: DBAPIError, reason: str) -> None:
    known = trouble(error)

    assert known is not None
    assert (known.reason, known.code in shell.PASSING) == (reason, True)


@pytest.mark.parametrize("sqlstate", ["XX001", "XX002", "42P01", "42703"])
def test_what_is_broken_is_not_waited_for(sqlstate: str) -> None:
    known = trouble(complaint(InternalError, sqlstate))

    assert known is not None
    assert (known.reason, known.code) == ("STORE_CORRUPT", Code.FAILED_PRECONDITION)


@pytest.mark.parametrize(
    "error", [complaint(OperationalError, "54000"), complaint(ProgrammingError, "42601")], ids=["limit", "syntax"]
)
def test_what_would_fail_however_often_it_is_tried_is_a_bug_of_ours(error: DBAPIError) -> None:
    assert trouble(error) is None

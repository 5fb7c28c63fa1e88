"""The agent's journal: what is written comes back, after an upgrade too."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from agent import journal as journals
from agent.assembly import boot_id
from agent.core.model import Forget, Held, Keep, Memory, Remember
from agent.journal import Journal
from agent.runtimes.runtime import Ref
from headrace.attempts import Attempt, AttemptState
from headrace.refusals import Refusal
from tests.core.one_agent import placement
from tests.core.small_world import FIRST

RUNNING = Held(placement(), Attempt("train-1", 1, state=AttemptState.RUNNING), "a-fingerprint", "a-boot")


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Remember(Memory(3, "cluster-1")), Keep(RUNNING)])

    with closing(Journal(tmp_path / "journal.db")) as journal:
        recalled = journal.recall()

    assert (recalled.memory, recalled.held) == (Memory(3, "cluster-1"), (RUNNING,))
    assert recalled.epochs == {"train-1": 1}


def test_an_epoch_stays_taken_when_its_attempt_is_struck_out(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Keep(RUNNING), Forget(FIRST)])

        assert (journal.recall().held, journal.recall().epochs) == ((), {"train-1": 1})


def test_a_journal_of_an_agent_that_noted_no_boot_is_read_and_written_on(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Keep(RUNNING)])
    with closing(sqlite3.connect(tmp_path / "journal.db")) as older:
        older.execute("ALTER TABLE held DROP COLUMN boot_id")

    with closing(Journal(tmp_path / "journal.db")) as journal:
        assert [held.boot_id for held in journal.recall().held] == [""]
        journal.write([Keep(RUNNING)])
        assert journal.recall().held == (RUNNING,)


def test_a_kernel_names_its_boot_and_where_there_is_no_such_name_it_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "boot_id").write_text("a135ebc2-6780-4d90-8d22-b3f17f02e338\n")

    assert boot_id(tmp_path / "boot_id") == "a135ebc2-6780-4d90-8d22-b3f17f02e338"
    assert boot_id(tmp_path / "elsewhere") == ""


def test_the_epochs_that_are_kept_are_those_taken_last_not_those_of_the_youngest_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "EPOCHS_KEPT", 1)
    monkeypatch.setattr(journals, "FORGOTTEN_AT_ONCE", 2)
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Keep(RUNNING)])
        journal.write([Forget(Ref("other-1", 0, 1))])
        journal.write([Forget(FIRST._replace(epoch=2))])

        assert journal.recall().epochs == {"train-1": 2}


def test_an_epoch_that_only_a_container_tells_of_is_taken_from_then_on(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Forget(FIRST)])

        assert journal.recall().epochs == {"train-1": 1}


def test_a_journal_that_is_none_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"garbage" * 1000)

    with pytest.raises(Refusal, match=r"setting state: .*move it away") as refused:
        Journal(tmp_path / "journal.db")
    assert refused.value.reason == "JOURNAL_UNREADABLE"


def test_a_record_that_cannot_be_read_is_refused_by_the_name_of_its_setting(tmp_path: Path) -> None:
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.write([Keep(RUNNING)])
        journal._connection.execute("UPDATE held SET attempt = x'ff'")

        with pytest.raises(Refusal, match=r"setting state: .*move it away"):
            journal.recall()

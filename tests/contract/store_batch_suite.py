"""What every database behind the store must make of a batch that fails. `store` is a fixture of the StoreSuite."""

import pytest
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import IntegrityError, OperationalError

from controller.store import Store
from headrace.refusals import Refusal
from tests.contract.store_suite import happened, job, node


class StoreBatchSuite:
    """The laws, for a class that is a StoreSuite as well."""

    def test_a_batch_that_fails_leaves_nothing_of_it(self, store: Store) -> None:
        store.commit([job("a", request_id="r1"), happened("jobs/a")])

        with pytest.raises(IntegrityError):
            store.commit([job("b"), job("c", request_id="r1"), node("n"), happened("jobs/b")])

        assert store.load() == ((job("a", request_id="r1"),), ())
        assert len(store.events(after=0, limit=10)) == 1

    def test_a_store_goes_on_after_a_batch_that_failed(self, store: Store) -> None:
        store.commit([job("a", request_id="r1")])
        with pytest.raises(IntegrityError):
            store.commit([happened("jobs/a"), job("b", request_id="r1")])

        (event,) = store.commit([happened("jobs/a")])

        assert event.sequence == 1

    def test_a_batch_that_is_saved_again_as_its_answer_was_lost_is_there_once(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dialect, batch = store._database.writer.dialect, [job("a", request_id="r1"), happened("jobs/a"), node("n")]
        commit = dialect.do_commit

        def lost(connection: PoolProxiedConnection) -> None:
            commit(connection)
            raise OperationalError("COMMIT", {}, Exception("server closed the connection unexpectedly"))

        with monkeypatch.context() as patched:
            patched.setattr(dialect, "do_commit", lost)
            with pytest.raises(Refusal):
                store.commit(batch)

        told = store.commit(batch)

        assert store.load() == ((job("a", request_id="r1"),), (node("n"),))
        assert store.events(after=0, limit=10) == told
        assert told[0].sequence == 1

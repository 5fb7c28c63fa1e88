"""What is kept of messages that were made, so that they need not be made again."""

from headrace import wire
from headrace.attempts import Platform
from headrace.jobs import JobSpec
from headrace.sessions import Placement


def test_a_program_keeps_few_messages_of_what_records_share_until_it_asks_for_more() -> None:
    specs = [JobSpec(f"job-{number}", "image") for number in range(1_000)]
    for spec in specs:
        wire.dump(Placement("job-1", 1, "image", Platform("linux", "amd64"), spec))

    assert 0 < len(wire._shared) <= wire._most_shared

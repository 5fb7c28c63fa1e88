"""Pages say what is true of this repository, and nothing committed is of one machine."""

from headrace.cli.arguments import COMMANDS
from tests.house import page_rules
from tests.house.sources import pages, paths, source, texts_but_examples

# Commands of the plan that the page on queries names already.
NOT_YET = {"docs/query.md": ("find",)}

# An invented user's home, in a test that is about homes.
INVENTED = {"tests/core/test_settings.py"}


def targets() -> list[str]:
    """What `make` can be asked for."""
    return [line.partition(":")[0] for line in source("Makefile").lines if ":" in line and line[0].isalpha()]


def test_no_file_holds_a_path_or_a_package_registry_of_one_machine() -> None:
    found = [
        one
        for text in texts_but_examples()
        if text.path not in INVENTED
        for one in page_rules.things_of_one_machine(text)
    ]
    assert found == []


def test_links_lead_somewhere() -> None:
    assert [one for page in pages() for one in page_rules.broken_links(page)] == []


def test_files_functions_and_classes_that_pages_name_are_there() -> None:
    assert [one for page in pages() for one in page_rules.missing_code(page)] == []


def test_targets_that_pages_name_are_in_the_makefile() -> None:
    assert [one for page in pages() for one in page_rules.missing_targets(page, targets())] == []


def test_commands_that_pages_name_are_there() -> None:
    known = {page: (*COMMANDS, *NOT_YET.get(page.path, ())) for page in pages()}
    assert [one for page in pages() for one in page_rules.missing_commands(page, known[page])] == []


def test_the_pages_that_everybody_looks_for_are_there() -> None:
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE"} <= set(paths())

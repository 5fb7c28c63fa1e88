"""What a query of NVIDIA's dialect says of a device's health: recovery asked for, memory errors, bad rows and pages."""

from collections.abc import Iterator

from agent.accelerators.parsers.fields import Fields
from agent.accelerators.parsers.text import told, whole
from headrace.nodes import Health

_GONE = ("gpu is lost", "unknown error", "err!", "gpu requires reset")
_ROW_FAILED = (Health.UNHEALTHY, "remapping a bad row of its memory failed")
_ROW_PENDING = (Health.DEGRADED, "a bad row of its memory is remapped at its next reset")
_PAGE_PENDING = (Health.DEGRADED, "a bad page of its memory is retired at its next reset")
# The names in XML, then those in text; each is "Yes" or "No" where the device has such a thing.
_SIGNS = (
    ("remapped_rows/remapped_row_failure", *_ROW_FAILED),
    ("remapped_rows/remapping_failure_occurred", *_ROW_FAILED),
    ("remapped_rows/remapped_row_pending", *_ROW_PENDING),
    ("remapped_rows/pending", *_ROW_PENDING),
    ("retired_pages/pending_retirement", *_PAGE_PENDING),
    ("retired_pages/pending_page_blacklist", *_PAGE_PENDING),
)


def health_of(fields: Fields) -> tuple[Health, str]:
    """What a device's own words say of its health; UNKNOWN where none of them do."""
    gone = next((value for _, value in fields.items if value.strip("[] .").lower() in _GONE), None)
    if gone:
        return Health.UNHEALTHY, f"its tool says: {gone}"
    findings = [*_recovery(fields), *_memory_errors(fields)]
    for worst in (Health.UNHEALTHY, Health.DEGRADED, Health.HEALTHY):
        said = [reason for health, reason in findings if health is worst]
        if said:
            return worst, "; ".join(reason for reason in said if reason)
    return Health.UNKNOWN, ""


def _recovery(fields: Fields) -> Iterator[tuple[Health, str]]:
    action = fields.raw("gpu_recovery_action")
    if action.lower() == "none":
        yield Health.HEALTHY, ""
    elif told(action):
        draining = "drain" in action.lower()
        yield (Health.DEGRADED if draining else Health.UNHEALTHY), f"it asks for recovery: {action}"


def _memory_errors(fields: Fields) -> Iterator[tuple[Health, str]]:
    counted = [
        whole(value)
        for name, value in fields.below("ecc_errors/volatile/")
        if "uncorrectable" in name or name == "double_bit/total"
    ]
    errors = [count for count in counted if count is not None]
    if any(errors):
        yield Health.UNHEALTHY, f"{sum(errors)} uncorrected memory errors since its driver was loaded"
    elif errors:
        yield Health.HEALTHY, ""
    if fields.first("ecc_errors/aggregate/sram_threshold_exceeded") == "Yes":
        yield Health.UNHEALTHY, "errors of its SRAM are over their threshold"
    for name, health, reason in _SIGNS:
        said = (fields.first(name) or "").lower()
        if said in ("yes", "no"):
            yield (health, reason) if said == "yes" else (Health.HEALTHY, "")

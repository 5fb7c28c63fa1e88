"""Enflame's models by their PCI device: some of its tool's listings leave the name out, and so does the bus."""

MODELS = {
    "0001": "T10",
    "0002": "T11",
    "0021": "T20",
    "0022": "T20",
    "0023": "T21",
    "0024": "T21",
    "8001": "I20",
    "8011": "I10",
    "8031": "S6",
    "c031": "S30",
    "c032": "S90",
    "c033": "S60G",
    "c035": "S60",
    "c041": "L300",
    "c042": "L600",
}

"""The version of Headrace. The package is built with it (hatchling reads this file)."""

__version__ = "0.1.0"

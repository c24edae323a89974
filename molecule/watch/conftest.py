"""The host of the scenario, for the chapters of its story and for the tests after it."""

from tests.lab.scenario import db, keys

__all__ = ["db", "keys"]

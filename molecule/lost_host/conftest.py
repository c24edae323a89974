"""The hosts of the scenario, for the chapter of its story and for the tests after it."""

from tests.lab.scenario import db, fresh, keys

__all__ = ["db", "fresh", "keys"]

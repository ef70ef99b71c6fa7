"""The planted bugs fit the present functions. Run with: python3 -m unittest, in Tests/Reliability."""

import unittest

from harness.mutants import misfits
from reliability.planted import BUGS


class PlantedTests(unittest.TestCase):
    def test_planted_bugs_fit_the_present_functions(self) -> None:
        self.assertEqual(misfits(BUGS), [])

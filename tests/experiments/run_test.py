"""The check of experiments/run.py finds what is not as expected."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
import run

EXPECTED = {
    "each_run": {"peak_off_bytes": {"equals": 0}, "time_ratio": {"min": 0.5, "max": 2}},
    "has_plan": {"tiny": {"60%": True, "1%": False}},
}


def result(**changes):
    answer = {"budget": "60%", "status": "feasible", "peak_off_bytes": 0, "time_ratio": 1.0}
    return [{"case": "tiny", "runs": [{**answer, **changes}]}]


class CheckTest(unittest.TestCase):
    def test_accepts_what_is_expected(self):
        self.assertEqual(list(run.check(EXPECTED, result())), [])
        self.assertEqual(list(run.check(EXPECTED, result(budget="1%", status="infeasible"))), [])

    def test_finds_one_byte(self):
        self.assertEqual(list(run.check(EXPECTED, result(peak_off_bytes=1))),
                         ["tiny at 60%: peak_off_bytes is 1, not 0"])

    def test_finds_a_value_outside_its_range(self):
        self.assertEqual(list(run.check(EXPECTED, result(time_ratio=2.5))),
                         ["tiny at 60%: time_ratio is 2.5, not in [0.5, 2]"])

    def test_finds_a_budget_without_a_plan_and_one_with_a_plan_too_many(self):
        self.assertEqual(list(run.check(EXPECTED, result(status="infeasible"))),
                         ["tiny at 60%: infeasible"])
        self.assertEqual(list(run.check(EXPECTED, result(budget="1%"))), ["tiny at 1%: feasible"])

    def test_finds_a_missing_value(self):
        self.assertEqual(list(run.check(EXPECTED, result(peak_off_bytes=None))),
                         ["tiny at 60%: peak_off_bytes is missing"])


class FlattenTest(unittest.TestCase):
    def test_puts_phases_after_each_other(self):
        empty = {"start_ns": [], "duration_ns": []}
        first = {"prologue": empty, "body": {"start_ns": [0, 5], "duration_ns": [5, 3]},
                 "epilogue": empty}
        second = {"prologue": empty, "body": {"start_ns": [0], "duration_ns": [2]},
                  "epilogue": empty}
        self.assertEqual(run.absolute_starts({"phases": [first, second]}), [0, 5, 8])


if __name__ == "__main__":
    unittest.main()

"""tools/compare_benchmarks.py tells a change from noise."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import compare_benchmarks as compare


class VerdictTest(unittest.TestCase):
    def test_needs_every_run_to_be_faster(self):
        self.assertEqual(compare.verdict([10, 11, 12, 13], [6, 7, 8, 9], 0.02), "faster")
        self.assertEqual(compare.verdict([6, 7, 8, 9], [10, 11, 12, 13], 0.02), "slower")
        self.assertEqual(compare.verdict([10, 11, 12, 13], [6, 7, 8, 10.5], 0.02), "")

    def test_needs_the_threshold(self):
        self.assertEqual(compare.verdict([100, 100, 100, 100], [99, 99, 99, 99], 0.02), "")
        self.assertEqual(compare.verdict([100, 100, 100, 100], [97, 97, 97, 97], 0.02), "faster")

    def test_names_what_only_one_commit_has(self):
        rows = list(compare.rows_of({"a": [1], "b": [1]}, {"b": [1], "c": [1]}, 0.02))
        self.assertEqual([(row[0], row[3]) for row in rows], [("a", "gone"), ("b", ""), ("c", "new")])

    def test_reads_times_and_skips_errors(self):
        report = {"benchmarks": [
            {"name": "a", "real_time": 2, "time_unit": "ms", "run_type": "iteration"},
            {"name": "a_mean", "real_time": 2, "time_unit": "ms", "run_type": "aggregate"},
            {"name": "b", "real_time": 0, "time_unit": "ns", "error_occurred": True}]}
        self.assertEqual(compare.times_of(report), {"a": 2e6})


if __name__ == "__main__":
    unittest.main()

"""experiments/training.py finds runs that do not keep their promises, and shows what they did."""

import math
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
import training


def row(**changes):
    answer = {"label": "full", "budget": "6GiB", "budget_bytes": 6 * 2**30,
              "process_bytes": 6 * 2**30, "host_bytes": 2**29, "steps_per_s": 20.0,
              "is_finished": True, "predicted_arena_bytes": 1024, "measured_arena_bytes": 1024,
              "predicted_peak_bytes": 1024, "measured_peak_bytes": 1024, "first_loss": 1.0,
              "last_loss": 0.5}
    return {**answer, **changes}


def curve(*pairs):
    lines = [{"step": i + 1, "loss": loss} for i, (loss, _) in enumerate(pairs)]
    return training.curve_rows(lines, [(loss, 1e-4) for _, loss in pairs])


class SummaryTest(unittest.TestCase):
    def test_counts_what_missed(self):
        good = training.summarise_rows([row()])
        self.assertEqual(good, {"row_count": 1, "off_count": 0, "over_budget_count": 0,
                                "unfinished_count": 0, "bad_loss_count": 0})
        bad = training.summarise_rows([
            row(measured_arena_bytes=1536), row(measured_peak_bytes=512),
            row(process_bytes=6 * 2**30 + 1), row(is_finished=False), row(last_loss=math.nan)])
        self.assertEqual(bad, {"row_count": 5, "off_count": 2, "over_budget_count": 1,
                               "unfinished_count": 1, "bad_loss_count": 1})

    def test_the_largest_difference_of_a_curve_counts(self):
        summary = training.summarise_curve(curve((1.0, 1.0), (2.02, 2.0), (3.0, 3.0)))
        self.assertEqual(summary["step_count"], 3)
        self.assertAlmostEqual(summary["max_relative_difference"], 0.01)
        self.assertAlmostEqual(summary["loss_spread"], 2.0 / (6.02 / 3))

    def test_a_curve_with_a_nan_is_infinitely_far(self):
        summary = training.summarise_curve(curve((1.0, 1.0), (math.nan, 2.0), (3.0, 3.0)))
        self.assertEqual(summary["max_relative_difference"], math.inf)

    def test_step_times_come_back_from_their_running_mean(self):
        mean, lines, times = 0, [{"steps_per_s": 0}], [0.5, 0.25, 2.0, 0.25]
        for seconds in times:
            mean = seconds if mean == 0 else 0.9 * mean + 0.1 * seconds
            lines.append({"steps_per_s": 1 / mean})
        for seconds, found in zip(times, training.step_times(lines), strict=True):
            self.assertAlmostEqual(found, seconds)

    def test_curves_of_other_lengths_are_refused(self):
        with self.assertRaises(ValueError):
            training.curve_rows([{"step": 1, "loss": 1.0}], [])


class TableTest(unittest.TestCase):
    def test_says_what_was_off_and_what_a_device_took(self):
        rows = [row(measured_arena_bytes=1536)]
        on_device = training.table_of_rows({"device": "cuda:0", "rows": rows})
        self.assertIn("| full | 6GiB | 20.00 | 1536 | 512 | 0.50 | 1.0000 | 0.5000 | 6.00 |",
                      on_device)
        self.assertNotIn("process", training.table_of_rows({"device": "cpu", "rows": rows}))

    def test_says_when_bytes_differ(self):
        resumed = {"budgets": ["12GiB", "6GiB", "7GiB"], "killed_after": 11, "resumed_from": 10,
                   "steps": 20, "state_bytes": 99, "is_equal": False}
        self.assertIn("| 12GiB | 6GiB | 11 | 7GiB | 10 | 20 | 99 | no |",
                      training.table_of_resume({"rows": [resumed]}))

    def test_a_curve_is_kept_as_numbers(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "curve.csv")
            training.write_curve({"rows": curve((1.5, 1.0))}, path)
            self.assertEqual(path.read_text(),
                             "step,stint,diffusers,relative_difference\n1,1.5,1.0,0.5\n")


if __name__ == "__main__":
    unittest.main()

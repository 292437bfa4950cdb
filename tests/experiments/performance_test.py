"""The tables of experiments/performance.py say what the rows say, and jobs have their own cores."""

import os
import pathlib
import sys
import threading
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
import machine
import performance


def row(**changes):
    answer = {"label": "6GiB", "budget": "6GiB", "solver": "joint", "status": "feasible",
              "budget_bytes": 6 * 2**30, "reach_ms": 60, "measured_duration_ns": 50_000_000,
              "measured_spread_ns": 100_000, "predicted_duration_ns": 49_000_000,
              "time_off_percent": 2.04, "lower_bound_ns": 40_000_000,
              "measured_arena_bytes": 5 * 2**30, "arena_off_bytes": 0, "mismatch_count": 0,
              "over_budget_bytes": 0, "measured_process_bytes": 6 * 2**30 - 512,
              "recomputed_op_count": 7, "copied_bytes": 2**30, "verification": None}
    return {**answer, **changes}


def not_run():
    return {"label": "1GiB", "budget": "1GiB", "solver": "joint", "status": "infeasible",
            "reach_ms": 60, "min_budget_bytes": 2**31}


class SummaryTest(unittest.TestCase):
    def test_counts_what_missed(self):
        rows = [row(), row(measured_duration_ns=61_000_000, time_off_percent=-4),
                row(arena_off_bytes=512), row(mismatch_count=1), row(over_budget_bytes=1),
                row(verification={"output_count": 1}, are_results_equal=False), not_run()]
        summary = performance.summarise(rows)
        self.assertEqual((summary["row_count"], summary["measured_count"]), (7, 6))
        self.assertEqual(summary["arena_off_count"], 2)
        self.assertEqual(summary["over_budget_count"], 1)
        self.assertEqual((summary["verified_count"], summary["different_count"]), (1, 1))
        self.assertEqual(summary["reached_count"], 5)
        self.assertEqual((summary["within_3_percent_count"], summary["within_5_percent_count"]),
                         (5, 6))

    def test_a_reach_may_be_relative_to_the_first_row(self):
        rows = [row(), row(reach_ms=None)]
        performance.set_relative_reach({"rows": [{}, {"reach_over_first": 1.1}]}, rows)
        self.assertAlmostEqual(rows[1]["reach_ms"], 55)
        self.assertTrue(performance.is_reached(rows[1]))


class BudgetTest(unittest.TestCase):
    def test_what_is_allocated_does_not_count_the_overhead(self):
        self.assertEqual(performance.budget_flags({"allocated_bytes": 1024}, 512),
                         ["--budget", "1536B"])
        self.assertEqual(performance.budget_flags({"budget": "70%"}, 512),
                         ["--activation-budget", "70%"])


class BaselineTest(unittest.TestCase):
    def test_what_pytorch_took_or_why_not_stands_below_the_rows(self):
        rows = [{"label": "eager", "median_ms": 60.04, "spread_ms": 0.1, "allocated_bytes": 2**30,
                 "first_step_s": 3.4}, {"label": "compiled", "failure": "out of memory"}]
        table = performance.baseline_table({"baselines": rows})
        self.assertIn("| eager | 60.0 ± 0.1 | 1073741824 | 3 |", table)
        self.assertIn("| compiled | failed: out of memory |  |  |", table)
        self.assertEqual(performance.baseline_table({"baselines": []}), "")


class TableTest(unittest.TestCase):
    def test_has_as_many_cells_as_heads(self):
        rows = [row(), row(budget="none", reach_ms=None), not_run()]
        result = {"device": "a card", "rows": rows, "summary": performance.summarise(rows)}
        lines = performance.table_of(result).split("\n\n")[0].splitlines()
        self.assertEqual({line.count("|") for line in lines}, {13})
        self.assertIn("| 6.00 of 6.00 | 7 | 1.00 |", lines[2])
        self.assertIn("infeasible: needs 2.00 GiB", lines[4])


class BesideTest(unittest.TestCase):
    def test_answers_are_in_order_and_cores_are_never_shared(self):
        used, lock = set(), threading.Lock()

        def task(number):
            def run(cores):
                with lock:
                    self.assertFalse(used & set(cores))
                    used.update(cores)
                with lock:
                    used.difference_update(cores)
                return number
            return run
        with unittest.mock.patch.object(os, "sched_getaffinity", return_value={0, 1, 4, 5}):
            self.assertEqual(machine.run_beside([task(i) for i in range(20)], 2), list(range(20)))
            with self.assertRaises(SystemExit):
                machine.run_beside([], 3)


if __name__ == "__main__":
    unittest.main()

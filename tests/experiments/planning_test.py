"""The tables of experiments/planning.py say what the rows say."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
import planning

CASE = {"name": "case", "title": "Case", "files": [], "budgets": ["50%"], "time_limit_s": 1,
        "has_rivals": True,
        "reach": {"what": "gap_points", "each": {"50%": 0.5}, "seconds": 10, "words": "small gap"}}


def row(**changes):
    answer = {"instance": "graph.json", "op_count": 3, "budget": "50%", "budget_bytes": 100,
              "solver": "ours", "status": "feasible", "keep_all_duration_ns": 1000,
              "duration_ns": 1010, "lower_bound_ns": 1006, "overhead_percent": 1.0,
              "bound_percent": 0.6, "gap_points": 0.4, "peak_bytes": 2**30, "arena_bytes": 2**30,
              "wall_s": 2.0, "cpu_s": 2.0}
    return {**answer, **changes}


def infeasible(**changes):
    return row(status="infeasible", min_budget_bytes=2**31, note="op 1", **changes)


class ReachTest(unittest.TestCase):
    def test_needs_gap_and_time(self):
        self.assertTrue(planning.is_reached(CASE, row()))
        self.assertFalse(planning.is_reached(CASE, row(gap_points=0.6)))
        self.assertFalse(planning.is_reached(CASE, row(wall_s=11)))
        self.assertFalse(planning.is_reached(CASE, row(status="unknown")))
        self.assertTrue(planning.is_reached(CASE, infeasible()))

    def test_can_be_the_ratio_to_the_bound(self):
        case = {**CASE, "reach": {"what": "time_over_bound", "each": 1.005, "words": ""}}
        self.assertTrue(planning.is_reached(case, row()))
        self.assertFalse(planning.is_reached(case, row(duration_ns=1012)))


class SummaryTest(unittest.TestCase):
    def test_counts_what_was_asked(self):
        rows = [row(), row(budget="30%", gap_points=3, duration_ns=1040),
                infeasible(budget="1%"), row(solver="rival", duration_ns=1005)]
        summary = planning.summarise({**CASE, "reach": {**CASE["reach"], "each": 0.5}}, rows, "ours")
        self.assertEqual((summary["row_count"], summary["feasible_count"]), (3, 2))
        self.assertEqual((summary["reached_count"], summary["missed_count"]), (1, 1))
        self.assertEqual(summary["beaten_count"], 1)
        self.assertEqual(summary["worst_gap_points"], 3)

    def test_time_must_not_fall_with_memory(self):
        more, less = row(budget_bytes=200, duration_ns=1000), row(budget_bytes=100)
        self.assertTrue(planning.is_monotone([more, less]))
        self.assertFalse(planning.is_monotone([{**more, "duration_ns": 2000}, less]))

    def test_a_plan_against_a_no_is_a_defeat(self):
        rows = [infeasible(), row(solver="rival")]
        self.assertEqual(planning.summarise(CASE, rows, "ours")["beaten_count"], 1)


class TableTest(unittest.TestCase):
    def result(self, rows):
        return {"case": "case", "solver": "ours", "reach": CASE["reach"], "has_rivals": True,
                "rows": rows, "summary": planning.summarise(CASE, rows, "ours")}

    def test_shows_plans_noes_and_rivals(self):
        table = planning.table_of(self.result([row(), infeasible(),
                                               row(solver="slow", overhead_percent=7)]))
        self.assertIn("| graph | 3 | 50% | 1.0000 | 0.6000 | 0.4000 | 2.0 | 1.00 | 1.00 "
                      "| slow 7.0000 |", table)
        self.assertIn("none fits: needs 2.00 GiB", table)
        self.assertIn("1 of 1 feasible rows as promised (small gap)", table)

    def test_shows_the_best_of_all_solvers_bold(self):
        rows = [row(duration_ns=1000, overhead_percent=1),
                row(solver="dtr", duration_ns=1500, overhead_percent=51),
                row(solver="checkmate", duration_ns=1000, overhead_percent=1),
                row(solver="moccasin", status="unknown")]
        table = planning.rivals_table_of(self.result(rows))
        self.assertIn("| graph | budget | ours | greedy | sqrt-n | chen-greedy | modules "
                      "| lower-sets | dtr | checkmate | knapsack | moccasin |", table)
        self.assertIn("| graph | 50% | **1.00** | - | - | - | - | - | 51.00 | **1.00** | - | - |",
                      table)

    def test_goes_between_its_markers(self):
        document = "a\n<!-- begin: case -->\nold\n<!-- end: case -->\nb\n"
        new = planning.put_table(document, "case", "new\n")
        self.assertEqual(new, "a\n<!-- begin: case -->\nnew\n<!-- end: case -->\nb\n")
        with self.assertRaises(SystemExit):
            planning.put_table(document, "other", "new\n")


class DocumentTest(unittest.TestCase):
    def test_has_a_place_for_every_case(self):
        config = planning.json.loads(
            (planning.ROOT / "experiments/02_planning/config.json").read_text())
        text = planning.DOCUMENT.read_text()
        for case in config["full"]:
            planning.put_table(text, case["name"], "")


if __name__ == "__main__":
    unittest.main()

"""The experiment about the executor: what plans take on the device at some budgets, in time and in
memory, beside what was predicted, and the table that docs/performance.md shows of it."""

import concurrent.futures
import gzip
import json
import pathlib
import shutil

import baselines
import machine
import planning

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs/performance.md"
GIBIBYTE = 2**30
NO_PLAN = (3, 4)  # Exit codes of stint plan: none fits, none found.
CHECK_FAILED = 5  # Of stint run and report.


def budget_flags(row, overhead_bytes):
    """A row names device memory of the process, a share of the activations, or what is allocated:
    the arena, as PyTorch's figures are. Then the process takes the device's overhead besides."""
    if "allocated_bytes" in row:
        return ["--budget", f"{row['allocated_bytes'] + overhead_bytes}B"]
    return ["--activation-budget" if row["budget"].endswith("%") else "--budget", row["budget"]]


def plan_row(stint, case, row, number, cores):
    """The summary of the plan of a row; the plan is in plan_<number>.json."""
    limit = ["--time-limit", case["time_limit_s"]]
    if "work_limit" in case:
        limit += ["--work-limit", case["work_limit"]]
    _, out = stint.run("plan", "--profile", f"{case['name']}.json.gz", *budget_flags(
        row, case["overhead_bytes"]), "--solver", row["solver"], *limit, "--json", "--output",
        f"{case['name']}_{number}.plan.json", allowed=(0, *NO_PLAN), cores=cores)
    return json.loads(out)


def copied_bytes(report):
    return sum(stream.get("copied_bytes", 0) for stream in report.get("streams", []))


def stalled_ns(report):
    """What compute waited for copies, each phase once."""
    return sum(stall["duration_ns"] for stall in report.get("stalls", []))


def run_row(stint, case, row, number, plan):
    """Runs a plan and returns what was predicted and measured. The reports stay in the folder."""
    name = f"{case['name']}_{number}"
    files = ["--profile", f"{case['name']}.json.gz", "--plan", f"{name}.plan.json"]
    stint.run("simulate", *files, "--output", f"{name}.predicted.json")
    verify = ["--verify"] if row.get("is_verified") else []
    code, _ = stint.run("run", *files, "--weights", "seed:0", "--inputs", "seed:1", "--iterations",
                        case["iteration_count"], *verify, "--output", f"{name}.measured.json",
                        allowed=(0, 1, *NO_PLAN, CHECK_FAILED))
    if not (stint.folder / f"{name}.measured.json").exists():
        return {**plan, "failed_with": code}
    _, out = stint.run("report", "--predicted", f"{name}.predicted.json", "--measured",
                       f"{name}.measured.json", "--json", allowed=(0, CHECK_FAILED))
    measured = stint.read(f"{name}.measured.json")
    return {**plan, **json.loads(out), "copied_bytes": copied_bytes(measured),
            "stalled_ns": stalled_ns(measured), "mode": measured["mode"],
            "verification": measured.get("verification")}


def measure_row(stint, case, row, number, plan):
    answer = {"budget": row.get("budget", ""), "label": row.get("label", row.get("budget", "")),
              "reach_ms": row.get("reach_ms"), **plan}
    if plan["status"] not in ("optimal", "feasible"):
        return answer
    answer.update(run_row(stint, case, row, number, plan))
    if was_run(answer):
        answer["arena_off_bytes"] = answer["measured_arena_bytes"] - answer["predicted_arena_bytes"]
        answer["time_off_percent"] = 100 * (answer["measured_duration_ns"]
                                            / max(1, answer["predicted_duration_ns"]) - 1)
        # Without a budget there is nothing to exceed.
        answer["over_budget_bytes"] = (0 if row.get("budget") == "none" else max(
            0, answer["measured_process_bytes"] - answer["budget_bytes"]))
    return answer


def set_relative_reach(case, rows):
    """Where a row may take so much longer than the first one, which keeps all, or than its bound."""
    for row, answer in zip(case["rows"], rows):
        if "reach_over_bound" in row and was_run(answer):
            answer["reach_ms"] = row["reach_over_bound"] * answer["lower_bound_ns"] / 1e6
        if "reach_over_first" in row and was_run(rows[0]):
            answer["reach_ms"] = row["reach_over_first"] * rows[0]["measured_duration_ns"] / 1e6


def was_run(row):
    return "measured_duration_ns" in row


def is_reached(row):
    return row["reach_ms"] is None or row["measured_duration_ns"] <= 1e6 * row["reach_ms"]


def summarise(rows):
    measured = [row for row in rows if was_run(row)]
    verified = [row for row in measured if row["verification"]]
    return {
        "row_count": len(rows),
        "measured_count": len(measured),
        "arena_off_count": sum(row["arena_off_bytes"] != 0 or row["mismatch_count"] != 0
                               for row in measured),
        "over_budget_count": sum(row["over_budget_bytes"] > 0 for row in measured),
        "verified_count": len(verified),
        "different_count": sum(not row["are_results_equal"] for row in verified),
        "reached_count": sum(is_reached(row) for row in measured),
        "within_3_percent_count": sum(abs(row["time_off_percent"]) <= 3 for row in measured),
        "within_5_percent_count": sum(abs(row["time_off_percent"]) <= 5 for row in measured),
    }


def row_cells(row):
    cells = [row["label"], row["solver"]]
    if not was_run(row):
        why = ("plan made, run failed" if "failed_with" in row else
               f"{row['status']}: needs {row['min_budget_bytes'] / GIBIBYTE:.2f} GiB")
        return cells + [why] + [""] * 9
    budget = "-" if row["budget"] == "none" else f"{row['budget_bytes'] / GIBIBYTE:.2f}"
    reach = "-" if row["reach_ms"] is None else f"{row['reach_ms']:.4g}"
    spread = f"{row['measured_duration_ns'] / 1e6:.1f} ± {row['measured_spread_ns'] / 1e6:.1f}"
    return cells + [reach, spread, f"{row['predicted_duration_ns'] / 1e6:.1f}",
                    f"{row['time_off_percent']:+.1f}", f"{row['lower_bound_ns'] / 1e6:.1f}",
                    str(row["measured_arena_bytes"]), str(row["arena_off_bytes"]),
                    f"{row['measured_process_bytes'] / GIBIBYTE:.2f} of {budget}",
                    str(row["recomputed_op_count"]), f"{row['copied_bytes'] / GIBIBYTE:.2f}"]


def table_of(result):
    """The markdown table of a case, and a line that sums it up."""
    heads = ["memory", "solver", "to reach, ms", "measured ms", "predicted ms", "off %", "bound ms",
             "arena bytes", "off bytes", "process GiB of budget", "ops recomputed", "copied GiB"]
    lines = [heads, ["---"] * len(heads), *(row_cells(row) for row in result["rows"])]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    summary = result["summary"]
    count = summary["measured_count"]
    verdict = (f"{result['device']}. {summary['reached_count']} of {count} rows in the time to "
               f"reach; {count - summary['arena_off_count']} with exactly the predicted arena, "
               f"{count - summary['over_budget_count']} within the budget, predicted time within "
               f"3 % in {summary['within_3_percent_count']} and within 5 % in "
               f"{summary['within_5_percent_count']}")
    if summary["verified_count"]:
        verdict += (f"; results of {summary['verified_count']} compared with the unplanned run, of "
                    f"{summary['different_count']} different")
    return f"{text}\n\n{verdict}.\n{baseline_table(result)}"


def baseline_table(result):
    if not result.get("baselines"):
        return ""
    lines = [["PyTorch, the same step", "ms", "allocated bytes", "s to the first steps"],
             ["---"] * 4, *(baselines.cells_of(row) for row in result["baselines"])]
    return "\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def say(result):
    for row in result["rows"]:
        if not was_run(row):
            print(f"  {row['label']:>16}  {row['status']}, not run", flush=True)
            continue
        print(f"  {row['label']:>16}  {row['measured_duration_ns'] / 1e6:.2f} ms, predicted "
              f"{row['predicted_duration_ns'] / 1e6:.2f}, bound {row['lower_bound_ns'] / 1e6:.2f}; "
              f"arena {row['measured_arena_bytes']} B, {row['arena_off_bytes']} off; process "
              f"{row['measured_process_bytes']} B of {row['budget_bytes']}, equal "
              f"{row.get('are_results_equal')}", flush=True)


def profile_case(stint, case):
    """Takes the profile and learns from it what the device is called and takes."""
    name = f"{case['name']}.json.gz"
    stint.run("profile", *case["workload"], "--device", case["device"], "--output", name)
    with gzip.open(stint.folder / name, "rt") as file:
        profile = json.load(file)
    case["overhead_bytes"] = profile["device"]["overhead_bytes"]
    case["device_name"] = profile["device"]["name"]
    case["workload_of_profile"] = profile["workload"]


def keep_files(stint, case, target):
    for pattern in (f"{case['name']}.json.gz", f"{case['name']}_*.measured.json"):
        for path in stint.folder.glob(pattern):
            shutil.copy(path, target)


def run_cases(folder, config, expected, target, stint, arguments):
    """Profiles all cases, then plans all rows beside each other, then runs one after another. While
    plans are made, PyTorch has the device."""
    cases = []
    for case in config["quick" if arguments.quick else "full"]:
        if arguments.cases and case["name"] not in arguments.cases:
            continue
        if not machine.has_device(case["device"]):
            print(f"{folder.name}/{case['name']}: skipped, there is no {case['device']}",
                  flush=True)
            continue
        profile_case(stint, case)
        cases.append(case)

    def task(case, row, number):
        return lambda cores: plan_row(stint, case, row, number, cores)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        measured = pool.submit(baselines.measure_beside, cases if arguments.baselines else [])
        plans = iter(machine.run_beside([task(case, row, number) for case in cases
                                         for number, row in enumerate(case["rows"])],
                                        arguments.jobs))
        measured.result()
    results = []
    for case in cases:
        rows = [measure_row(stint, case, row, number, next(plans))
                for number, row in enumerate(case["rows"])]
        set_relative_reach(case, rows)
        result = {"case": case["name"], "title": case["title"], "device": case["device_name"],
                  "rows": rows, "baselines": case.get("baseline_rows", []),
                  "summary": summarise(rows)}
        (target / f"{case['name']}.result.json").write_text(json.dumps(result, indent=1) + "\n")
        keep_files(stint, case, target)
        if arguments.update_docs:  # At once: what ends later may not.
            update_document(result)
        print(f"{folder.name}/{case['name']}", flush=True)
        say(result)
        results.append(result)
    return list(planning.check(expected, results)) if arguments.check else []


def update_document(result):
    DOCUMENT.write_text(planning.put_table(DOCUMENT.read_text(), result["case"], table_of(result)))

"""The experiment about plans: every solver on every instance and budget of a case, through
`stint bench-solvers`, and the tables that docs/planning.md shows of it."""

import json
import pathlib
import re

import machine

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs/planning.md"
NO_NUMBER = "-"
# Published planners behind the same interface, and the greedy one that ours starts from.
RIVALS = ("greedy", "sqrt-n", "chen-greedy", "modules", "lower-sets", "dtr", "checkmate", "knapsack",
          "moccasin")
RIVAL_TIME_LIMIT_S = 10


def rivals_beside(solver):
    return [name for name in RIVALS if name != solver]


def files_of(case, folder, instances):
    """Returns the files of a case that there are, and the names of those that are missing."""
    roots = {"small": folder / "small", "repository": ROOT, "instances": instances}
    root = roots[case["from"]]
    if root is None:
        return [], case["files"]
    found = [root / name for name in case["files"] if (root / name).exists()]
    missing = [name for name in case["files"] if not (root / name).exists()]
    return found, missing


def bench(stint, path, budgets, case, solver, cores=None):
    """The rows of one file: by `solver`, and where the case has rivals by them."""
    work_limit = ["--work-limit", case["work_limit"]] if "work_limit" in case else []

    def rows_of(solvers, time_limit_s):
        _, out = stint.run("bench-solvers", "--suite", path, "--budgets", ",".join(budgets),
                           "--solvers", solvers, "--time-limit", time_limit_s, *work_limit,
                           *case.get("flags", []), "--json", allowed=(0, 5), cores=cores)
        return json.loads(out)["rows"]

    rows = rows_of(solver, case["time_limit_s"])
    if case.get("has_rivals"):
        rows += rows_of(",".join(rivals_beside(solver)), min(case["time_limit_s"], RIVAL_TIME_LIMIT_S))
    return rows


def solver_of(arguments, config, case):
    """Named on the command line, else by the case, else for all cases."""
    return arguments.solver or case.get("solver", config["solver"])


def has_plan(row):
    return row["status"] in ("optimal", "feasible")


def target_of(case, row):
    """What the case promises for this row; None where it promises nothing."""
    target = case["reach"].get("each")
    return target[row["budget"]] if isinstance(target, dict) else target


def reached_value(case, row):
    """The number that is compared with the target."""
    if case["reach"]["what"] == "time_over_bound":
        return row["duration_ns"] / max(1, row["lower_bound_ns"])
    if case["reach"]["what"] == "time_ms":
        return row["duration_ns"] / 1e6
    return row["gap_points"]


def is_reached(case, row):
    """A plan good and quick enough. A proof that there is none is an answer, too."""
    if row["status"] == "infeasible":
        return True
    if not has_plan(row) or row["wall_s"] > case["reach"].get("seconds", float("inf")):
        return False
    if case["reach"]["what"] == "answer":
        return True
    return reached_value(case, row) <= target_of(case, row)


def is_monotone(rows):
    """Whether in each instance, from large to small budgets, time never falls."""
    by_instance = {}
    for row in rows:
        if has_plan(row):
            by_instance.setdefault(row["instance"], []).append((row["budget_bytes"],
                                                                row["duration_ns"]))
    return all(earlier[1] <= later[1] for points in by_instance.values()
               for earlier, later in zip(sorted(points, reverse=True),
                                         sorted(points, reverse=True)[1:]))


def rivals_of(row, rows):
    """Plans of the other solvers for the same instance and budget, the fastest first."""
    return sorted((other for other in rows
                   if other["instance"] == row["instance"] and other["budget"] == row["budget"]
                   and other["solver"] != row["solver"] and has_plan(other)),
                  key=lambda other: (other["duration_ns"], other["solver"]))


def summarise(case, rows, solver):
    own = [row for row in rows if row["solver"] == solver]
    asked = [row for row in own if row["status"] != "infeasible"]
    planned = [row for row in own if has_plan(row)]
    beaten = [row for row in own for rival in rivals_of(row, rows)[:1]
              if not has_plan(row) or rival["duration_ns"] < row["duration_ns"]]
    return {
        "row_count": len(own),
        "feasible_count": len(asked),
        "reached_count": sum(is_reached(case, row) for row in asked),
        "missed_count": sum(not is_reached(case, row) for row in asked),
        "unknown_count": sum(row["status"] == "unknown" for row in own),
        "failed_count": sum(row["status"] == "failed" for row in rows),
        "beaten_count": len(beaten),
        "is_monotone": is_monotone(own),
        "worst_gap_points": max((row["gap_points"] for row in planned), default=None),
        "most_seconds": max((row["wall_s"] for row in own), default=None),
        "arena_excess_bytes": max((row["arena_bytes"] - row["peak_bytes"] for row in planned),
                                  default=None),
    }


def tasks_of(stint, case, solver, files):
    """One task a graph and budget, to be called with the cores that it may use."""
    def task(path, budget):
        return lambda cores: bench(stint, path, [budget], case, solver, cores)
    return [task(path, budget) for path in files for budget in case["budgets"]]


def result_of(case, solver, rows):
    return {"case": case["name"], "title": case["title"], "solver": solver, "reach": case["reach"],
            "has_rivals": case.get("has_rivals", False), "rows": rows,
            "summary": summarise(case, rows, solver)}


def number(value, digits):
    return NO_NUMBER if value is None else f"{value:.{digits}f}"


def gibibytes(size_bytes):
    return f"{size_bytes / 2**30:.2f}"


def row_cells(result, row):
    """One line of the table of a case."""
    name = row["instance"].split(".")[0]
    cells = [name, str(row["op_count"]), row["budget"]]
    if has_plan(row):
        if result["reach"]["what"] in ("time_over_bound", "time_ms", "answer"):
            # A plan that proves nothing states 0 or 1.
            bound_ns = row["lower_bound_ns"] if row["lower_bound_ns"] > 1 else None
            cells += [number(row["duration_ns"] / 1e6, 1), number(bound_ns and bound_ns / 1e6, 1),
                      number(bound_ns and row["duration_ns"] / bound_ns, 3)]
        else:
            cells += [number(row["overhead_percent"], 4), number(row["bound_percent"], 4),
                      number(row["gap_points"], 4)]
        cells[-2] += " *" if row.get("claimed_ns", 0) > 0 else ""
        cells += [number(row["wall_s"], 1), gibibytes(row["peak_bytes"]),
                  gibibytes(row["arena_bytes"])]
    elif row["status"] == "infeasible":
        needs = gibibytes(row["min_budget_bytes"])
        cells += [f"none fits: needs {needs} GiB", "", "", number(row["wall_s"], 1), "", ""]
    else:
        cells += [row["status"], "", "", number(row["wall_s"], 1), "", ""]
    if result["has_rivals"]:
        rivals = rivals_of(row, result["rows"])
        cells.append(f"{rivals[0]['solver']} {rivals[0]['overhead_percent']:.4f}" if rivals
                     else "none")
    return cells


def rivals_table_of(result):
    """The overheads of all solvers side by side: the fastest plan of each row is bold."""
    solvers = [result["solver"], *rivals_beside(result["solver"])]
    lines = [["graph", "budget", *solvers]]
    lines.append(["---"] * len(lines[0]))
    for row in result["rows"]:
        if row["solver"] != result["solver"] or row["status"] == "infeasible":
            continue
        by_solver = {other["solver"]: other for other in [row, *rivals_of(row, result["rows"])]}
        shown = [by_solver.get(name) for name in solvers]
        best_ns = min((other["duration_ns"] for other in shown if other and has_plan(other)),
                      default=None)
        cells = [row["instance"].split(".")[0], row["budget"]]
        for other in shown:
            text = number(other["overhead_percent"], 2) if other and has_plan(other) else NO_NUMBER
            cells.append(f"**{text}**" if other and other["duration_ns"] == best_ns else text)
        lines.append(cells)
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return (f"{text}\n\nOverhead in % of each solver, in at most {RIVAL_TIME_LIMIT_S} s but for the "
            f"first; -: no plan within the budget. The best of a row is bold.\n")


def table_of(result):
    """The markdown table of a case, a line that says what of it was reached, and the rivals'."""
    heads = ["graph", "ops", "budget"]
    if result["reach"]["what"] in ("time_over_bound", "time_ms", "answer"):
        heads += ["time ms", "bound ms", "time / bound"]
    else:
        heads += ["overhead %", "proven >= %", "gap pp"]
    heads += ["s", "peak GiB", "arena GiB"]
    heads += ["best rival, overhead %"] if result["has_rivals"] else []
    lines = [heads, ["---"] * len(heads)]
    lines += [row_cells(result, row) for row in result["rows"] if row["solver"] == result["solver"]]
    summary = result["summary"]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    verdict = (f"{summary['reached_count']} of {summary['feasible_count']} feasible rows as "
               f"promised ({result['reach']['words']})")
    if result["has_rivals"]:
        verdict += f"; a rival is faster in {summary['beaten_count']}"
    if any(row.get("claimed_ns", 0) > 0 for row in result["rows"]):
        verdict += ("; a bound with * rests on a solver that computes in floating point, the "
                    "others are proved in integers")
    rivals = f"\n{rivals_table_of(result)}" if result["has_rivals"] else ""
    return f"{text}\n\n{verdict}.\n{rivals}"


def put_table(document, name, table):
    """The document with the text between the markers of `name` replaced."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(document):
        raise SystemExit(f"run.py: the document has no place for {name}")
    return pattern.sub(lambda _: f"{begin}\n{table}{end}", document)


def update_document(results):
    text = DOCUMENT.read_text()
    for result in results:
        text = put_table(text, result["case"], table_of(result))
    DOCUMENT.write_text(text)


def say(result):
    for row in result["rows"]:
        if row["solver"] != result["solver"]:
            continue
        if has_plan(row):
            answer = (f"overhead {row['overhead_percent']:.4f} %, proven >= "
                      f"{row['bound_percent']:.4f} %, {row['wall_s']:.1f} s")
        else:
            answer = row["status"]
        print(f"  {row['instance']:>28} {row['budget']:>6}  {answer}", flush=True)


def check(expected, results):
    """Yields what of a case is not as expected."""
    for result in results:
        for field, rule in expected.get(result["case"], {}).items():
            value = result["summary"].get(field)
            if value is None:
                yield f"{result['case']}: {field} is missing"
            elif "equals" in rule and value != rule["equals"]:
                yield f"{result['case']}: {field} is {value}, not {rule['equals']}"
            elif value < rule.get("min", value) or value > rule.get("max", value):
                yield (f"{result['case']}: {field} is {value}, not in [{rule.get('min', '')}, "
                       f"{rule.get('max', '')}]")


def run_cases(folder, config, expected, target, stint, arguments):
    """Measures all cases whose files are there; returns what is not as expected."""
    asked = []
    for case in config["quick" if arguments.quick else "full"]:
        if arguments.cases and case["name"] not in arguments.cases:
            continue
        if arguments.no_rivals:
            case["has_rivals"] = False
        files, missing = files_of(case, folder, arguments.instances)
        if missing:
            print(f"{folder.name}/{case['name']}: skipped, --instances lacks {', '.join(missing)}",
                  flush=True)
        solver = solver_of(arguments, config, case)
        asked.append((case, solver, tasks_of(stint, case, solver, files)))
    answers = iter(machine.run_beside([task for _, _, tasks in asked for task in tasks],
                                      arguments.jobs))
    results = []
    for case, solver, tasks in asked:
        if not tasks:
            continue
        result = result_of(case, solver, [row for _ in tasks for row in next(answers)])
        (target / f"{case['name']}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(f"{folder.name}/{case['name']}", flush=True)
        say(result)
        results.append(result)
    tables = "\n".join(f"## {result['title']}\n\n{table_of(result)}" for result in results)
    (target / "tables.md").write_text(tables)
    if arguments.update_docs:
        update_document(results)
    return list(check(expected, results)) if arguments.check else []

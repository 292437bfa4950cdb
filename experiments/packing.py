"""The experiment about addresses: how low arenas are packed and how fast, through `stint pack`, and
the tables that docs/planning.md shows of it."""

import json
import pathlib
import statistics
import subprocess
import time

import planning

ORDERS = ("WAT", "TAW", "TWA")  # The static orders that MiniMalloc tries.
REFERENCE_LIMIT_S = 120


def pack(stint, *source, flags=()):
    """One run of `stint pack`; its summary."""
    _, out = stint.run("pack", *source, "--output", "packed.csv", "--json", *flags)
    return json.loads(out)


def timed(commands):
    """Starts all commands at once; seconds until the first succeeds, or None. Ends the others."""
    begin = time.monotonic()
    running = [subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for command in commands]
    seconds = None
    while running and time.monotonic() - begin < REFERENCE_LIMIT_S:
        done = [process for process in running if process.poll() is not None]
        if any(process.returncode == 0 for process in done):
            seconds = time.monotonic() - begin
            break
        running = [process for process in running if process.poll() is None]
        time.sleep(0.0005)
    for process in running:
        process.kill()
        process.wait()
    return seconds


def reference_command(reference, path, capacity, folder, orders):
    return [reference, f"--input={path}", f"--output={folder / ('_'.join(orders) + '.csv')}",
            f"--capacity={capacity}", f"--preordering_heuristics={','.join(orders)}"]


def measure_blocks(stint, path, case, reference):
    """One CSV file: the packer, and beside it the reference raced and as shipped, in turns."""
    capacity = case.get("capacity_bytes")
    rows, wall, process_s, raced, shipped = [], [], [], [], []
    for _ in range(case["repetitions"]):
        begin = time.monotonic()
        rows.append(pack(stint, "--input", path))
        process_s.append(time.monotonic() - begin)
        wall.append(rows[-1]["wall_s"])
        if reference:
            commands = [reference_command(reference, path, capacity, stint.folder, [order])
                        for order in ORDERS]
            raced.append(timed(commands))
            shipped.append(timed([reference_command(reference, path, capacity, stint.folder,
                                                    ORDERS)]))
    answer = {"instance": path.name.split(".")[0], **rows[0], "wall_s": statistics.median(wall),
              "process_s": statistics.median(process_s)}
    if reference and None not in raced + shipped:
        answer["reference_raced_s"] = statistics.median(raced)
        answer["reference_shipped_s"] = statistics.median(shipped)
    return answer


def profile_of(stint, path, case):
    """A profile as it is, or the import of a foreign graph."""
    if not case.get("is_foreign"):
        return path
    stint.run("import", path, *case.get("import_flags", []), "--output", "imported.json.gz")
    return stint.folder / "imported.json.gz"


def measure_plans(stint, path, case, _):
    """A profile at some budgets: what plans keep when, packed again."""
    profile = profile_of(stint, path, case)
    rows = []
    for budget in case["budgets"]:
        limit = (["--time-limit", case["time_limit_s"]] if "time_limit_s" in case else
                 ["--work-limit", case["work_limit"]])
        code, _ = stint.run("plan", "--profile", profile, "--activation-budget", budget, "--solver",
                            case["solver"], *limit, "--json", "--output", "plan.json",
                            allowed=(0, 3, 4))
        name = path.name.split(".")[0]
        if code != 0:
            rows.append({"instance": name, "budget": budget, "has_plan": False})
            continue
        plan = stint.read("plan.json")
        rows.append({"instance": name, "budget": budget, "has_plan": True,
                     "arena_bytes": plan["arena_bytes"], "peak_bytes": plan["peak_bytes"],
                     **pack(stint, "--profile", profile, "--plan", "plan.json")})
    return rows


def summarise(case, rows):
    packed = [row for row in rows if row.get("has_plan", True)]
    limit = case.get("seconds", float("inf"))
    summary = {
        "row_count": len(rows),
        "packed_count": len(packed),
        "at_load_count": sum(row["height_bytes"] == row["load_bytes"] for row in packed),
        "proven_count": sum(row["is_proven_lowest"] for row in packed),
        "late_count": sum(row["wall_s"] > limit for row in packed),
        "worst_gap_percent": max((row["gap_percent"] for row in packed), default=None),
        "seconds": sum(row["wall_s"] for row in packed),
    }
    if packed and all("reference_raced_s" in row for row in packed):
        raced = sum(row["reference_raced_s"] for row in packed)
        summary["reference_raced_s"] = raced
        summary["reference_shipped_s"] = sum(row["reference_shipped_s"] for row in packed)
        summary["time_over_reference"] = sum(row["process_s"] for row in packed) / raced
    return summary


def measure_case(stint, case, files, reference):
    rows = []
    for path in files:
        if case["what"] == "blocks":
            rows.append(measure_blocks(stint, path, case, reference))
        else:
            rows += measure_plans(stint, path, case, reference)
    return {"case": case["name"], "title": case["title"], "what": case["what"], "rows": rows,
            "summary": summarise(case, rows)}


def proof_words(row):
    if row["height_bytes"] == row["load_bytes"]:
        return "lowest: the load"
    return "lowest: by search" if row["is_proven_lowest"] else f"gap {row['gap_percent']:.3f} %"


def row_cells(result, row):
    if result["what"] == "plans":
        cells = [row["instance"], row["budget"]]
        if not row["has_plan"]:
            return cells + ["no plan found"] + [""] * 5
        return cells + [str(row["block_count"]), str(row["peak_bytes"]), str(row["arena_bytes"]),
                        f"{100 * (row['arena_bytes'] / row['peak_bytes'] - 1):.3f}",
                        proof_words(row), f"{row['wall_s']:.3f}"]
    cells = [row["instance"], str(row["block_count"]), str(row["load_bytes"]),
             str(row["height_bytes"]), proof_words(row), f"{row['wall_s']:.4f}"]
    if "reference_raced_s" in row:
        cells += [f"{row['process_s']:.3f}", f"{row['reference_raced_s']:.3f}",
                  f"{row['reference_shipped_s']:.3f}"]
    return cells


def table_of(result):
    """The markdown table of a case, and a line that sums it up."""
    if result["what"] == "plans":
        heads = ["graph", "budget", "blocks", "most live bytes", "arena bytes", "arena above %",
                 "packing is", "s"]
    else:
        heads = ["instance", "blocks", "load", "height", "packing is", "s"]
        if "reference_raced_s" in result["summary"]:
            heads += ["whole process s", "MiniMalloc raced s", "MiniMalloc s"]
    lines = [heads, ["---"] * len(heads), *(row_cells(result, row) for row in result["rows"])]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    summary = result["summary"]
    verdict = (f"{summary['at_load_count']} of {summary['packed_count']} at the load, "
               f"{summary['proven_count']} proven lowest, {summary['seconds']:.3f} s together")
    if "time_over_reference" in summary:
        verdict += (f"; whole processes take {summary['time_over_reference']:.3f} of the time of "
                    "MiniMalloc with its three orders raced")
    return f"{text}\n\n{verdict}.\n"


def say(result):
    for row in result["rows"]:
        budget = row.get("budget", "")
        words = proof_words(row) if row.get("has_plan", True) else "no plan"
        seconds = f", {row['wall_s']:.3f} s" if "wall_s" in row else ""
        print(f"  {row['instance']:>28} {budget:>6}  {words}{seconds}", flush=True)


def run_cases(folder, config, expected, target, stint, arguments):
    """Measures all cases whose files are there; returns what is not as expected."""
    results = []
    reference = arguments.minimalloc and pathlib.Path(arguments.minimalloc).resolve()
    for case in config["quick" if arguments.quick else "full"]:
        if arguments.case not in (None, case["name"]):
            continue
        files, missing = planning.files_of(case, folder, arguments.instances)
        if missing:
            print(f"{folder.name}/{case['name']}: skipped, --instances lacks {', '.join(missing)}",
                  flush=True)
        if not files:
            continue
        print(f"{folder.name}/{case['name']}", flush=True)
        result = measure_case(stint, case, files, reference)
        (target / f"{case['name']}.json").write_text(json.dumps(result, indent=1) + "\n")
        say(result)
        results.append(result)
    if arguments.update_docs:
        text = planning.DOCUMENT.read_text()
        for result in results:
            text = planning.put_table(text, result["case"], table_of(result))
        planning.DOCUMENT.write_text(text)
    return list(planning.check(expected, results)) if arguments.check else []

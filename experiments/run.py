"""Runs the experiments: each folder beside this file is a question with its config.json and what the
answer must be, expected.json. Results go to results/<experiment>/, one file a case, with a
context.json that says where they come from. Exit 5: an answer is not as expected."""

import argparse
import datetime
import json
import pathlib
import platform
import shlex
import subprocess
import sys
import tempfile

import packing
import parity
import performance
import planning
import training
from machine import has_device

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
KINDS = {"planning": planning, "packing": packing,
         "parity": parity, "performance": performance,
         "training": training}  # By config.json's "kind"; else fidelity.
INFEASIBLE, UNKNOWN, CHECK_FAILED = 3, 4, 5  # Exit codes of stint that are answers.


class Stint:
    """The program, in a folder for its files."""

    def __init__(self, path, folder):
        self.path = path
        self.folder = folder

    def run(self, *arguments, allowed=(0,), cores=None):
        """Returns the exit code and what was printed; ends everything if it is not an answer."""
        pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
        done = subprocess.run([*pinned, self.path, *map(str, arguments)], cwd=self.folder,
                              stdout=subprocess.PIPE, text=True)
        if done.returncode not in allowed:
            sys.exit(f"run.py: exit {done.returncode}: {shlex.join(['stint', *map(str, arguments)])}")
        return done.returncode, done.stdout

    def read(self, name):
        return json.loads((self.folder / name).read_text())


def flatten(report, field):
    """One list over all phases, each body once."""
    return [value for phase in report["phases"] for part in ("prologue", "body", "epilogue")
            for value in phase[part][field]]


def absolute_starts(report):
    """Start of each instruction, phases after each other, each body once."""
    starts, base = [], 0
    for phase in report["phases"]:
        end = base
        for part in ("prologue", "body", "epilogue"):
            timeline = phase[part]
            shift = end - (timeline["start_ns"][0] if timeline["start_ns"] else 0)
            for start, duration in zip(timeline["start_ns"], timeline["duration_ns"]):
                starts.append(start + shift)
                end = max(end, start + shift + duration)
        base = end
    return starts


def measure_budget(stint, case, budget):
    """One budget of one case: plan, simulate, run, compare."""
    flag = "--activation-budget" if budget.endswith("%") else "--budget"
    code, out = stint.run("plan", "--profile", "profile.json", flag, budget, "--solver",
                          case["solver"], "--work-limit", case["work_limit"], "--json",
                          "--output", "plan.json", allowed=(0, INFEASIBLE, UNKNOWN))
    plan = json.loads(out)
    answer = {"budget": budget, **plan}
    if code != 0:
        return answer
    stint.run("simulate", "--profile", "profile.json", "--plan", "plan.json", "--output",
              "predicted.json")
    verify = ["--verify"] if case["is_verified"] else []
    stint.run("run", "--profile", "profile.json", "--plan", "plan.json", "--weights", "seed:0",
              "--inputs", "seed:1", "--iterations", case["iteration_count"], *verify, "--output",
              "measured.json", allowed=(0, CHECK_FAILED))
    _, out = stint.run("report", "--predicted", "predicted.json", "--measured", "measured.json",
                       "--json", allowed=(0, CHECK_FAILED))
    comparison = json.loads(out)
    predicted, measured = stint.read("predicted.json"), stint.read("measured.json")
    answer.update(comparison)
    answer["peak_off_bytes"] = comparison["measured_peak_bytes"] - comparison["predicted_peak_bytes"]
    answer["arena_off_bytes"] = (comparison["measured_arena_bytes"]
                                 - comparison["predicted_arena_bytes"])
    answer["time_ratio"] = (comparison["measured_duration_ns"]
                            / max(1, comparison["predicted_duration_ns"]))
    answer["timeline"] = {
        "start_ns": absolute_starts(predicted),
        "predicted_bytes": flatten(predicted, "peak_bytes"),
        "measured_bytes": flatten(measured, "peak_bytes"),
    }
    return answer


def measure_case(program, case):
    """Compares prediction and measurement for each budget of a case."""
    with tempfile.TemporaryDirectory() as folder:
        stint = Stint(program, pathlib.Path(folder))
        stint.run("profile", *case["workload"], "--device", case["device"], "--output",
                  "profile.json")
        device = stint.read("profile.json")["device"]["name"]
        runs = [measure_budget(stint, case, budget) for budget in case["budgets"]]
    return {"case": case["name"], "device": device, "runs": runs}


def words(*command):
    """What a command prints, or None where there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def compiler_of(program):
    """The first line that the compiler of the build says of itself."""
    for folder in program.parents:
        cache = folder / "CMakeCache.txt"
        if cache.exists():
            for line in cache.read_text().splitlines():
                if line.startswith("CMAKE_CXX_COMPILER:"):
                    return (words(line.partition("=")[2], "--version") or "").partition("\n")[0]
    return None


def describe_context(program, command_line):
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": words("git", "rev-parse", "HEAD"),
        "is_dirty": bool(words("git", "status", "--porcelain")),
        "compiler": compiler_of(program),
        "machine": platform.platform(),
        "gpu_and_driver": words("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"),
        "stint": words(str(program), "--version"),
        "weights": "seed:0",
        "inputs": "seed:1",
        "command_line": shlex.join(command_line),
    }


def misses(rules, name, run):
    """Yields what in one run is not as expected."""
    for field, rule in rules.items():
        value = run.get(field)
        if value is None:
            yield f"{name}: {field} is missing"
        elif "equals" in rule and value != rule["equals"]:
            yield f"{name}: {field} is {value}, not {rule['equals']}"
        elif value < rule.get("min", value) or value > rule.get("max", value):
            yield f"{name}: {field} is {value}, not in [{rule.get('min', '')}, {rule.get('max', '')}]"


def check(expected, results):
    """Yields what is not as expected: which budgets have a plan, and what was measured."""
    for result in results:
        statuses = expected["has_plan"][result["case"]]
        for run in result["runs"]:
            name = f"{result['case']} at {run['budget']}"
            has_plan = run["status"] in ("optimal", "feasible")
            if has_plan != statuses[run["budget"]]:
                yield f"{name}: {run['status']}"
            if has_plan:
                yield from misses(expected["each_run"], name, run)


def say(result):
    for run in result["runs"]:
        if "timeline" not in run:
            print(f"  {run['budget']:>6}  {run['status']}, needs {run['min_budget_bytes']} B")
            continue
        print(f"  {run['budget']:>6}  arena {run['measured_arena_bytes']} B, "
              f"{run['arena_off_bytes']} B off, time x{run['time_ratio']:.3f} of the prediction, "
              f"{run['recomputed_op_count']} ops recomputed", flush=True)


def run_experiment(folder, arguments, program):
    """Returns what is not as expected."""
    config = json.loads((folder / "config.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())
    target = arguments.results / folder.name
    target.mkdir(parents=True, exist_ok=True)
    if config.get("kind") in KINDS:
        return run_in_folder(folder, config, expected, target, arguments, program)
    results = []
    for case in config["quick" if arguments.quick else "full"]:
        if not has_device(case["device"]):
            print(f"{folder.name}/{case['name']}: skipped, there is no {case['device']}", flush=True)
            continue
        print(f"{folder.name}/{case['name']}", flush=True)
        result = measure_case(program, case)
        (target / f"{case['name']}.json").write_text(json.dumps(result, indent=1) + "\n")
        say(result)
        results.append(result)
    write_context(target, program)
    return list(check(expected, results)) if arguments.check else []


def write_context(target, program):
    context = describe_context(program, sys.argv)
    (target / "context.json").write_text(json.dumps(context, indent=1) + "\n")


def run_in_folder(folder, config, expected, target, arguments, program):
    with tempfile.TemporaryDirectory() as temporary:
        stint = Stint(program, pathlib.Path(temporary))
        missed = KINDS[config["kind"]].run_cases(folder, config, expected, target, stint,
                                                 arguments)
    write_context(target, program)
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NN", help="only the experiment whose folder begins so")
    parser.add_argument("--quick", action="store_true", help="small cases: minutes on a CPU")
    parser.add_argument("--check", action="store_true", help="compare with expected.json")
    parser.add_argument("--stint", type=pathlib.Path, default=ROOT / "build/cpu/cli/stint",
                        help="the program (default: build/cpu/cli/stint)")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "results",
                        help="where results go (default: results)")
    parser.add_argument("--instances", type=pathlib.Path, metavar="DIR",
                        help="third-party instances: folders moccasin, dtr, sd, minimalloc")
    parser.add_argument("--minimalloc", metavar="PROGRAM",
                        help="a build of MiniMalloc, to run beside in experiment 03")
    parser.add_argument("--case", metavar="NAME", help="only this case of experiment 03")
    parser.add_argument("--cases", metavar="NAMES", type=lambda names: names.split(","),
                        help="of experiments 02, 04, 05 and 06 only these, with commas between")
    parser.add_argument("--solver", metavar="NAME", help="instead of the one in config.json")
    parser.add_argument("--no-rivals", action="store_true",
                        help="of experiment 02 no other solvers' plans: minutes instead of hours")
    parser.add_argument("--baselines", action="store_true",
                        help="in experiment 04 the same steps in PyTorch, too (needs diffusers)")
    parser.add_argument("--jobs", metavar="N", type=int, default=1,
                        help="so many plans of experiments 02 and 04 at once, on two cores each")
    parser.add_argument("--plan-time", metavar="SECONDS", type=float,
                        help="of experiment 06: wall clock for each plan, instead of the one in "
                             "config.json")
    parser.add_argument("--update-docs", action="store_true",
                        help="write the tables of experiments 02 to 06 into docs/")
    arguments = parser.parse_args()
    arguments.instances = arguments.instances and arguments.instances.resolve()
    program = arguments.stint.resolve()
    if not program.exists():
        parser.error(f"--stint: there is no {program}")
    folders = [path.parent for path in sorted(HERE.glob("[0-9][0-9]_*/config.json"))
               if path.parent.name.startswith(arguments.only or "")]
    if not folders:
        parser.error(f"--only: there is no experiment {arguments.only}")
    missed = [miss for folder in folders for miss in run_experiment(folder, arguments, program)]
    for miss in missed:
        print(f"run.py: {miss}", file=sys.stderr)
    sys.exit(CHECK_FAILED if missed else 0)


if __name__ == "__main__":
    main()

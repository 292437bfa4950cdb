"""The experiment about training: what `stint train` takes and how fast it is within a budget, what
saving costs, that a run killed and resumed under other budgets ends with the same bytes, and its loss curve beside that
of diffusers. Writes the tables and the curve that docs/train.md shows."""

import csv
import filecmp
import importlib.util
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import time

import machine
import parity
import planning

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs/train.md"
CAPTIONS = ["a red boat", "Ünïcödé & 7 sails!", "fog over a harbour", "two blue chairs"]
SEED = 3
WARM_UP = 5  # Steps.
GIB = 2**30


class Workshop:
    """The folder of an experiment: models, pictures, profiles and plans, each made once."""

    def __init__(self, stint, config, cases, plan_time_s=None):
        self.stint = stint
        self.folder = stint.folder
        self.asked_plan_time_s = plan_time_s
        self.models = config["models"]
        self.peaks = {}
        self.begin = time.monotonic()
        names = sorted({name for case in cases for name in models_of(case)})
        # Real weights take a minute each, and a core or two: all at once.
        self.making = {name: self.popen("make-weights", *self.models[name], "--output", name)
                       for name in names}

    def popen(self, *arguments):
        return subprocess.Popen([self.stint.path, *map(str, arguments)], cwd=self.folder,
                                stdout=subprocess.DEVNULL)

    def say(self, words):
        print(f"  {time.monotonic() - self.begin:6.1f} s  {words}", flush=True)

    def model(self, name):
        making = self.making.pop(name, None)
        if making is not None and making.wait() != 0:
            raise SystemExit(f"run.py: stint make-weights --output {name} failed")
        return name

    def close(self):
        """Ends what nobody waited for."""
        for making in self.making.values():
            making.kill()
            making.wait()

    def pictures(self, made):
        """A folder of captioned pictures that `stint generate` painted, and (path, caption) of
        each."""
        name = f"pictures-{made['size']}"
        folder = self.folder / name
        if not folder.exists():
            self.model(made["model"])
            folder.mkdir()
            for i in range(made["count"] // made["batch"]):
                caption = CAPTIONS[i % len(CAPTIONS)]
                self.stint.run("generate", "--model", made["model"], "--prompt", caption, "--seed",
                               i, "--batch", made["batch"], "--size", made["size"], "--steps",
                               made["steps"], *made["flags"], "--cache", "cache", "--output",
                               f"{name}/{i:02}.png")
            for path in folder.glob("*.png"):
                caption = CAPTIONS[int(path.name[:2]) % len(CAPTIONS)]
                path.with_suffix(".txt").write_text(caption)
            self.say(f"{made['count']} pictures of {made['size']}")
        return name, [(path, path.with_suffix(".txt").read_text())
                      for path in sorted(folder.glob("*.png"))]

    def train_flags(self, case, run, budget):
        """Of `stint train` into the folder `run`, within `budget` ("none", "6GiB", or "85%" of
        what it takes without one)."""
        data, _ = self.pictures(case["pictures"])
        flags = ["--model", self.model(case["model"]), "--data", data, "--data-cache", "encoded",
                 "--cache", "cache", "--seed", SEED, "--device", case["device"], *case["flags"]]
        for key in ("batch", "learning_rate"):
            if key in case:
                flags += [f"--{key.replace('_', '-')}", case[key]]
        if budget.endswith("%"):
            budget = f"{int(self.peak_bytes(flags) * float(budget[:-1]) / 100)}B"
        if budget != "none":
            flags += ["--budget", budget, "--plan-time",
                      self.asked_plan_time_s or case["plan_time_s"]]
        return [*flags, "--output", run]

    def peak_bytes(self, flags):
        """What a run takes without a budget."""
        key = str(flags)
        if key not in self.peaks:
            free = self.train_to_end([*flags, "--steps", 1], "free")
            self.peaks[key] = free["predicted_peak_bytes"]
            shutil.rmtree(self.folder / "free")
        return self.peaks[key]

    def train_to_end(self, flags, run=None):
        """The summary of a run."""
        output = ["--output", run] if run else []
        return json.loads(self.stint.run("train", *flags, *output, "--json")[1])

    def metrics(self, run):
        path = self.folder / run / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


def models_of(case):
    return [row["model"] for row in case.get("rows", [case])] + [case["pictures"]["model"]]


def arena_off_bytes(summary):
    return summary["measured_arena_bytes"] - summary["predicted_arena_bytes"]


def is_off(summary):
    """Whether a run took other memory than predicted, by a byte."""
    return (arena_off_bytes(summary) != 0
            or summary["measured_peak_bytes"] != summary["predicted_peak_bytes"])


def mean(values):
    return sum(values) / len(values)


def summarise_rows(rows):
    return {"row_count": len(rows), "off_count": sum(map(is_off, rows)),
            "over_budget_count": sum(row["process_bytes"] > row["budget_bytes"] for row in rows),
            "unfinished_count": sum(not row["is_finished"] for row in rows),
            # A NaN is not below anything.
            "bad_loss_count": sum(not row["last_loss"] < 10 for row in rows)}


def measure_rows(work, case):
    rows = []
    for row in case["rows"]:
        asked = {**case, **row}
        flags = work.train_flags(asked, "run", row["budget"])
        summary = work.train_to_end([*flags, "--steps", row["steps"], "--checkpoint-every",
                                     row["steps"]])
        losses = [line["loss"] for line in work.metrics("run")]
        tenth = max(1, len(losses) // 10)
        rows.append({**row, **summary, "first_loss": mean(losses[:tenth]),
                     "last_loss": mean(losses[-tenth:])})
        shutil.rmtree(work.folder / "run")
        work.say(f"{row['label']}: {summary['steps_per_s']:.2f} steps/s, loss "
                 f"{rows[-1]['first_loss']:.4f} to {rows[-1]['last_loss']:.4f}")
    return {"rows": rows, "summary": summarise_rows(rows)}


def measure_resume(work, case):
    """Straight at one budget; killed at another after it saved; gone on with at a third."""
    steps, every = case["steps"], case["checkpoint_every"]
    straight_budget, killed_budget, resumed_budget = case["budgets"]
    last, first = f"checkpoint-{steps:08}.pth", f"checkpoint-{every:08}.pth"
    summaries = [work.train_to_end([*work.train_flags(case, "straight", straight_budget),
                                    "--steps", steps, "--checkpoint-every", steps])]
    # More steps than it will live to do: whatever it does, it is killed in the middle of it.
    killed = work.popen("train", *work.train_flags(case, "killed", killed_budget), "--steps",
                        1000000, "--checkpoint-every", every, "--keep", 1000)
    while not (work.folder / "killed" / first).exists():
        if killed.poll() is not None:
            raise SystemExit("run.py: the run that was to be killed ended by itself")
        time.sleep(0.002)
    killed.kill()
    killed.wait()
    killed_after = len(work.metrics("killed"))
    summaries.append(work.train_to_end([*work.train_flags(case, "killed", resumed_budget),
                                        "--steps", steps, "--checkpoint-every", steps, "--resume",
                                        f"killed/{first}"]))
    a, b = (work.folder / run / last for run in ("straight", "killed"))
    is_equal = filecmp.cmp(a, b, shallow=False)
    losses = [[line["loss"] for line in work.metrics(run)] for run in ("straight", "killed")]
    row = {"budgets": case["budgets"], "killed_after": killed_after, "resumed_from": every,
           "steps": steps, "state_bytes": a.stat().st_size, "is_equal": is_equal,
           "has_equal_losses": losses[0] == losses[1]}
    for run in ("straight", "killed"):
        shutil.rmtree(work.folder / run)
    work.say(f"killed after step {killed_after}, went on from step {every}: "
             f"{'the same bytes' if is_equal else 'OTHER BYTES'}")
    return {"rows": [row], "summary": {
        "is_equal": is_equal, "has_equal_losses": row["has_equal_losses"],
        "off_count": sum(map(is_off, summaries))}}


def curve_of_diffusers(*arguments):
    """In a process of its own; see diffusers_training.loss_curve."""
    import diffusers_training
    return diffusers_training.loss_curve(*arguments)


def measure_curve(work, case):
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # For both: float32 is to be float32 on a GPU, too.
    flags = work.train_flags(case, "run", case["budget"])
    summary = work.train_to_end([*flags, "--steps", case["steps"], "--checkpoint-every",
                                 case["steps"]])
    lines = work.metrics("run")
    shutil.rmtree(work.folder / "run")
    work.say(f"{len(lines)} steps of Stint, {summary['steps_per_s']:.2f} steps/s")
    _, pictures = work.pictures(case["pictures"])
    reference = parity.run_apart(curve_of_diffusers, work.folder / case["model"], pictures, SEED,
                                 case["steps"], case["batch"], case["learning_rate"],
                                 case["device"])
    os.environ.pop("NVIDIA_TF32_OVERRIDE")
    rows = curve_rows(lines, reference)
    result = {**summarise_curve(rows), "off_count": int(is_off(summary))}
    work.say(f"{len(rows)} steps of diffusers, largest relative difference "
             f"{result['max_relative_difference']:.1e}")
    return {"rows": rows, "summary": result, "train": summary}


def curve_rows(lines, reference):
    return [{"step": line["step"], "stint": line["loss"], "diffusers": loss,
             "relative_difference": abs(line["loss"] - loss) / loss}
            for line, (loss, _) in zip(lines, reference, strict=True)]


def summarise_curve(rows):
    losses = [row["stint"] for row in rows]
    differences = [row["relative_difference"] for row in rows]
    return {"step_count": len(rows),
            # A NaN is larger than anything.
            "max_relative_difference": (max(differences) if all(map(math.isfinite, differences))
                                        else math.inf),
            # A curve that hardly moves would lie on any other.
            "loss_spread": (max(losses) - min(losses)) / mean(losses)}


def step_times(lines):
    """Seconds from each step's end to the next one's. Metrics say how fast steps are of late: a
    mean of which a tenth is new in each step (trainer/train.cc)."""
    means = [1 / line["steps_per_s"] for line in lines if line["steps_per_s"] > 0]
    return means[:1] + [10 * now - 9 * before for before, now in zip(means, means[1:])]


def measure_saves(work, case):
    """The same run with states saved more and more often."""
    rows = []
    for every in case["checkpoint_every"]:
        summary = work.train_to_end([*work.train_flags(case, "run", case["budget"]), "--steps",
                                     case["steps"], "--checkpoint-every", every])
        lines = work.metrics("run")
        # The first steps load libraries and capture graphs, and nothing runs beside the last save.
        times = step_times(lines[:-1])[WARM_UP:]
        waits = [line["save_wait_s"] for line in lines[:-1] if "save_wait_s" in line]
        rows.append({"every": every, "save_count": len(waits),
                     "due_count": (case["steps"] - 1) // every, "wait_s": sum(waits),
                     "snapshot_bytes": summary["snapshot_bytes"], "mean_s": mean(times),
                     "median_s": statistics.median(times), "longest_s": max(times)})
        shutil.rmtree(work.folder / "run")
        work.say(f"{len(waits)} saves: {1000 * rows[-1]['mean_s']:.1f} ms a step, of which "
                 f"{1000 * sum(waits) / len(lines):.1f} ms waiting for the disk")
    return {"rows": rows, "summary": {
        "row_count": len(rows),
        "wrong_save_count": sum(row["save_count"] != row["due_count"] for row in rows),
        "rare_saves_slowdown": rows[1]["mean_s"] / rows[0]["mean_s"]}}


def join(heads, lines):
    return "\n".join(f"| {' | '.join(cells)} |"
                     for cells in [heads, ["---" for _ in heads], *lines]) + "\n"


def table_of_rows(result):
    on_device = result["device"] != "cpu"
    return join(["what", "budget", "steps/s", "arena bytes", "off bytes", "host GiB", "loss, first",
                 "last", *(["process GiB"] if on_device else [])],
                [[row["label"], row["budget"], f"{row['steps_per_s']:.2f}",
                  str(row["measured_arena_bytes"]), str(arena_off_bytes(row)),
                  f"{row['host_bytes'] / GIB:.2f}", f"{row['first_loss']:.4f}",
                  f"{row['last_loss']:.4f}",
                  *([f"{row['process_bytes'] / GIB:.2f}"] if on_device else [])]
                 for row in result["rows"]])


def table_of_resume(result):
    return join(["straight within", "killed within", "after step", "went on within", "from step",
                 "to step", "bytes of the state", "equal"],
                [[row["budgets"][0], row["budgets"][1], str(row["killed_after"]),
                  row["budgets"][2], str(row["resumed_from"]), str(row["steps"]),
                  str(row["state_bytes"]), "yes" if row["is_equal"] else "no"]
                 for row in result["rows"]])


def table_of_curve(result):
    table = join(["steps", "Stint's loss, first", "last", "diffusers', first", "last",
                  "largest relative difference", "within"],
                 [[str(len(result["rows"])), f"{result['rows'][0]['stint']:.6f}",
                   f"{result['rows'][-1]['stint']:.6f}", f"{result['rows'][0]['diffusers']:.6f}",
                   f"{result['rows'][-1]['diffusers']:.6f}",
                   f"{result['summary']['max_relative_difference']:.1e}", result["budget"]]])
    return f"{table}\n{result['figure']}\n" if result.get("figure") else table


def table_of_saves(result):
    return join(["saves", "every so many steps", "GiB of each", "ms a step, mean", "median",
                 "longest", "s waited for the disk"],
                [[str(row["save_count"]), str(row["every"]) if row["save_count"] else "-",
                  f"{row['snapshot_bytes'] / GIB:.3f}",
                  *(f"{1000 * row[key]:.1f}" for key in ("mean_s", "median_s", "longest_s")),
                  f"{row['wait_s']:.2f}"] for row in result["rows"]])


KINDS = {"rows": (measure_rows, table_of_rows), "saves": (measure_saves, table_of_saves), "resume": (measure_resume, table_of_resume),
         "curve": (measure_curve, table_of_curve)}


def write_curve(result, path):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(result["rows"][0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(result["rows"])


def draw_curve(result, path):
    """Returns how a document beside it shows it; nothing where there is no matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        print("  no matplotlib: the curve is not drawn", flush=True)
        return ""
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = result["case"]  # The same file from the same numbers.
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(figsize=(7, 3))
    steps = [row["step"] for row in result["rows"]]
    axes.plot(steps, [row["diffusers"] for row in result["rows"]], color="tab:orange", linewidth=4,
              alpha=0.5, label="diffusers")
    axes.plot(steps, [row["stint"] for row in result["rows"]], color="black", linewidth=1,
              label="Stint")
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return f"![Loss of each step]({path.name})"


def update_document(result):
    if result["what"] == "curve":
        result["figure"] = draw_curve(result, DOCUMENT.parent / f"{result['case']}.svg")
    table = f"{KINDS[result['what']][1](result)}\n{result['title']}; {result['versions']}.\n"
    DOCUMENT.write_text(planning.put_table(DOCUMENT.read_text(), result["case"], table))


def run_cases(folder, config, expected, target, stint, arguments):
    """Measures all cases; returns what is not as expected."""
    if importlib.util.find_spec("diffusers") is None:
        print(f"{folder.name}: skipped, there is no diffusers", flush=True)
        return []
    cases = [case for case in config["quick" if arguments.quick else "full"]
             if not arguments.cases or case["name"] in arguments.cases]
    for case in [case for case in cases if not machine.has_device(case["device"])]:
        print(f"{folder.name}/{case['name']}: skipped, there is no {case['device']}", flush=True)
        cases.remove(case)
    work = Workshop(stint, config, cases, arguments.plan_time)
    results = []
    try:
        for case in cases:
            print(f"{folder.name}/{case['name']}", flush=True)
            measured = KINDS[case["what"]][0](work, case)
            result = {**case, **measured, "case": case["name"], "versions": parity.versions()}
            (target / f"{case['name']}.result.json").write_text(json.dumps(result, indent=1) + "\n")
            if case["what"] == "curve":
                write_curve(result, target / f"{case['name']}.csv")
            if arguments.update_docs:  # At once: what ends later may not.
                update_document(result)
            results.append(result)
    finally:
        work.close()
    return list(planning.check(expected, results)) if arguments.check else []

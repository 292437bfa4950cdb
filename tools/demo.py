"""Plans real Stable Diffusion 1.5 steps under a budget, runs them, and compares what was predicted
with what was measured. The last thing it prints is one table; see README.md."""

import argparse
import dataclasses
import json
import pathlib
import shlex
import subprocess
import sys


@dataclasses.dataclass
class Step:
    title: str
    name: str  # Of its files under results/demo/.
    workload: list[str]  # Flags of `stint profile`.
    budgets: list[str]  # Of the activations: what a plan that keeps everything takes is 100 %.


SMALL_IMAGE = ["--batch", "1", "--height", "256", "--width", "256", "--dtype", "float32"]
CPU_STEPS = [
    Step("LoRA training step", "train_lora",
         ["--model", "sd15-unet", "--task", "train-lora", "--lora-rank", "4", *SMALL_IMAGE], ["70%"]),
    Step("denoising step", "denoise",
         ["--model", "sd15-unet", "--task", "denoise", *SMALL_IMAGE], ["95%"]),
]
GPU_STEPS = [
    Step("full fine-tuning step", "train",
         ["--model", "sd15-unet", "--task", "train", "--batch", "4", "--height", "512", "--width",
          "512", "--dtype", "bfloat16"], ["70%", "50%"]),
]


def stint(program, *arguments):
    command = [str(program), *map(str, arguments)]
    print(f"\n$ {shlex.join(['stint', *command[1:]])}", flush=True)
    done = subprocess.run(command)
    if done.returncode != 0:
        sys.exit(done.returncode)


def gibibytes(size_bytes):
    return f"{size_bytes / 2**30:.3f} GiB"


def seconds(duration_ns):
    return f"{duration_ns / 1e9:.3f} s"


def run_step(program, device, step, results):
    """Yields the step's name and its plan and reports, one for each budget."""
    profile = results / f"{step.name}.profile.json.gz"
    stint(program, "profile", *step.workload, "--device", device, "--output", profile)
    for budget in step.budgets:
        stem = f"{step.name}_{budget.rstrip('%')}"
        files = {noun: results / f"{stem}.{noun}.json" for noun in ("plan", "predicted", "measured")}
        stint(program, "plan", "--profile", profile, "--activation-budget", budget,
              "--output", files["plan"])
        stint(program, "simulate", "--profile", profile, "--plan", files["plan"],
              "--output", files["predicted"])
        stint(program, "run", "--profile", profile, "--plan", files["plan"], "--weights", "seed:0",
              "--inputs", "seed:1", "--verify", "--output", files["measured"])
        stint(program, "report", "--plan", files["plan"], "--predicted", files["predicted"],
              "--measured", files["measured"])
        nouns = {noun: json.loads(path.read_text()) for noun, path in files.items()}
        yield f"{step.title}, {budget}", nouns["plan"], nouns["predicted"], nouns["measured"]


def column(title, plan, predicted, measured):
    """One column of the table, and whether all that is promised was kept."""
    verification = measured["verification"]
    compared = sum(verification[f"{what}_count"] for what in ("output", "gradient", "weight"))
    is_equal = compared > 0 and not verification["differing"]
    foreign = len(measured["served"]["foreign"])
    is_within = plan["overhead_bytes"] + measured["arena_bytes"] <= plan["made_from"]["budget_bytes"]
    is_as_predicted = (measured["peak_bytes"] == predicted["peak_bytes"]
                       and measured["arena_bytes"] == predicted["arena_bytes"])
    cells = {
        "": title,
        "keep-all peak": gibibytes(plan["keep_all_peak_bytes"]),
        "budget": gibibytes(plan["made_from"]["budget_bytes"]),
        "of it outside the arena": gibibytes(plan["overhead_bytes"]),
        "predicted peak": gibibytes(predicted["peak_bytes"]),
        "measured peak": gibibytes(measured["peak_bytes"]),
        "difference": f"{measured['peak_bytes'] - predicted['peak_bytes']} bytes",
        "predicted arena": gibibytes(predicted["arena_bytes"]),
        "measured arena": gibibytes(measured["arena_bytes"]),
        "budget kept": "yes" if is_within else "NO",
        "foreign requests": str(foreign),
        "predicted time": seconds(predicted["duration_ns"]),
        "measured time": seconds(measured["duration_ns"]),
        "ops recomputed": str(predicted["recomputed_op_count"]),
        "results equal, bitwise": f"{compared} of {compared}" if is_equal else
                                  f"NO: {len(verification['differing'])} of {compared} differ",
    }
    return cells, is_equal and is_within and is_as_predicted and foreign == 0


def print_table(columns):
    widths = [max(map(len, columns[0]))]
    widths += [max(map(len, cells.values())) for cells in columns]
    for label in columns[0]:
        row = [label.ljust(widths[0])]
        row += [cells[label].rjust(width) for cells, width in zip(columns, widths[1:])]
        print("  ".join(row))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stint", type=pathlib.Path, required=True, help="the program")
    parser.add_argument("--device", default="cpu", help="cpu or cuda:0")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("results/demo"))
    flags = parser.parse_args()
    flags.output.mkdir(parents=True, exist_ok=True)

    steps = CPU_STEPS if flags.device == "cpu" else GPU_STEPS
    columns, promises = zip(*(column(*run) for step in steps
                              for run in run_step(flags.stint, flags.device, step, flags.output)))
    print()
    print_table(columns)
    if not all(promises):
        print("\nA promise was not kept: see above.", file=sys.stderr)
        sys.exit(5)


if __name__ == "__main__":
    main()

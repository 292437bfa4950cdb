"""Fails if a folder includes another that it may not know: run in the root of the repository."""

import pathlib
import re
import sys

LIBRARIES = {"ir", "files", "planner", "simulator", "dispatch", "kernels", "models", "profiler",
             "executor", "trainer"}
MAY_INCLUDE = {
    "ir": set(),
    "files": {"ir"},
    "planner": {"ir"},
    "simulator": {"ir"},
    "dispatch": {"ir"},
    "kernels": set(),
    "models": {"ir", "files", "dispatch", "kernels"},
    "profiler": {"ir", "dispatch"},
    "executor": {"ir", "dispatch"},
    "trainer": {"ir", "files", "dispatch", "models", "executor"},
    "cli": LIBRARIES,
}

is_clean = True
for folder, allowed in MAY_INCLUDE.items():
    for path in sorted(pathlib.Path(folder).rglob("*.*")):
        if path.suffix not in {".h", ".cc", ".cu", ".cuh"}:
            continue
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            included = re.match(r'\s*#\s*include\s+"(\w+)/', line)
            if included and included[1] not in allowed | {folder}:
                print(f"{path}:{number}: {folder}/ may not include {included[1]}/")
                is_clean = False
sys.exit(0 if is_clean else 1)

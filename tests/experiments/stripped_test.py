"""Notebooks carry no outputs: figures come from running them."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
if not notebooks:
    sys.exit("there are no notebooks")
for path in notebooks:
    for number, cell in enumerate(json.loads(path.read_text())["cells"]):
        if cell.get("outputs") or cell.get("execution_count") is not None:
            sys.exit(f"{path}: cell {number} has outputs: strip them")

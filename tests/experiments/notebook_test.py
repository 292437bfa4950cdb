"""Runs a notebook from top to bottom, as a reader would; the file stays as it is."""

import pathlib
import sys

import nbclient
import nbformat

path = pathlib.Path(sys.argv[1])
notebook = nbformat.read(path, as_version=4)
nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3",
                        resources={"metadata": {"path": path.parent}}).execute()
figures = sum("image/png" in output.get("data", {}) for cell in notebook.cells
              for output in cell.get("outputs", []))
if figures < 2:
    sys.exit(f"{path}: drew {figures} figures")

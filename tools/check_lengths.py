"""Fails if a source file is too long, too many files compile LibTorch, or a file names a place that
only one machine has: run in the root of the repository."""

import os
import pathlib
import re
import sys

MAX_LINES = 600
MAX_TORCH_FILES = 69  # Outside of tests/. Each takes 20 s and more to compile; each model is one.
MAX_TORCH_TESTS = 26
SOURCES = {".h", ".cc", ".cu", ".cuh", ".py", ".sh", ".cmake"}
GENERATED = {".git", ".venv", "build", "results", "__pycache__", "shared"}
INCLUDE = re.compile(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(work|root|home)/\w")


def text_files():
    for folder, names, files in os.walk("."):
        names[:] = sorted(name for name in names if name not in GENERATED)
        for name in sorted(set(files) - GENERATED):
            path = pathlib.Path(folder, name)
            try:
                yield path, path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, FileNotFoundError):  # A binary; a dangling link.
                continue


def has_torch(path, includes, seen):
    """Whether `path` includes LibTorch, itself or through a header of ours."""
    if path.startswith(("torch/", "ATen/", "c10/")):
        return True
    if path in seen or path not in includes:
        return False
    return any(has_torch(header, includes, seen | {path}) for header in includes[path])


complaints = []
includes = {}
for path, text in text_files():
    line_count = text.count("\n")
    if path.suffix in SOURCES and line_count > MAX_LINES:
        complaints.append(f"{path}: {line_count} lines, more than {MAX_LINES}")
    if path.suffix in SOURCES:
        includes[str(path)] = INCLUDE.findall(text)
    for match in MACHINE_PATH.finditer(text):
        number = text.count("\n", 0, match.start()) + 1
        complaints.append(f"{path}:{number}: names a folder of one machine")
compiled = [path for path in includes
            if path.endswith(".cc") and has_torch(path, includes, frozenset())]
tests = [path for path in compiled if path.startswith("tests/")]
for files, limit in ((sorted(set(compiled) - set(tests)), MAX_TORCH_FILES), (tests, MAX_TORCH_TESTS)):
    if len(files) > limit:
        complaints.append(f"{len(files)} files include LibTorch, more than {limit}: "
                          + " ".join(files))
print("\n".join(complaints))
sys.exit(1 if complaints else 0)

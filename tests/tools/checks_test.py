"""The checks of tools/ find what they are there to find."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"


class ChecksTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def complaints(self, check):
        run = subprocess.run([sys.executable, TOOLS / check], cwd=self.root, text=True,
                             stdout=subprocess.PIPE)
        self.assertEqual(run.returncode, 1 if run.stdout.strip() else 0)
        return run.stdout.strip()

    def test_layers_allow_the_folder_itself_and_those_below(self):
        self.write("planner/x.cc", '#include "planner/x.h"\n#include "ir/plan.h"\n')
        self.assertEqual(self.complaints("check_layers.py"), "")

    def test_layers_name_the_line_that_knows_too_much(self):
        self.write("planner/x.cc", '#include <vector>\n#include "simulator/simulator.h"\n')
        self.assertEqual(self.complaints("check_layers.py"),
                         "planner/x.cc:2: planner/ may not include simulator/")

    def test_lengths_allow_600_lines(self):
        self.write("ir/x.cc", "\n" * 600)
        self.assertEqual(self.complaints("check_lengths.py"), "")

    def test_lengths_refuse_601_lines(self):
        self.write("ir/x.cc", "\n" * 601)
        self.assertEqual(self.complaints("check_lengths.py"), "ir/x.cc: 601 lines, more than 600")

    def test_lengths_refuse_one_file_with_libtorch_too_many(self):
        limit = int(re.search(r"^MAX_TORCH_FILES = (\d+)", (TOOLS / "check_lengths.py").read_text(),
                              re.MULTILINE)[1])
        for number in range(limit):
            self.write(f"models/x{number}.cc", "#include <ATen/ATen.h>\n")
        self.assertEqual(self.complaints("check_lengths.py"), "")
        self.write("models/y.cc", '#include "models/y.h"\n')
        self.write("models/y.h", "#include <ATen/ATen.h>\n")
        self.assertIn(f"{limit + 1} files include LibTorch, more than {limit}",
                      self.complaints("check_lengths.py"))

    def test_lengths_refuse_folders_of_one_machine(self):
        self.write("docs/x.md", "see\n" + "/".join(["", "root", "notes"]))
        self.assertEqual(self.complaints("check_lengths.py"),
                         "docs/x.md:2: names a folder of one machine")


if __name__ == "__main__":
    unittest.main()

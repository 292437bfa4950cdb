"""What tests of `stint train` share: a run through the command line, killed and resumed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

import numpy
import torch
from PIL import Image

STINT = sys.argv[1]
SEED = 3
PICTURE_COUNT = 5
torch.set_num_threads(1)


def make_pictures(folder, sizes=((64, 64),) * PICTURE_COUNT):
    folder.mkdir()
    numbers = numpy.random.default_rng(0)
    for i, size in enumerate(sizes):
        coarse = numbers.integers(0, 256, (8, 8, 3), dtype=numpy.uint8)
        Image.fromarray(coarse).resize(size, Image.BICUBIC).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text(f"picture number {i}\n")


class TrainCase(unittest.TestCase):
    """A tiny model and its pictures, shared by all tests of a class; a folder for each test."""

    size = "64x64"

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.shared.cleanup)
        cls.root = pathlib.Path(cls.shared.name)
        cls.model = cls.root / "model"
        cls.data = cls.root / "data"
        subprocess.run([STINT, "make-weights", "--model", "tiny-sd15", "--output", cls.model],
                       check=True, capture_output=True)
        cls.make_data(cls.data)

    @classmethod
    def make_data(cls, folder):
        make_pictures(folder)

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=self.root)
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.run_folder = self.folder / "run"

    def command(self, *flags, data=None, output=None):
        return [STINT, "train", "--model", self.model, "--data", data or self.data, "--output",
                output or self.run_folder, "--size", self.size, "--seed", str(SEED), "--cache",
                self.root / "plans", "--data-cache", self.root / "encoded", *map(str, flags)]

    def train(self, *flags, code=0, **places):
        done = subprocess.run(self.command(*flags, **places), capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def refusal(self, *flags, **places):
        """The one line on standard error."""
        lines = self.train(*flags, code=2, **places).stderr.splitlines()
        self.assertEqual(len(lines), 1, lines)
        return lines[0]

    def state(self, name="checkpoint.pth", folder=None):
        return torch.load((folder or self.run_folder) / name, weights_only=True)

    def metrics(self, folder=None):
        path = (folder or self.run_folder) / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]

    def run_until(self, step, *flags):
        """A running process that has done so many steps."""
        process = subprocess.Popen(list(map(str, self.command(*flags))), stderr=subprocess.PIPE,
                                   text=True)
        path = self.run_folder / "metrics.jsonl"
        while not path.exists() or path.read_text().count("\n") < step:
            self.assertIsNone(process.poll(), "ended early")
            time.sleep(0.002)
        return process

    def assert_equal_states(self, a, b):
        self.assertEqual(a["step"], b["step"])
        self.assertEqual(list(a["model_state_dict"]), list(b["model_state_dict"]))
        for name, tensor in a["model_state_dict"].items():
            self.assertTrue(torch.equal(tensor, b["model_state_dict"][name]), name)
        self.assertEqual(list(a["ema"]), list(b["ema"]))
        for name, tensor in a["ema"].items():
            self.assertTrue(torch.equal(tensor, b["ema"][name]), name)
        for i, moments in a["optimizer_state_dict"]["state"].items():
            for key, tensor in moments.items():
                self.assertTrue(
                    torch.equal(tensor, b["optimizer_state_dict"]["state"][i][key]), (i, key))

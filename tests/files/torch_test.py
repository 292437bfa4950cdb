"""Files of ours in Python's torch, and Python's in ours: usage torch_test.py STINT WRITER."""

import collections
import json
import pathlib
import pickle
import subprocess
import sys
import tempfile
import unittest

import torch

STINT, WRITER = sys.argv[1:3]


def inspect(path):
    return subprocess.run([STINT, "inspect", "--json", path], capture_output=True, text=True)


class TorchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = str(pathlib.Path(folder.name, "checkpoint.pth"))

    def test_torch_loads_our_state_without_running_anything(self):
        subprocess.run([WRITER, self.path], check=True)
        for mmap in (False, True):
            state = torch.load(self.path, weights_only=True, mmap=mmap)
            self.assertEqual(set(state), {"epoch", "step", "model_state_dict", "ema", "scheduler",
                                          "optimizer_state_dict", "rng", "data_order", "run"})
            self.assertEqual((state["epoch"], state["step"]), (2, 5))
            self.assertEqual(state["scheduler"], {"kind": "cosine", "warm_up_steps": 10})
            self.assertEqual(state["rng"], {"seed": 0x7FFFFFFFFFFF})
            self.assertEqual(state["data_order"], {"position": -1, "scale": 0.25})
            weight = state["model_state_dict"]["conv.weight"]
            self.assertTrue(torch.equal(weight, torch.full((3, 2), 5.0)))
            self.assertEqual(state["model_state_dict"]["conv.bias"].dtype, torch.bfloat16)

    def test_adamw_goes_on_from_our_state(self):
        subprocess.run([WRITER, self.path], check=True)
        state = torch.load(self.path, weights_only=True)
        parameters = [torch.nn.Parameter(tensor.float())
                      for tensor in state["model_state_dict"].values()]
        optimizer = torch.optim.AdamW(parameters)
        fresh_keys = set(optimizer.state_dict()["param_groups"][0])
        optimizer.load_state_dict(state["optimizer_state_dict"])
        self.assertEqual(set(optimizer.state_dict()["param_groups"][0]), fresh_keys)
        self.assertEqual(optimizer.param_groups[0]["lr"], 1e-4)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        self.assertEqual(optimizer.state[parameters[0]]["step"].item(), 6)

    def test_torch_loads_archives_of_64_bit_numbers(self):
        subprocess.run([WRITER, self.path, "wide"], check=True)
        self.assertTrue(torch.equal(torch.load(self.path, weights_only=True)["w"],
                                    torch.full((3, 2), 5.0)))

    def test_we_read_what_torch_saves(self):
        model = torch.nn.Conv2d(3, 4, 3)
        optimizer = torch.optim.AdamW(model.parameters())
        model(torch.ones(1, 3, 8, 8)).sum().backward()
        optimizer.step()
        torch.save({"epoch": 1, "step": 70000, "model_state_dict": model.state_dict(),
                    "optimizer_state_dict": optimizer.state_dict(),
                    "shared": [torch.ones(10)[2:4]]}, self.path)
        result = inspect(self.path)
        self.assertEqual(result.returncode, 0, result.stderr)
        summary = json.loads(result.stdout)
        self.assertEqual(summary["step"], 70000)
        counts = {part["name"]: part["parameter_count"] for part in summary["components"]}
        # 4 * 3 * 3 * 3 weights and 4 biases; two moments of each and two steps.
        self.assertEqual(counts, {"model_state_dict": 112, "optimizer_state_dict": 226,
                                  "tensors": 2})

    def test_we_name_what_a_pickle_would_run(self):
        for save in (lambda value: torch.save(value, self.path),
                     lambda value: pathlib.Path(self.path).write_bytes(pickle.dumps(value, 2))):
            save({"model": collections.Counter([1])})
            result = inspect(self.path)
            self.assertEqual(result.returncode, 2)
            self.assertIn("a pickle is a program", result.stderr)
        self.assertEqual(result.stderr.count("\n"), 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

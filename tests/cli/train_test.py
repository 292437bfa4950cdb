"""stint train on the tiny model, through the command line: usage train_test.py STINT."""

import json
import pathlib
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

import numpy
import torch
from diffusers import UNet2DConditionModel
from diffusers.training_utils import EMAModel
from PIL import Image
from safetensors.torch import load_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
from diffusers_training import loss_curve
from train_case import PICTURE_COUNT, SEED, STINT, TrainCase, make_pictures


def masked_crc(data):
    """CRC-32C bit by bit, masked as in TFRecord files."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def fields_of(message):
    """[(number, value)] of a protobuf message."""
    def varint(at):
        value = shift = 0
        while True:
            value |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                return value, at
    fields, at = [], 0
    while at < len(message):
        tag, at = varint(at)
        if tag & 7 == 0:
            value, at = varint(at)
        else:
            size, at = varint(at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
            value, at = message[at:at + size], at + size
        fields.append((tag >> 3, value))
    return fields


def read_events(path):
    """The Event messages of an event file, as dictionaries from field number to value."""
    data, at, events = path.read_bytes(), 0, []
    while at < len(data):
        size, checksum = struct.unpack_from("<QI", data, at)
        assert checksum == masked_crc(data[at:at + 8])
        event = data[at + 12:at + 12 + size]
        assert struct.unpack_from("<I", data, at + 12 + size)[0] == masked_crc(event)
        events.append(dict(fields_of(event)))
        at += 16 + size
    return events


class TrainTest(TrainCase):
    def check_killed_run(self, *flags, budget_share=None):
        """20 steps and more, straight, equal those of a run that was killed and went on."""
        straight = self.folder / "straight"
        summary = json.loads(self.train(*flags, "--steps", 30, "--json", output=straight).stdout)
        self.assertEqual(summary["measured_peak_bytes"], summary["predicted_peak_bytes"])
        saving = ("--steps", 30, "--checkpoint-every", 10)
        process = self.run_until(13, *flags, *saving)
        process.kill()
        process.communicate()
        self.assertFalse((self.run_folder / "final").exists())
        resume = ("--resume", "latest", "--json")
        if budget_share:
            budget_bytes = int(budget_share * summary["predicted_peak_bytes"])
            resume += ("--budget", f"{budget_bytes}B", "--plan-time", 5)
        resumed = json.loads(self.train(*flags, *saving, *resume).stdout)
        if budget_share:
            self.assertLessEqual(resumed["measured_peak_bytes"], budget_bytes)
        self.assert_equal_states(self.state(), self.state(folder=straight))
        losses = [[line["loss"] for line in self.metrics(folder)]
                  for folder in (self.run_folder, straight)]
        self.assertEqual(losses[0], losses[1])
        self.assertEqual([line["step"] for line in self.metrics()], list(range(1, 31)))

    def test_a_killed_run_goes_on_to_the_same_bits(self):
        self.check_killed_run("--batch", 2, "--schedule", "cosine", "--warmup", 3,
                              "--learning-rate", 1e-3, "--clip-norm", 1)

    def test_a_killed_run_goes_on_to_the_same_bits_within_another_budget(self):
        self.check_killed_run("--lora", 2, "--batch", 4, budget_share=0.85)

    def test_a_killed_run_with_averages_goes_on_to_the_same_bits_within_another_budget(self):
        self.check_killed_run("--ema", 0.9, "--lora", 2, "--batch", 4, budget_share=0.85)
        self.assertEqual(list(self.state()["ema"]), list(self.state()["model_state_dict"]))

    def test_a_killed_run_goes_on_to_the_same_bits_where_updates_are_rounded_at_random(self):
        self.check_killed_run("--dtype", "bfloat16", "--learning-rate", 1e-5)

    def test_a_killed_run_with_autocast_goes_on_to_the_same_bits_within_another_budget(self):
        self.check_killed_run("--autocast", "bfloat16", "--lora", 2, "--batch", 4,
                              budget_share=0.85)

    def pictures(self, folder):
        paths = sorted((folder / "validation").iterdir())
        return {path.name: Image.open(path) for path in paths}

    def paint(self, *flags):
        """What `stint generate` paints."""
        path = self.folder / "painted.png"
        subprocess.run([STINT, "generate", "--size", "64x64", "--steps", "2", "--seed", str(SEED),
                        "--prompt", "a red boat", "--cache", self.root / "plans", "--output", path,
                        *map(str, flags)], check=True, capture_output=True)
        return Image.open(path)

    def check_validation(self, *flags):
        """A run with pictures equals one without; returns the last picture of the first prompt."""
        flags = (*flags, "--steps", 6, "--learning-rate", 1e-2)
        plain = self.folder / "plain"
        self.train(*flags, output=plain)
        self.train(*flags, "--checkpoint-every", 3, "--validation-every", 2, "--validation-steps",
                   2, "--validation-prompt", "a red boat", "--validation-prompt", "fog")
        self.assert_equal_states(self.state(), self.state(folder=plain))
        self.assertEqual([line["loss"] for line in self.metrics()],
                         [line["loss"] for line in self.metrics(plain)])
        pictures = self.pictures(self.run_folder)
        self.assertEqual(list(pictures), [f"step-{step:08}-{i}.png" for step in (2, 4, 6)
                                          for i in range(2)])
        for name in ("step-00000004-0.png", "step-00000006-0.png", "step-00000002-1.png"):
            self.assertNotEqual(pictures[name].tobytes(), pictures["step-00000002-0.png"].tobytes())
        words = pictures["step-00000004-1.png"].text["parameters"]
        self.assertTrue(words.startswith("fog\nSteps: 2, "), words)
        self.assertTrue(words.endswith(", Training step: 4"), words)
        return pictures["step-00000006-0.png"]

    def test_pictures_on_the_way_are_those_of_the_adapters_and_change_nothing(self):
        last = self.check_validation("--lora", 2, "--batch", 2)
        painted = self.paint("--model", self.model, "--lora",
                             self.run_folder / "final/pytorch_lora_weights.safetensors")
        self.assertEqual(last.tobytes(), painted.tobytes())

    def test_pictures_on_the_way_are_those_of_the_averages_and_change_nothing(self):
        last = self.check_validation("--ema", 0.9, "--clip-norm", 1)
        model = self.folder / "model"
        shutil.copytree(self.model, model)
        shutil.rmtree(model / "unet")
        shutil.copytree(self.run_folder / "final/unet", model / "unet")
        self.assertEqual(last.tobytes(), self.paint("--model", model).tobytes())

    def test_a_killed_run_with_pictures_goes_on_to_the_same_bits(self):
        self.check_killed_run("--lora", 2, "--batch", 2, "--validation-prompt", "fog",
                              "--validation-every", 7, "--validation-steps", 1)
        self.assertEqual(list(self.pictures(self.run_folder)),
                         [f"step-{step:08}-0.png" for step in (7, 14, 21, 28)])

    def test_pictures_that_do_not_fit_end_the_run_before_its_first_step(self):
        flags = ("--lora", 2, "--batch", 4, "--steps", 1)
        plain = self.train(*flags, "--json", output=self.folder / "plain")
        # As much as training takes; the autoencoder's decoder takes more.
        budget_bytes = json.loads(plain.stdout)["predicted_arena_bytes"]
        self.train(*flags, "--budget", f"{budget_bytes}B", output=self.folder / "fits")
        done = self.train(*flags, "--budget", f"{budget_bytes}B", "--validation-prompt", "fog",
                          code=3)
        self.assertRegex(done.stderr, "^stint: --validation-prompt: --budget: no plan fits ")
        self.assertFalse((self.run_folder / "metrics.jsonl").exists())

    def moved(self, *flags):
        """How far all weights are from where they began, as one vector, after 20 small steps."""
        # A rate of next to nothing leaves the weights as bfloat16 has them.
        ends = []
        for name, rate in (("start", 1e-30), ("end", 2e-6)):
            steps = 1 if name == "start" else 20
            folder = self.folder / name
            self.train("--steps", steps, "--learning-rate", rate, *flags, output=folder)
            ends.append(self.state(folder=folder)["model_state_dict"])
            shutil.rmtree(folder)
        return torch.cat([(ends[1][name].double() - ends[0][name].double()).flatten()
                          for name in ends[0]])

    def test_small_updates_add_up_when_rounded_at_random_and_are_lost_otherwise(self):
        exact = self.moved()
        slopes = [(self.moved("--dtype", "bfloat16", "--rounding", rounding) @ exact
                   / (exact @ exact)).item() for rounding in ("stochastic", "nearest")]
        self.assertAlmostEqual(slopes[0], 1, delta=0.05)
        self.assertLess(slopes[1], 0.2)

    def check_averages(self, export, prefix, *flags):
        """Those of diffusers' EMAModel over the states of each step; they are exported."""
        step_count = 12
        # A decay that the warm-up reaches half way: (1 + n) / (10 + n) from n = 6 on.
        decay = 0.42
        self.train("--steps", step_count, "--ema", decay, "--learning-rate", 1e-2,
                   "--checkpoint-every", 1, "--keep", step_count, *flags)
        states = [self.state(f"checkpoint-{step:08}.pth") for step in range(1, step_count + 1)]
        names = list(states[0]["model_state_dict"])
        # The first step's decay is 0: an average starts from what that step made.
        reference = EMAModel(list(states[0]["model_state_dict"].values()), decay=decay)
        for state in states:
            weights = list(state["model_state_dict"].values())
            for weight in weights:
                weight.requires_grad_()
            reference.step(weights)
            self.assertEqual(list(state["ema"]), names)
            for name, average in zip(names, reference.shadow_params):
                torch.testing.assert_close(state["ema"][name], average, rtol=1e-5, atol=1e-7)
        last = states[-1]
        self.assertGreater(max((last["ema"][name] - last["model_state_dict"][name]).abs().max()
                               for name in names), 1e-3)
        exported = load_file(self.run_folder / "final" / export)
        self.assertEqual(set(exported), {prefix + name for name in names})
        for name in names:
            self.assertTrue(torch.equal(exported[prefix + name], last["ema"][name]), name)

    def test_averages_are_those_of_diffusers(self):
        self.check_averages("unet/diffusion_pytorch_model.safetensors", "")

    def test_averages_of_adapters_are_those_of_diffusers(self):
        self.check_averages("pytorch_lora_weights.safetensors", "unet.", "--lora", 2)

    def test_a_run_with_averages_goes_on_with_them_only(self):
        self.train("--steps", 1, "--lora", 2, "--ema", 0.9)
        self.assertIn("was trained with EMA yes, not no",
                      self.refusal("--steps", 2, "--lora", 2, "--resume", "latest"))

    def test_the_snapshot_of_a_save_is_within_the_host_budget(self):
        flags = ("--steps", 4, "--checkpoint-every", 2)
        summary = json.loads(self.train(*flags, "--json").stdout)
        unet = load_file(next((self.model / "unet").glob("*.safetensors")))
        least_bytes = 3 * sum(tensor.nbytes for tensor in unet.values())
        self.assertGreater(summary["snapshot_bytes"], least_bytes)
        self.assertLess(summary["snapshot_bytes"], 1.1 * least_bytes)
        # There is one: whoever is saved next waits for it.
        waits = [line.get("save_wait_s") for line in self.metrics()]
        self.assertEqual([wait is None for wait in waits], [True, False, True, False])
        other = self.folder / "other"
        self.train(*flags, "--host-budget", f"{summary['snapshot_bytes']}B", output=other)
        words = self.train(*flags, "--host-budget", f"{summary['snapshot_bytes'] - 1}B",
                           output=self.folder / "third", code=3).stderr
        self.assertIn("--host-budget: the snapshot of the state takes", words)
        self.assertEqual(words.count("\n"), 1)

    def scalars(self, path, first_step):
        """[(step, {tag: value})] of an event file, whose session starts at `first_step`."""
        version, start, *events = read_events(path)
        self.assertEqual(version[3], b"brain.Event:2")
        self.assertEqual((start[2], fields_of(start[7])), (first_step, [(1, 1)]))
        self.assertLess(abs(struct.unpack("<d", start[1])[0] - time.time()), 3600)
        curves = []
        for event in events:
            values = [dict(fields_of(value)) for _, value in fields_of(event[5])]
            curves.append((event[2], {value[1].decode(): struct.unpack("<f", value[2])[0]
                                      for value in values}))
        return curves

    def test_event_files_of_tensorboard_say_what_the_metrics_say(self):
        flags = ("--lora", 2, "--tensorboard", "--warmup", 2)
        self.train(*flags, "--steps", 3)
        self.train(*flags, "--steps", 130, "--resume", "latest")  # A step that takes two bytes.
        files = sorted(self.run_folder.glob("events.out.tfevents.*"))
        self.assertEqual(len(files), 2)
        curves = self.scalars(files[0], 1) + self.scalars(files[1], 4)
        lines = self.metrics()
        self.assertEqual([step for step, _ in curves], list(range(1, 131)))
        self.assertEqual(len(lines), len(curves))
        for line, (step, values) in zip(lines, curves):
            self.assertEqual(line.pop("step"), step)
            line.pop("save_wait_s", None)  # No curve: only some steps have it.
            self.assertEqual({tag: numpy.float32(number) for tag, number in line.items()}, values)

    def test_a_terminated_run_saves_and_stops(self):
        process = self.run_until(3, "--lora", 2, "--steps", 1000000)
        process.send_signal(signal.SIGTERM)
        words = process.communicate()[1]
        self.assertEqual(process.returncode, 0, words)
        self.assertIn("go on with --resume latest", words)
        step = self.state()["step"]
        self.assertEqual(self.metrics()[-1]["step"], step)
        self.train("--lora", 2, "--steps", step + 2, "--resume", "latest")
        self.assertEqual(self.state()["step"], step + 2)

    def test_the_state_and_the_model_open_in_python(self):
        self.train("--steps", 3, "--batch", 2)
        state = self.state()
        self.assertLessEqual({"epoch", "step", "model_state_dict", "optimizer_state_dict"},
                             set(state))
        self.assertEqual((state["epoch"], state["step"]), (6 // PICTURE_COUNT, 3))
        unet = UNet2DConditionModel.from_pretrained(self.run_folder / "final" / "unet")
        for name, parameter in unet.named_parameters():
            self.assertTrue(torch.equal(parameter, state["model_state_dict"][name]), name)
        unet.load_state_dict(state["model_state_dict"])
        parameters = dict(unet.named_parameters())
        optimizer = torch.optim.AdamW([parameters[name] for name in state["model_state_dict"]])
        optimizer.load_state_dict(state["optimizer_state_dict"])
        self.assertEqual(optimizer.state[parameters["conv_in.bias"]]["step"].item(), 3)

    def test_adapters_are_trained_and_nothing_else(self):
        self.train("--steps", 4, "--lora", 2)
        adapters = load_file(self.run_folder / "final" / "pytorch_lora_weights.safetensors")
        unet = UNet2DConditionModel.from_pretrained(self.model / "unet")
        projections = [name for name, _ in unet.named_modules()
                       if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0"))]
        self.assertEqual(set(adapters), {f"unet.{name}.lora_{half}.weight"
                                         for name in projections for half in "AB"})
        for name, tensor in adapters.items():
            self.assertEqual(tensor.shape[0 if ".lora_A." in name else 1], 2)
            self.assertGreater(tensor.abs().max(), 0, name)

    def test_micro_steps_take_the_samples_of_one_large_batch(self):
        flags = ("--steps", 6, "--learning-rate", 1e-4)
        other = self.folder / "other"
        self.train(*flags, "--batch", 2)
        self.train(*flags, "--accumulate", 2, output=other)
        for a, b in zip(self.metrics(), self.metrics(other), strict=True):
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-4 * a["loss"])
        # AdamW's first updates are as large as the rate whatever the gradient, so that rounding of
        # tiny gradients shows: weights differ by less than a hundredth of what they moved.
        start = load_file(next((self.model / "unet").glob("*.safetensors")))
        one, two = self.state()["model_state_dict"], self.state(folder=other)["model_state_dict"]
        moved = sum((one[name] - start[name]).square().sum() for name in start)
        apart = sum((one[name] - two[name]).square().sum() for name in start)
        self.assertLess(apart, 1e-4 * moved)

    def test_the_loss_curve_is_that_of_diffusers(self):
        step_count, batch, rate, gamma = 20, 2, 1e-3, 5
        self.train("--steps", step_count, "--batch", batch, "--learning-rate", rate, "--schedule",
                   "linear", "--warmup", 4, "--clip-norm", 0.5, "--min-snr", gamma)
        lines = self.metrics()
        pictures = [(self.data / f"{i}.png", f"picture number {i}") for i in range(PICTURE_COUNT)]
        reference = loss_curve(self.model, pictures, SEED, step_count, batch, rate,
                               schedule="linear", warmup=4, clip_norm=0.5, min_snr=gamma)
        self.assertEqual(len(lines), len(reference))
        for line, (loss, learning_rate) in zip(lines, reference):
            self.assertAlmostEqual(line["learning_rate"], learning_rate, delta=1e-12)
            self.assertAlmostEqual(line["loss"], loss, delta=2e-3 * loss)
        self.assertGreater(len({round(line["loss"], 3) for line in lines}), step_count / 2)

    def test_bad_pictures_are_named_and_skipped_on_request(self):
        data = self.folder / "data"
        make_pictures(data)
        whole = (data / "1.png").read_bytes()
        (data / "1.png").write_bytes(whole[:len(whole) // 2])
        self.assertIn("1.png: ", self.refusal("--steps", 1, data=data, output=self.folder / "a"))
        (data / "0.txt").write_text(" \n")
        self.assertIn("0.png: has an empty caption",
                      self.refusal("--steps", 1, data=data, output=self.folder / "b"))
        words = self.train("--steps", 1, "--skip-bad-pictures", data=data).stderr
        self.assertIn("skipped " + str(data / "1.png"), words)
        self.assertIn("skipped " + str(data / "0.png"), words)
        for text in data.glob("*.txt"):
            text.write_text("")
        self.refusal("--steps", 1, data=data, output=self.folder / "c")

    def test_a_run_is_neither_overwritten_nor_gone_on_with_as_another(self):
        self.train("--steps", 2, "--lora", 2, "--checkpoint-every", 1)
        self.assertIn("--resume latest", self.refusal("--steps", 4, "--lora", 2))
        resume = ("--steps", 4, "--lora", 2, "--resume", "latest")
        self.assertIn("batch 1, not 2", self.refusal(*resume, "--batch", 2))
        self.assertIn("--steps: is 2, and 2 are done",
                      self.refusal("--steps", 2, "--lora", 2, "--resume", "latest"))
        other = self.folder / "other"
        subprocess.run([STINT, "make-weights", "--model", "tiny-sd15", "--seed", "1", "--output",
                        other], check=True, capture_output=True)
        model, self.model = self.model, other
        try:
            self.assertIn("was trained with model", self.refusal(*resume))
        finally:
            self.model = model
        self.assertIn("there is no training state",
                      self.refusal(*resume, output=self.folder / "empty"))
        newest = self.run_folder / "checkpoint-00000002.pth"
        newest.write_bytes(newest.read_bytes()[:1000])
        words = self.train(*resume).stderr
        self.assertIn(str(newest), words)
        self.assertIn("checkpoint-00000001.pth instead", words)
        self.assertEqual(self.state()["step"], 4)

    def test_a_full_disk_leaves_the_state_of_before(self):
        self.train("--steps", 2)
        before = (self.run_folder / "checkpoint-00000002.pth").read_bytes()
        limit_bytes = len(before) // 2
        done = subprocess.run(
            list(map(str, self.command("--steps", 6, "--checkpoint-every", 2, "--resume",
                                       "latest"))),
            capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE,
                                                  (limit_bytes, limit_bytes)))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("not saved, trying again next time", done.stderr)
        self.assertIn("checkpoint-00000006.pth", done.stderr.splitlines()[-1])
        self.assertEqual((self.run_folder / "checkpoint-00000002.pth").read_bytes(), before)
        self.assertEqual(sorted(path.name for path in self.run_folder.glob("*checkpoint*")),
                         ["checkpoint-00000002.pth", "checkpoint.pth"])
        self.train("--steps", 3, "--resume", "latest")
        self.assertEqual(self.state()["step"], 3)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

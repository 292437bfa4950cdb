"""stint train --aspect-buckets on the tiny model, through the command line: usage
train_buckets_test.py STINT."""

import json
import pathlib
import sys
import time
import unittest

from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "experiments"))
from diffusers_training import Samples, loss_curve
from train_case import SEED, TrainCase, make_pictures

# What 192x192 has in steps of 64 px; and which of them each picture has, by name.
BUCKETS = ["128x256", "192x192", "256x128"]
BUCKET_OF = [1, 0, 1, 2, 0, 1, 2, 0]
BATCH = 2
STEPS_PER_EPOCH = 5  # 3, 3 and 2 pictures.


def make_shapes(folder, buckets, larger=1):
    """Pictures of the size of their bucket, or so many times as large."""
    sizes = [[int(px) for px in BUCKETS[bucket].split("x")] for bucket in buckets]
    make_pictures(folder, [(larger * width, larger * height) for width, height in sizes])


class TrainBucketsTest(TrainCase):
    size = "192x192"

    @classmethod
    def make_data(cls, folder):
        make_shapes(folder, BUCKET_OF)

    def buckets(self, step_count, batch=BATCH):
        """Of each step."""
        draw = Samples(SEED, len(BUCKET_OF), BUCKET_OF, batch)
        return [BUCKET_OF[draw.picture(step * batch)] for step in range(step_count)]

    def train_buckets(self, *flags, **places):
        return self.train("--aspect-buckets", "--batch", BATCH, *flags, **places)

    def assert_equal_runs(self, a, b):
        self.assert_equal_states(self.state(folder=a), self.state(folder=b))
        lines = [[(line["step"], line["epoch"], line["loss"], line.get("size"))
                  for line in self.metrics(folder)] for folder in (a, b)]
        self.assertEqual(lines[0], lines[1])

    def test_the_loss_curve_is_that_of_diffusers_over_whole_epochs(self):
        step_count = 3 * STEPS_PER_EPOCH
        rate = 1e-3
        self.train_buckets("--steps", step_count, "--learning-rate", rate)
        lines = self.metrics()
        pictures = [(self.data / f"{i}.png", f"picture number {i}") for i in range(len(BUCKET_OF))]
        reference = loss_curve(self.model, pictures, SEED, step_count, BATCH, rate,
                               buckets=BUCKET_OF)
        self.assertEqual(len(lines), len(reference))
        for line, (loss, _) in zip(lines, reference):
            self.assertAlmostEqual(line["loss"], loss, delta=2e-3 * loss)
        draw = Samples(SEED, len(BUCKET_OF), BUCKET_OF, BATCH)
        for epoch in range(3):
            self.assertEqual(set(draw.epoch(epoch)), set(range(len(BUCKET_OF))))
        self.assertEqual([line["epoch"] for line in lines],
                         [step // STEPS_PER_EPOCH for step in range(1, step_count + 1)])
        self.assertEqual([line["size"] for line in lines],
                         [BUCKETS[bucket] for bucket in self.buckets(step_count)])

    def test_each_plan_takes_what_it_says(self):
        summary = json.loads(self.train_buckets("--lora", 2, "--steps", 12, "--json").stdout)
        told = summary["buckets"]
        self.assertEqual([bucket["size"] for bucket in told], BUCKETS)
        steps = self.buckets(12)
        for i, bucket in enumerate(told):
            self.assertEqual(bucket["step_count"], steps.count(i))
            self.assertGreater(bucket["step_count"], 0)
            for what in ("peak", "arena"):
                self.assertEqual(bucket[f"measured_{what}_bytes"],
                                 bucket[f"predicted_{what}_bytes"])
        largest = max(bucket["measured_arena_bytes"] for bucket in told)
        self.assertEqual(summary["measured_arena_bytes"], largest)
        self.assertEqual(summary["predicted_arena_bytes"], largest)
        peaks = {bucket["size"]: bucket["predicted_peak_bytes"] for bucket in told}
        for line in self.metrics():
            self.assertEqual(line["peak_bytes"], peaks[line["size"]])

    def saved_step(self, is_boundary):
        """How many steps are done where two steps of two buckets, or of one, meet."""
        steps = self.buckets(12)
        return next(step for step in range(5, 9)
                    if (steps[step - 1] != steps[step]) == is_boundary)

    def check_killed_run(self, saved_step, *flags, budget_share=None):
        flags = ("--steps", 14, *flags)
        straight = self.folder / "straight"
        summary = json.loads(self.train_buckets(*flags, "--json", output=straight).stdout)
        process = self.run_until(saved_step, "--aspect-buckets", "--batch", BATCH, *flags,
                                 "--checkpoint-every", saved_step)
        saved = self.run_folder / f"checkpoint-{saved_step:08}.pth"
        while not saved.exists() and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.communicate()
        resume = ("--resume", saved, "--json")
        if budget_share:
            budget_bytes = int(budget_share * min(bucket["predicted_peak_bytes"]
                                                  for bucket in summary["buckets"]))
            resume += ("--budget", f"{budget_bytes}B", "--plan-time", 5)
        resumed = json.loads(self.train_buckets(*flags, *resume).stdout)
        for bucket in resumed["buckets"]:
            if bucket["step_count"] == 0:
                continue
            self.assertEqual(bucket["measured_arena_bytes"], bucket["predicted_arena_bytes"])
            if budget_share:
                self.assertLessEqual(bucket["measured_peak_bytes"], budget_bytes)
        self.assert_equal_runs(self.run_folder, straight)

    def test_a_run_killed_within_a_bucket_goes_on_to_the_same_bits(self):
        self.check_killed_run(self.saved_step(is_boundary=False), "--lora", 2)

    def test_a_run_killed_between_buckets_goes_on_to_the_same_bits(self):
        self.check_killed_run(self.saved_step(is_boundary=True), "--lora", 2)

    def test_a_killed_run_goes_on_to_the_same_bits_within_another_budget(self):
        self.check_killed_run(self.saved_step(is_boundary=False), "--ema", 0.9, "--lora", 2,
                              budget_share=0.9)

    def test_a_killed_run_of_all_weights_goes_on_to_the_same_bits(self):
        self.check_killed_run(self.saved_step(is_boundary=True), "--clip-norm", 1)

    def test_a_terminated_run_goes_on_to_the_same_bits(self):
        process = self.run_until(4, "--aspect-buckets", "--batch", BATCH, "--lora", 2, "--steps",
                                 1000000)
        process.terminate()
        words = process.communicate()[1]
        self.assertEqual(process.returncode, 0, words)
        step = self.state()["step"]
        self.train_buckets("--lora", 2, "--steps", step + 7, "--resume", "latest")
        straight = self.folder / "straight"
        self.train_buckets("--lora", 2, "--steps", step + 7, output=straight)
        self.assert_equal_runs(self.run_folder, straight)

    def test_pictures_on_the_way_change_nothing(self):
        flags = ("--lora", 2, "--steps", 12)
        plain = self.folder / "plain"
        self.train_buckets(*flags, output=plain)
        # Within a bucket and between two.
        every = 2
        self.assertEqual({self.buckets(12)[step - 1] == self.buckets(13)[step]
                          for step in range(every, 12, every)}, {True, False})
        self.train_buckets(*flags, "--checkpoint-every", 3, "--validation-every", every,
                           "--validation-steps", 1, "--validation-prompt", "fog")
        self.assert_equal_runs(self.run_folder, plain)
        pictures = sorted((self.run_folder / "validation").iterdir())
        self.assertEqual([path.name for path in pictures],
                         [f"step-{step:08}-0.png" for step in range(every, 13, every)])
        with Image.open(pictures[0]) as picture:
            self.assertEqual(picture.size, (192, 192))

    def test_pictures_of_one_shape_are_trained_as_without_buckets(self):
        data = self.folder / "data"
        make_shapes(data, [2] * 5)
        flags = ("--lora", 2, "--batch", BATCH, "--steps", 7)
        plain = self.folder / "plain"
        self.size = "256x128"
        self.train(*flags, data=data, output=plain)
        self.size = "192x192"
        self.train(*flags, "--aspect-buckets", data=data)
        self.assert_equal_states(self.state(), self.state(folder=plain))
        self.assertEqual({line.pop("size") for line in self.metrics()}, {"256x128"})
        names = ("step", "epoch", "loss", "learning_rate", "peak_bytes")
        lines = [[[line[name] for name in names] for line in self.metrics(folder)]
                 for folder in (self.run_folder, plain)]
        self.assertEqual(lines[0], lines[1])
        for line in self.metrics(plain):
            self.assertNotIn("size", line)
        self.assertNotIn("aspect buckets", self.state(folder=plain)["run"])

    def test_larger_pictures_are_scaled_to_cover_their_bucket(self):
        data = self.folder / "data"
        make_shapes(data, [0, 1, 2], larger=2)
        done = self.train("--aspect-buckets", "--lora", 2, "--steps", 3, "--json", data=data)
        told = json.loads(done.stdout)["buckets"]
        self.assertEqual([(bucket["size"], bucket["step_count"]) for bucket in told],
                         [(size, 1) for size in BUCKETS])

    def test_a_bucket_that_does_not_fit_ends_the_run_before_its_first_step(self):
        flags = ("--steps", 1, "--budget", "1MiB")
        words = self.train_buckets(*flags, code=3).stderr
        self.assertRegex(words, r"^stint: bucket 128x256: --budget: no plan fits 1\.00 MiB")
        data = self.folder / "data"
        make_shapes(data, [1, 2])
        words = self.train_buckets(*flags, code=3, data=data).stderr
        self.assertRegex(words, r"^stint: bucket 192x192: --budget: no plan fits 1\.00 MiB")
        self.assertFalse((self.run_folder / "metrics.jsonl").exists())

    def test_what_buckets_a_run_has_must_stay(self):
        self.train_buckets("--lora", 2, "--steps", 2)
        resume = ("--lora", 2, "--steps", 4, "--resume", "latest")
        self.assertIn("was trained with --aspect-buckets, not without",
                      self.refusal(*resume, "--batch", BATCH))
        data = self.folder / "data"
        make_shapes(data, [0, 2])
        self.assertIn("was trained with aspect buckets 128x256 192x192 256x128, not 128x256 256x128",
                      self.refusal(*resume, "--batch", BATCH, "--aspect-buckets", data=data))
        plain = self.folder / "plain"
        self.train("--lora", 2, "--steps", 2, output=plain)
        self.assertIn("was trained without --aspect-buckets, not with them",
                      self.refusal(*resume, "--aspect-buckets", output=plain))

    def test_a_size_of_less_than_a_bucket_is_refused(self):
        self.size = "32x32"
        self.assertIn("--size", self.refusal("--aspect-buckets", "--steps", 1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

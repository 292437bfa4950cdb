"""Compares whole runs of each sampler with diffusers' schedulers, on a model that is a formula.

Every sampler, prediction, spacing and several step counts, in float32 as diffusers computes; what must
be equal are all timesteps and the latents after the last step.
"""

import argparse
import itertools
import json
import subprocess
import sys
import warnings

import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler

CLASSES = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "dpm++2m": DPMSolverMultistepScheduler}
STEP_COUNTS = (1, 2, 7, 30, 50)
TOLERANCE = 1e-4  # Relative to the largest latent.


def model(latents, timestep):
    """Neither linear nor the same at two timesteps."""
    return 0.8 * torch.sin(2 * latents + float(timestep) / 300) + 0.2 * latents


def run_diffusers(scheduler, noise, step_count):
    scheduler.set_timesteps(step_count)
    latents = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        predicted = model(scheduler.scale_model_input(latents, timestep), timestep)
        latents = scheduler.step(predicted, timestep, latents).prev_sample
    return [float(timestep) for timestep in scheduler.timesteps], latents


def run_stint(program, config, sampler, noise, step_count, alphas):
    result = subprocess.run([program, json.dumps(config), sampler, str(step_count)], check=True,
                            input=alphas, stdout=subprocess.PIPE, text=True)
    rows = [[float(number) for number in line.split()] for line in result.stdout.splitlines()]
    (initial_scale, has_history), steps = rows[0], rows[1:]
    latents, history = noise * initial_scale, torch.zeros_like(noise)
    for timestep, input_scale, latent, predicted_scale, past, signal, signal_predicted in steps:
        if past and not has_history:
            raise ValueError("a step uses a history that is not kept")
        predicted = model(input_scale * latents, timestep)
        signals = signal * latents + signal_predicted * predicted
        latents = latent * latents + predicted_scale * predicted + past * history
        history = signals
    return [step[0] for step in steps], latents


def cases():
    for name, prediction, spacing, count in itertools.product(
            CLASSES, ("epsilon", "v_prediction"), ("leading", "linspace", "trailing"), STEP_COUNTS):
        for karras in (False,) if name == "ddim" else (False, True):
            if name == "dpm++2m" and spacing == "leading" and count == 1 and not karras:
                continue  # The one step would be at timestep 500, and diffusers' formula divides 0 by 0.
            yield name, prediction, spacing, karras, count


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="sampler_steps")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    noise = torch.randn(1, 4, 8, 8)
    alphas = " ".join(str(float(alpha)) for alpha in DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod)

    worst, failures, case_count = 0, [], 0
    for name, prediction, spacing, karras, count in cases():
        config = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
                  "num_train_timesteps": 1000, "prediction_type": prediction,
                  "timestep_spacing": spacing, "steps_offset": 1, "clip_sample": False,
                  "set_alpha_to_one": False}
        own = {key: config[key] for key in config
               if name == "ddim" or key not in ("clip_sample", "set_alpha_to_one")}
        if name != "ddim":
            own["use_karras_sigmas"] = karras
        timesteps, expected = run_diffusers(CLASSES[name](**own), noise, count)
        word = name + ("-karras" if karras else "")
        actual_timesteps, actual = run_stint(arguments.program, config, word, noise, count, alphas)
        difference = float((actual - expected).abs().max() / expected.abs().max())
        same_times = len(timesteps) == len(actual_timesteps) and all(
            abs(a - b) <= 1e-3 for a, b in zip(timesteps, actual_timesteps))
        case_count += 1
        worst = max(worst, difference)
        if not same_times or not difference <= TOLERANCE:
            failures.append(f"{word} {prediction} {spacing} {count} steps: differs by {difference:.2e}"
                            + ("" if same_times else f"; timesteps {actual_timesteps}, not {timesteps}"))
    print("\n".join(failures))
    print(f"{case_count} runs, largest difference {worst:.2e}, {len(failures)} failed")
    return 1 if failures or case_count < 100 else 0


if __name__ == "__main__":
    sys.exit(main())

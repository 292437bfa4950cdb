"""Computes a training step and a denoising step with diffusers, and has Stint's C++ compared with them.

Writes weights, inputs and expected results as .safetensors files into a temporary folder, then runs
the test program, which finds the folder in STINT_PARITY_FOLDER.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import torch
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DConditionModel
from safetensors.torch import save_file

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
LATENT_SIZES = (2, 4, 8, 16)  # Two images of 64x128.
TOKEN_COUNT = 77
GUIDANCE_SCALE = 7.5


def make_unet(config_path):
    with open(config_path) as file:
        unet = UNet2DConditionModel.from_config(json.load(file))
    # Norms and biases away from 1 and 0, so that a missing or exchanged one shows.
    with torch.no_grad():
        for parameter in unet.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(parameter.shape)
    return unet


def train(unet):
    """One step's inputs and results."""
    text_size = unet.config.cross_attention_dim
    inputs = {
        "latents": torch.randn(LATENT_SIZES),
        "noise": torch.randn(LATENT_SIZES),
        "timesteps": torch.tensor([3, 977]),
        "text_states": torch.randn(LATENT_SIZES[0], TOKEN_COUNT, text_size),
    }
    scheduler = DDPMScheduler(**SCHEDULE)
    noisy = scheduler.add_noise(inputs["latents"], inputs["noise"], inputs["timesteps"])
    predicted = unet(noisy, inputs["timesteps"], inputs["text_states"]).sample
    loss = torch.nn.functional.mse_loss(predicted.float(), inputs["noise"].float())
    loss.backward()
    expected = {"noisy": noisy, "predicted": predicted.detach(), "loss": loss.detach()}
    for name, parameter in unet.named_parameters():
        expected["grad:" + name] = parameter.grad
    return inputs, expected


def denoise(unet):
    """The 26th of 50 steps: timestep 481."""
    text_size = unet.config.cross_attention_dim
    scheduler = DDIMScheduler(
        **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    scheduler.set_timesteps(50)
    timestep = scheduler.timesteps[25]
    inputs = {
        "latents": torch.randn(LATENT_SIZES),
        "timestep": timestep.reshape(1).clone(),
        "text_states": torch.randn(2 * LATENT_SIZES[0], TOKEN_COUNT, text_size),
    }
    with torch.no_grad():
        doubled = torch.cat([inputs["latents"]] * 2)
        without, with_prompt = unet(doubled, timestep, inputs["text_states"]).sample.chunk(2)
        noise = without + GUIDANCE_SCALE * (with_prompt - without)
        latents = scheduler.step(noise, timestep, inputs["latents"]).prev_sample
    return inputs, {"latents": latents}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the UNet's config.json")
    parser.add_argument("--test", required=True, help="the test program")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # Threads that share tiny ops spend their time waiting for each other.
    unet = make_unet(arguments.config)
    with tempfile.TemporaryDirectory() as folder:
        def save(name, tensors):
            contiguous = {key: value.contiguous() for key, value in tensors.items()}
            save_file(contiguous, os.path.join(folder, name + ".safetensors"))

        save("weights", unet.state_dict())
        for task in (train, denoise):
            inputs, expected = task(unet)
            save(task.__name__ + "_inputs", inputs)
            save(task.__name__ + "_expected", expected)
        environment = os.environ | {"STINT_PARITY_FOLDER": folder}
        return subprocess.run([arguments.test], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

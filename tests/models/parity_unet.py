"""Computes a training step and a denoising step with diffusers, and has Stint's C++ compared with them.

Writes weights, inputs and expected results as .safetensors files into a temporary folder, then runs
the test program, which finds the folder in STINT_PARITY_FOLDER and the model's name in
STINT_PARITY_MODEL.
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


def conditions(unet, sample_count):
    """What the UNet is told beside latents and timesteps."""
    text_size = unet.config.cross_attention_dim
    inputs = {"text_states": torch.randn(sample_count, TOKEN_COUNT, text_size)}
    if unet.config.addition_embed_type == "text_time":
        pooled_size = (unet.config.projection_class_embeddings_input_dim
                       - 6 * unet.config.addition_time_embed_dim)
        inputs["pooled_text"] = torch.randn(sample_count, pooled_size)
        inputs["time_ids"] = 1024 * torch.rand(sample_count, 6)
    return inputs


def predict(unet, latents, timesteps, inputs):
    added = None
    if "time_ids" in inputs:
        added = {"text_embeds": inputs["pooled_text"], "time_ids": inputs["time_ids"]}
    return unet(latents, timesteps, inputs["text_states"], added_cond_kwargs=added).sample


def train(unet, prediction):
    """One step's inputs and results."""
    inputs = conditions(unet, LATENT_SIZES[0]) | {
        "latents": torch.randn(LATENT_SIZES),
        "noise": torch.randn(LATENT_SIZES),
        "timesteps": torch.tensor([3, 977]),
    }
    scheduler = DDPMScheduler(**SCHEDULE)
    noisy = scheduler.add_noise(inputs["latents"], inputs["noise"], inputs["timesteps"])
    target = inputs["noise"]
    if prediction == "v_prediction":
        target = scheduler.get_velocity(inputs["latents"], inputs["noise"], inputs["timesteps"])
    predicted = predict(unet, noisy, inputs["timesteps"], inputs)
    loss = torch.nn.functional.mse_loss(predicted.float(), target.float())
    loss.backward()
    expected = {"noisy": noisy, "predicted": predicted.detach(), "loss": loss.detach()}
    for name, parameter in unet.named_parameters():
        expected["grad:" + name] = parameter.grad
    return inputs, expected


def denoise(unet, prediction):
    """The 26th of 50 steps: timestep 481."""
    scheduler = DDIMScheduler(
        **SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1,
        prediction_type=prediction
    )
    scheduler.set_timesteps(50)
    timestep = scheduler.timesteps[25]
    inputs = conditions(unet, 2 * LATENT_SIZES[0]) | {
        "latents": torch.randn(LATENT_SIZES),
        "timestep": timestep.reshape(1).clone(),
    }
    with torch.no_grad():
        doubled = torch.cat([inputs["latents"]] * 2)
        without, with_prompt = predict(unet, doubled, timestep, inputs).chunk(2)
        guided = without + GUIDANCE_SCALE * (with_prompt - without)
        latents = scheduler.step(guided, timestep, inputs["latents"]).prev_sample
    return inputs, {"latents": latents}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", required=True, help="the UNet's config.json")
    parser.add_argument("--model", required=True, help="its name in Stint")
    parser.add_argument("--prediction", default="epsilon", help="epsilon or v_prediction")
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
            inputs, expected = task(unet, arguments.prediction)
            save(task.__name__ + "_inputs", inputs)
            save(task.__name__ + "_expected", expected)
        environment = os.environ | {"STINT_PARITY_FOLDER": folder,
                                    "STINT_PARITY_MODEL": arguments.model}
        return subprocess.run([arguments.test, "--gtest_filter=-Pipeline*:*/Pipeline*"], env=environment,
                              check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Generates pictures with diffusers and transformers, and has Stint's C++ compared with them.

Makes a tiny pipeline with random weights, runs its text encoders, its autoencoder both ways and whole
runs of every sampler, writes weights, inputs and results as .safetensors files into a temporary folder,
then runs the test program, which finds the folder in STINT_PARITY_FOLDER and the pipeline's name in
STINT_PARITY_MODEL.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler,
                       StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

PARTS = {
    "tiny-sd15": ("tiny_unet", ["tiny_sd15_text"], "sd_scheduler"),
    "tiny-sd21": ("tiny_sd21_unet", ["tiny_sd21_text"], "sd21_768_scheduler"),
    "tiny-sdxl": ("tiny_sdxl_unet", ["tiny_sdxl_text", "tiny_sdxl_text_2"], "sdxl_scheduler"),
}
SAMPLERS = {"ddim": (DDIMScheduler, {}),
            "euler": (EulerDiscreteScheduler, {"use_karras_sigmas": False}),
            "dpm++2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True})}
BATCH, HEIGHT, WIDTH, TOKEN_COUNT = 2, 64, 128, 77
STEP_COUNT = 30
GUIDANCE_SCALE = 5.0
END_ID = 49407


def read(configs, name):
    return json.loads((configs / f"{name}.json").read_text())


def shake(module):
    """Norms and biases away from 1 and 0, so that a missing or exchanged one shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn(parameter.shape)
            elif parameter.dim() == 2:
                parameter *= 2
    return module.eval()


def make_text_encoder(config):
    classes = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}
    return shake(classes[config["architectures"][0]](CLIPTextConfig.from_dict(config)))


def make_token_ids():
    """Prompts of different lengths; behind the end token any padding."""
    ids = torch.randint(0, END_ID - 1, (2 * BATCH, TOKEN_COUNT))
    for row, length in enumerate((1, 1, 20, TOKEN_COUNT - 1)):
        ids[row, length] = END_ID
        ids[row, length + 1:] = END_ID if row % 2 == 0 else 0
    return ids


def weights_of(part, module):
    """By part and name as checkpoints have them; newer transformers leave out "text_model."."""
    weights = {}
    for name, value in module.state_dict().items():
        if part.startswith("text_encoder") and not name.startswith(("text_model.", "text_projection.")):
            name = "text_model." + name
        weights[f"{part}.{name}"] = value
    return weights


def encode_text(encoders, token_ids, expected):
    """Prompt states and pooled text as the pipelines make them."""
    states, pooled = [], None
    for index, (encoder, ids) in enumerate(zip(encoders, token_ids)):
        output = encoder(ids, output_hidden_states=True)
        expected[f"last_{index}"] = output.last_hidden_state
        expected[f"penultimate_{index}"] = output.hidden_states[-2]
        if len(encoders) == 2:
            states.append(output.hidden_states[-2])
        else:
            states.append(output.last_hidden_state)
        if isinstance(encoder, CLIPTextModelWithProjection):
            pooled = output.text_embeds
            expected[f"pooled_{index}"] = pooled
    return torch.cat(states, -1), pooled


@torch.no_grad()
def run(configs, model):
    unet_name, text_names, scheduler_name = PARTS[model]
    vae = shake(AutoencoderKL.from_config(read(configs, "tiny_vae")))
    unet = shake(UNet2DConditionModel.from_config(read(configs, unet_name)))
    encoders = [make_text_encoder(read(configs, name)) for name in text_names]
    weights = weights_of("unet", unet) | weights_of("vae", vae)
    inputs, expected = {}, {}
    token_ids = [make_token_ids() for _ in encoders]
    for index, encoder in enumerate(encoders):
        suffix = "" if index == 0 else "_2"
        weights |= weights_of("text_encoder" + suffix, encoder)
        inputs["token_ids" + suffix] = token_ids[index]
    states, pooled = encode_text(encoders, token_ids, expected)

    inputs["picture"] = 2 * torch.rand(1, 3, HEIGHT, WIDTH) - 1
    moments = vae.encode(inputs["picture"]).latent_dist
    expected["moments"] = moments.parameters
    inputs["picture_noise"] = torch.randn(moments.mean.shape)
    latents = moments.mean + moments.std * inputs["picture_noise"]
    expected["picture_latents"] = latents * vae.config.scaling_factor
    expected["decoded"] = vae.decode(latents).sample

    inputs["noise"] = torch.randn(BATCH, 4, HEIGHT // 8, WIDTH // 8)
    inputs["guidance_scale"] = torch.tensor(GUIDANCE_SCALE)
    arguments = {"prompt_embeds": states[BATCH:], "negative_prompt_embeds": states[:BATCH]}
    if pooled is not None:
        size = [HEIGHT, WIDTH, 0, 0, HEIGHT, WIDTH]
        inputs["time_ids"] = torch.tensor([size] * (2 * BATCH), dtype=torch.float32)
        arguments |= {"pooled_prompt_embeds": pooled[BATCH:], "negative_pooled_prompt_embeds": pooled[:BATCH]}
    for name, (scheduler_class, options) in SAMPLERS.items():
        scheduler = scheduler_class.from_config(read(configs, scheduler_name), **options)
        if pooled is None:
            pipeline = StableDiffusionPipeline(
                vae=vae, text_encoder=encoders[0], tokenizer=None, unet=unet, scheduler=scheduler,
                safety_checker=None, feature_extractor=None, requires_safety_checker=False)
        else:
            pipeline = StableDiffusionXLPipeline(
                vae=vae, text_encoder=encoders[0], text_encoder_2=encoders[1], tokenizer=None,
                tokenizer_2=None, unet=unet, scheduler=scheduler, add_watermarker=False)
        pipeline.set_progress_bar_config(disable=True)
        arguments |= {"height": HEIGHT, "width": WIDTH, "num_inference_steps": STEP_COUNT,
                      "guidance_scale": GUIDANCE_SCALE}
        expected["latents_" + name] = pipeline(
            **arguments, latents=inputs["noise"].clone(), output_type="latent").images
        images = pipeline(**arguments, latents=inputs["noise"].clone(), output_type="np").images
        expected["image_" + name] = torch.from_numpy((images * 255).round())
    return weights, inputs, expected


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", required=True, help="models/configs", type=pathlib.Path)
    parser.add_argument("--model", required=True, choices=PARTS)
    parser.add_argument("--test", required=True, help="the test program")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)  # Threads that share tiny ops spend their time waiting for each other.
    with tempfile.TemporaryDirectory() as folder:
        for name, tensors in zip(("weights", "inputs", "expected"), run(arguments.configs, arguments.model)):
            save_file({key: value.contiguous() for key, value in tensors.items()},
                      os.path.join(folder, name + ".safetensors"))
        environment = os.environ | {"STINT_PARITY_FOLDER": folder, "STINT_PARITY_MODEL": arguments.model}
        return subprocess.run([arguments.test, "--gtest_filter=Pipeline*:*/Pipeline*"], env=environment,
                              check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Key conversion against diffusers' own, over the complete key lists of the real models with tensors
of a few numbers: usage convert_test.py STINT."""

import json
import pathlib
import subprocess
import sys
import tempfile
import types
import unittest

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders import single_file_utils as reference
from safetensors.torch import load_file, save_file

STINT = sys.argv[1]
DOWN, CROSS_DOWN = "DownBlock2D", "CrossAttnDownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"
SD = dict(block_out_channels=(320, 640, 1280, 1280), down_block_types=(CROSS_DOWN,) * 3 + (DOWN,),
          up_block_types=(UP,) + (CROSS_UP,) * 3)
UNETS = {
    "sd15": dict(SD, cross_attention_dim=768, attention_head_dim=8),
    "sd21": dict(SD, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20),
                 use_linear_projection=True),
    "sdxl": dict(block_out_channels=(320, 640, 1280), cross_attention_dim=2048,
                 down_block_types=(DOWN, CROSS_DOWN, CROSS_DOWN),
                 up_block_types=(CROSS_UP, CROSS_UP, UP), use_linear_projection=True,
                 attention_head_dim=(5, 10, 20), transformer_layers_per_block=(1, 2, 10),
                 addition_embed_type="text_time", addition_time_embed_dim=256,
                 projection_class_embeddings_input_dim=2816),
}
COUNTS = {"sd15": 686, "sd21": 686, "sdxl": 1680}


def small(sizes):
    return torch.randn([min(size, 2) for size in sizes], dtype=torch.float32).half()


def keys_of(model):
    return {name: small(tensor.shape) for name, tensor in model.state_dict().items()}


def clip_keys(layer_count, has_projection=False):
    """transformers' names of a CLIP text encoder."""
    sizes = {"text_model.embeddings.token_embedding.weight": (2, 2),
             "text_model.embeddings.position_embedding.weight": (2, 2)}
    modules = {"text_model.final_layer_norm": (2,)}
    for i in range(layer_count):
        layer = f"text_model.encoder.layers.{i}."
        for norm in ("layer_norm1", "layer_norm2"):
            modules[layer + norm] = (2,)
        for linear in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                       "self_attn.out_proj", "mlp.fc1", "mlp.fc2"):
            modules[layer + linear] = (2, 2)
    for module, shape in modules.items():
        sizes[module + ".weight"], sizes[module + ".bias"] = shape, (2,)
    if has_projection:
        sizes["text_projection.weight"] = (2, 2)
    return {name: small(shape) for name, shape in sizes.items()}


class ConvertTest(unittest.TestCase):
    def assert_equal(self, actual, expected):
        self.assertEqual(sorted(actual), sorted(expected))
        for name, tensor in expected.items():
            self.assertEqual(actual[name].shape, tensor.shape, name)
            self.assertTrue(torch.equal(actual[name], tensor), name)

    def run_stint(self, *arguments):
        subprocess.run([STINT, *map(str, arguments)], check=True)

    def check(self, name):
        torch.manual_seed(0)
        with torch.device("meta"):
            unet = UNet2DConditionModel(**UNETS[name])
            vae = AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4,
                                up_block_types=("UpDecoderBlock2D",) * 4,
                                block_out_channels=(128, 256, 512, 512), layers_per_block=2,
                                latent_channels=4)
        parts = {"unet": keys_of(unet), "vae": keys_of(vae),
                 "text_encoder": clip_keys(23 if name == "sd21" else 12)}
        if name == "sdxl":
            parts["text_encoder_2"] = clip_keys(32, has_projection=True)
        self.assertEqual(len(parts["unet"]), COUNTS[name])
        self.assertEqual(len(parts["vae"]), 248)
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for part, tensors in parts.items():
                (folder / "model" / part).mkdir(parents=True)
                stem = "model" if part.startswith("text") else "diffusion_pytorch_model"
                save_file(tensors, folder / "model" / part / f"{stem}.safetensors")
            single = folder / "single.safetensors"
            self.run_stint("convert", "--input", folder / "model", "--output", single)
            self.check_against_diffusers(load_file(single), parts, unet, vae, name)
            self.run_stint("convert", "--input", single, "--output", folder / "again")
            for part, tensors in parts.items():
                (path,) = (folder / "again" / part).glob("*.safetensors")
                self.assert_equal(load_file(path), tensors)

    def check_against_diffusers(self, single, parts, unet, vae, name):
        self.assert_equal(reference.convert_ldm_unet_checkpoint(dict(single), unet.config),
                          parts["unet"])
        self.assert_equal(reference.convert_ldm_vae_checkpoint(dict(single), vae.config),
                          parts["vae"])
        model = types.SimpleNamespace(config=types.SimpleNamespace(hidden_size=2))
        if name != "sd21":
            self.assert_equal(reference.convert_ldm_clip_checkpoint(dict(single)),
                              parts["text_encoder"])
        else:
            self.assert_equal(reference.convert_open_clip_checkpoint(model, dict(single)),
                              parts["text_encoder"])
        if name == "sdxl":
            self.assert_equal(
                reference.convert_open_clip_checkpoint(model, dict(single),
                                                       prefix="conditioner.embedders.1.model."),
                parts["text_encoder_2"])
        kind = reference.infer_diffusers_model_type(single)
        self.assertEqual(kind, {"sd15": "v1", "sd21": "v1", "sdxl": "xl_base"}[name])

    def test_sd15(self):
        self.check("sd15")

    def test_sd21(self):
        self.check("sd21")

    def test_sdxl(self):
        self.check("sdxl")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

"""The experiment about pictures: the latents of `stint generate` after the last step beside those of
diffusers' pipelines, from the same folder on the disk, and the tables that docs/parity.md shows."""

import concurrent.futures
import importlib.util
import json
import multiprocessing
import os
import pathlib
import time

import machine
import planning

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs/parity.md"
PROMPT = "A red boat, Ünïcödé & 7 sails!"
SEED = 3
LORA_RANK = 4
# Adapted in every model: attention, a convolution, a text encoder.
LORA_MODULES = [("unet", "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"),
                ("unet", "down_blocks.0.resnets.0.conv1"),
                ("text_encoder", "text_model.encoder.layers.0.self_attn.q_proj")]


def make_lora(pipeline, path, scale):
    """Adapters in PEFT's style; merges `scale` of them into the pipeline's weights, too."""
    import torch
    from safetensors.torch import save_file
    torch.manual_seed(0)
    tensors = {}
    for part, name in LORA_MODULES:
        # Newer transformers leave out "text_model.".
        modules = dict(getattr(pipeline, part).named_modules())
        weight = modules.get(name, modules.get(name.removeprefix("text_model."))).weight
        out_count, in_count, *kernel = weight.shape
        down = torch.randn(LORA_RANK, in_count, *kernel) / in_count**0.5
        up = torch.randn(out_count, LORA_RANK, *[1 for _ in kernel]) / 4
        tensors[f"{part}.{name}.lora_A.weight"] = down
        tensors[f"{part}.{name}.lora_B.weight"] = up
        with torch.no_grad():
            weight += scale * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    save_file(tensors, path)


def make_picture(path, width, height):
    import numpy
    import PIL.Image
    pixels = numpy.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    PIL.Image.fromarray(pixels).save(path)


def with_sampler(pipeline, sampler):
    import diffusers
    classes = {"ddim": diffusers.DDIMScheduler, "euler": diffusers.EulerDiscreteScheduler,
               "dpm++2m": diffusers.DPMSolverMultistepScheduler}
    name = sampler.removesuffix("-karras")
    options = {"use_karras_sigmas": True} if sampler.endswith("-karras") else {}
    pipeline.scheduler = classes[name].from_config(pipeline.scheduler.config, **options)
    return pipeline


def run_diffusers(folder, model, case, row):
    """The latents of diffusers' pipeline, and how long it took. Leaves the row's LoRA file."""
    import diffusers
    import torch
    pipeline = diffusers.DiffusionPipeline.from_pretrained(
        folder / model, torch_dtype=getattr(torch, row.get("dtype", "float32")))
    pipeline = with_sampler(pipeline, row["sampler"])
    if "lora" in row:
        make_lora(pipeline, folder / "lora.safetensors", row["lora"])
    arguments = {"prompt": PROMPT, "num_inference_steps": case["steps"], "output_type": "latent",
                 "guidance_scale": row.get("guidance", 7.5),
                 "negative_prompt": row.get("negative_prompt"),
                 "generator": torch.Generator("cpu").manual_seed(SEED),
                 "num_images_per_prompt": row.get("batch", 1)}
    if is_half(row):
        # Diffusers draws other noise in half precision; Stint's is that of float32 in any.
        noise = torch.randn((row.get("batch", 1), 4, case["height"] // 8, case["width"] // 8),
                            generator=arguments["generator"])
        arguments["latents"] = noise.to(getattr(torch, row["dtype"]))
    if "strength" in row:
        import PIL.Image
        is_xl = hasattr(pipeline, "text_encoder_2")
        pipeline = (diffusers.StableDiffusionXLImg2ImgPipeline(**pipeline.components) if is_xl else
                    diffusers.StableDiffusionImg2ImgPipeline(**pipeline.components,
                                                             requires_safety_checker=False))
        arguments |= {"image": PIL.Image.open(folder / "in.png"), "strength": row["strength"]}
    else:
        arguments |= {"width": case["width"], "height": case["height"]}
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(case.get("device", "cpu"))
    begin = time.monotonic()
    with torch.no_grad():
        latents = pipeline(**arguments).images.float().cpu()
    return latents.numpy(), time.monotonic() - begin


def generate_flags(case, row):
    flags = ["--prompt", PROMPT, "--steps", case["steps"], "--seed", SEED, "--size",
             f"{case['width']}x{case['height']}", "--sampler", row["sampler"], "--guidance",
             row.get("guidance", 7.5), "--batch", row.get("batch", 1), "--device",
             case.get("device", "cpu"), "--dtype", row.get("dtype", "float32")]
    if "budget" in row:
        flags += ["--budget", row["budget"], "--plan-time", 10]
    if "negative_prompt" in row:
        flags += ["--negative-prompt", row["negative_prompt"]]
    if "lora" in row:
        flags += ["--lora", f"lora.safetensors:{row['lora']}"]
    if "strength" in row:
        flags += ["--init-image", "in.png", "--strength", row["strength"]]
    return flags


def run_apart(function, *arguments):
    """In a process of its own, which leaves nothing in RAM or on the GPU."""
    with concurrent.futures.ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def measure_row(stint, model, case, row):
    from safetensors.torch import load_file
    import torch
    expected, diffusers_s = run_apart(run_diffusers, stint.folder, model, case, row)
    expected = torch.from_numpy(expected)
    _, out = stint.run("generate", "--model", model, *generate_flags(case, row), "--cache", "cache",
                       "--latents", "latents.safetensors", "--output", "out.png", "--json")
    summary = json.loads(out)
    actual = load_file(stint.folder / "latents.safetensors")["latents"].float()
    if actual.shape != expected.shape:
        raise SystemExit(f"run.py: latents are {list(actual.shape)}, not {list(expected.shape)}")
    difference = (actual - expected).abs().max().item()
    largest = expected.abs().max().item()
    return {**row, "difference": difference, "largest": largest, "share": difference / largest,
            "arena_bytes": summary["measured_arena_bytes"],
            "arena_off_bytes": summary["measured_arena_bytes"] - summary["predicted_arena_bytes"],
            "process_bytes": summary["process_bytes"], "budget_bytes": summary["budget_bytes"],
            "measured_s": summary["measured_ns"] / 1e9, "diffusers_s": diffusers_s}


def describe(row):
    """What the user says besides the prompt."""
    words = [f"{word} {row[key]!r}" if isinstance(row[key], str) else f"{word} {row[key]}"
             for key, word in (("negative_prompt", "negative prompt"), ("guidance", "guidance"),
                               ("batch", "batch"), ("strength", "from a picture, strength"),
                               ("lora", "LoRA, scale"), ("dtype", "in"), ("budget", "within"))
             if key in row]
    return ", ".join(words) or "-"


def is_half(row):
    return row.get("dtype", "float32") != "float32"


def summarise(rows):
    exact = [row for row in rows if not is_half(row)]
    return {"row_count": len(rows), "max_difference": max(row["difference"] for row in exact),
            "max_share": max(row["share"] for row in exact),
            "max_half_share": max((row["share"] for row in rows if is_half(row)), default=0.0),
            "arena_off_count": sum(row["arena_off_bytes"] != 0 for row in rows),
            "over_budget_count": sum("budget" in row and row["process_bytes"] > row["budget_bytes"]
                                     for row in rows)}


def table_of(result):
    heads = ["sampler", "besides", "largest latent", "largest difference", "arena bytes",
             "off bytes", "process GiB", "s", "diffusers' s"]
    lines = [heads, ["---"] * len(heads)]
    for row in result["rows"]:
        lines.append([row["sampler"], describe(row), f"{row['largest']:.3f}",
                      f"{row['difference']:.1e}", str(row["arena_bytes"]),
                      str(row["arena_off_bytes"]),
                      f"{row['process_bytes'] / 2**30:.2f}" if "budget" in row else "",
                      f"{row['measured_s']:.1f}", f"{row['diffusers_s']:.1f}"])
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{text}\n\n{result['title']}; {result['versions']}.\n"


def versions():
    import diffusers
    import torch
    import transformers
    return (f"diffusers {diffusers.__version__}, transformers {transformers.__version__}, "
            f"torch {torch.__version__}")


def measure_case(stint, case):
    model = case["name"]
    stint.run("make-weights", "--model", case["model"], "--output", model)
    make_picture(stint.folder / "in.png", case["width"], case["height"])
    rows = []
    for row in case["rows"]:
        rows.append(measure_row(stint, model, case, row))
        print(f"  {row['sampler']:>14}  {describe(row)}: {rows[-1]['difference']:.1e} of "
              f"{rows[-1]['largest']:.3f}, {rows[-1]['measured_s']:.1f} s beside "
              f"{rows[-1]['diffusers_s']:.1f} s", flush=True)
    return {"case": case["name"], "title": case["title"], "versions": versions(), "rows": rows,
            "summary": summarise(rows)}


def run_cases(folder, config, expected, target, stint, arguments):
    """Measures all cases; returns what is not as expected."""
    os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # For both: float32 is to be float32 on a GPU, too.
    if importlib.util.find_spec("diffusers") is None:
        print(f"{folder.name}: skipped, there is no diffusers", flush=True)
        return []
    results = []
    for case in config["quick" if arguments.quick else "full"]:
        if arguments.cases and case["name"] not in arguments.cases:
            continue
        if not machine.has_device(case.get("device", "cpu")):
            print(f"{folder.name}/{case['name']}: skipped, there is no {case['device']}",
                  flush=True)
            continue
        print(f"{folder.name}/{case['name']}", flush=True)
        result = measure_case(stint, case)
        (target / f"{case['name']}.result.json").write_text(json.dumps(result, indent=1) + "\n")
        results.append(result)
    if arguments.update_docs:
        text = DOCUMENT.read_text()
        for result in results:
            text = planning.put_table(text, result["case"], table_of(result))
        DOCUMENT.write_text(text)
    return list(planning.check(expected, results)) if arguments.check else []

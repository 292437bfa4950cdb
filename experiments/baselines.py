"""The same training step in PyTorch with diffusers' UNet and fused AdamW, from the configuration that a
profile carries, with random weights. On a GPU the whole step is one CUDA graph, so that no time is the
host's; on a CPU it is the wall clock's. Run as a program, measures one setting and prints JSON."""

import contextlib
import gc
import json
import statistics
import subprocess
import sys
import time

WARM_UP_COUNT = 3
TIMED_COUNT = 20


def measure_beside(cases):
    """Measures the settings of all cases, each in a process of its own, one after another. Fills in
    each case's `baseline_rows`; what fails there says so in its row and ends nothing else."""
    for case in cases:
        case["baseline_rows"] = []
        for setting in case.get("baselines", []):
            asked = {"workload": case["workload_of_profile"], "device": case["device"], **setting}
            done = subprocess.run([sys.executable, __file__, json.dumps(asked)],
                                  capture_output=True, text=True)
            lines = done.stdout.strip().splitlines()
            answer = (json.loads(lines[-1]) if done.returncode == 0 and lines else
                      {"failure": (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]})
            case["baseline_rows"].append({"label": setting["label"], **answer})
            print(f"  {case['name']}, {setting['label']}: {answer}", flush=True)


def cells_of(row):
    if "failure" in row:
        return [row["label"], f"failed: {row['failure']}", "", ""]
    return [row["label"], f"{row['median_ms']:.1f} ± {row['spread_ms']:.1f}",
            str(row["allocated_bytes"]), f"{row['first_step_s']:.0f}"]


def make_unet(asked, torch):
    import diffusers
    workload = asked["workload"]
    with torch.device(asked["device"]):
        unet = diffusers.UNet2DConditionModel.from_config(json.loads(workload["config_json"]))
    dtype = torch.float32 if asked.get("has_autocast") else getattr(torch, workload["dtype"])
    unet.to(dtype).train()
    if asked.get("is_channels_last"):
        unet.to(memory_format=torch.channels_last)
    if asked.get("has_checkpointing"):
        # Without a copy of the generator's state, which no graph can take; nothing here is random.
        from torch.utils.checkpoint import checkpoint
        unet.enable_gradient_checkpointing(lambda module, *inputs: checkpoint(
            module.__call__, *inputs, use_reentrant=False, preserve_rng_state=False))
    return unet, dtype


def make_inputs(asked, unet, dtype, torch):
    workload, device = asked["workload"], asked["device"]
    batch = workload["batch_count"]
    sizes = (batch, unet.config.in_channels, workload["height_px"] // 8, workload["width_px"] // 8)
    latent = torch.randn(sizes, device=device, dtype=dtype)
    if asked.get("is_channels_last"):
        latent = latent.to(memory_format=torch.channels_last)
    inputs = {"sample": latent, "timestep": torch.randint(0, 1000, (batch,), device=device),
              "encoder_hidden_states": torch.randn(batch, 77, unet.config.cross_attention_dim,
                                                   device=device, dtype=dtype)}
    if unet.config.addition_embed_type == "text_time":
        time_id_count = 6
        pooled = (unet.config.projection_class_embeddings_input_dim
                  - time_id_count * unet.config.addition_time_embed_dim)
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.randn(batch, pooled, device=device, dtype=dtype),
            "time_ids": torch.full((batch, time_id_count), 1024.0, device=device, dtype=dtype)}
    return inputs, torch.randn_like(latent)


def make_step(asked, torch):
    """A whole training step, and what must be called once before each."""
    unet, dtype = make_unet(asked, torch)
    inputs, target = make_inputs(asked, unet, dtype, torch)
    is_cuda = asked["device"].startswith("cuda")
    options = {"lr": 1e-5, "fused": True, "capturable": is_cuda}
    model = torch.compile(unet) if asked.get("is_compiled") else unet
    if asked.get("updates_in_backward"):
        for parameter in unet.parameters():
            update_at_once(parameter, torch.optim.AdamW([parameter], **options))
        optimizer = None
    else:
        optimizer = torch.optim.AdamW(unet.parameters(), **options)

    def step():
        casting = (torch.autocast(asked["device"].split(":")[0], torch.bfloat16)
                   if asked.get("has_autocast") else contextlib.nullcontext())
        with casting:
            predicted = model(**inputs, return_dict=False)[0]
        torch.nn.functional.mse_loss(predicted.float(), target.float()).backward()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return step


def update_at_once(parameter, optimizer):
    def update(_):
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    parameter.register_post_accumulate_grad_hook(update)


def capture(step, torch):
    """One graph of the step, after the runs that libraries need to load what they use."""
    side = torch.cuda.Stream()
    begin = time.perf_counter()
    with torch.cuda.stream(side):
        for _ in range(WARM_UP_COUNT):
            step()
    torch.cuda.synchronize()
    first_step_s = time.perf_counter() - begin
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    torch.cuda.synchronize()
    return graph.replay, first_step_s


def time_on_gpu(replay, torch):
    events = [torch.cuda.Event(enable_timing=True) for _ in range(TIMED_COUNT + 2)]
    for event in events:
        event.record()
        replay()
    torch.cuda.synchronize()
    # The first one comes to an idle device.
    return [before.elapsed_time(after) for before, after in zip(events[1:], events[2:])]


def time_on_cpu(step):
    times_ms = []
    for _ in range(3):
        begin = time.perf_counter()
        step()
        times_ms.append(1e3 * (time.perf_counter() - begin))
    return times_ms


def measure(asked):
    import torch
    torch.manual_seed(0)
    step = make_step(asked, torch)
    if asked["device"].startswith("cuda"):
        replay, first_step_s = capture(step, torch)
        times_ms = time_on_gpu(replay, torch)
        allocated_bytes = torch.cuda.max_memory_allocated()
    else:
        times_ms = time_on_cpu(step)
        first_step_s, allocated_bytes = times_ms[0] / 1e3, 0
    quartiles = statistics.quantiles(times_ms, n=4)
    return {"median_ms": statistics.median(times_ms), "spread_ms": (quartiles[2] - quartiles[0]) / 2,
            "allocated_bytes": allocated_bytes, "first_step_s": first_step_s,
            "version": f"torch {torch.__version__}"}


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))

"""A training loop of diffusers and PyTorch over the samples that `stint train` draws: what its loss
curve is held against. Pictures must have the size they are trained at; with buckets, that of
theirs."""

import numpy
import torch


def mix(x):
    """The finalizer of splitmix64."""
    mask = (1 << 64) - 1
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def key_of(seed, name):
    """models/random.h: FNV-1a of the name, mixed with the seed."""
    mask = (1 << 64) - 1
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & mask
    return mix((value + mix((seed + 0x9E3779B97F4A7C15) & mask)) & mask)


class Samples:
    """What trainer/step_inputs.h and trainer/data_order.h say of sample g under a seed."""

    def __init__(self, seed, picture_count, buckets=None, samples_per_step=1):
        self.seed = seed
        self.buckets = buckets or [0] * picture_count  # By picture; all numbers up to the largest.
        self.bucket_count = max(self.buckets) + 1
        # With one bucket, steps go on through the epochs.
        self.multiple = samples_per_step if self.bucket_count > 1 else 1
        self.samples_per_epoch = len(self.epoch(0))

    def shuffled(self, numbers, what, epoch):
        return sorted(numbers, key=lambda i: key_of(self.seed,
                                                    f"place of {what} {i} in epoch {epoch}"))

    def epoch(self, epoch):
        """The picture of each sample."""
        pictures = []
        for bucket in self.shuffled(range(self.bucket_count), "bucket", epoch):
            own = self.shuffled([i for i, its in enumerate(self.buckets) if its == bucket],
                                "picture", epoch)
            count = -(-len(own) // self.multiple) * self.multiple
            pictures += [own[i % len(own)] for i in range(count)]
        return pictures

    def picture(self, sample):
        return self.epoch(sample // self.samples_per_epoch)[sample % self.samples_per_epoch]

    def timestep(self, sample):
        return key_of(self.seed, f"timestep {sample}") % 1000

    def normal(self, what, sample, sizes):
        generator = torch.Generator().manual_seed(key_of(self.seed, f"{what} {sample}"))
        return torch.randn(sizes, generator=generator)


def encode(model, pictures, device):
    """Of each (path, caption): the distribution of its latents and its text states, and what
    latents are multiplied with."""
    from diffusers import AutoencoderKL
    from PIL import Image
    from transformers import CLIPTextModel, CLIPTokenizer
    vae = AutoencoderKL.from_pretrained(model / "vae").to(device)
    text_encoder = CLIPTextModel.from_pretrained(model / "text_encoder").to(device)
    tokenizer = CLIPTokenizer.from_pretrained(model / "tokenizer")
    encoded = []
    with torch.no_grad():
        for path, caption in pictures:
            pixels = numpy.asarray(Image.open(path), dtype=numpy.float32)
            pixels = torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None].to(device)
            ids = tokenizer(caption, padding="max_length", max_length=77, truncation=True,
                            return_tensors="pt").input_ids.to(device)
            encoded.append((vae.encode(pixels).latent_dist,
                            text_encoder(ids).last_hidden_state[0]))
    return encoded, vae.config.scaling_factor


def loss_curve(model, pictures, seed, step_count, batch, rate, device="cpu", schedule="constant",
               warmup=0, clip_norm=None, min_snr=None, buckets=None):
    """(loss, learning rate) of each step of full fine-tuning in float32 with AdamW. `model` is a
    diffusers folder with SD 1.5's parts, `pictures` are (path, caption) by name, of `buckets`."""
    from diffusers import DDPMScheduler, UNet2DConditionModel
    from diffusers.optimization import get_scheduler
    encoded, scaling_factor = encode(model, pictures, device)
    unet = UNet2DConditionModel.from_pretrained(model / "unet").to(device)
    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=rate, weight_decay=1e-2)
    rates = get_scheduler(schedule if warmup == 0 or schedule != "constant"
                          else "constant_with_warmup", optimizer, num_warmup_steps=warmup,
                          num_training_steps=step_count)
    draw = Samples(seed, len(pictures), buckets, batch)
    curve = []
    for step in range(step_count):
        samples = range(step * batch, (step + 1) * batch)
        chosen = [encoded[draw.picture(sample)] for sample in samples]
        latents = torch.stack([
            (moments.mean + moments.std
             * draw.normal("latents", sample, moments.mean.shape).to(device))[0]
            for sample, (moments, _) in zip(samples, chosen)]) * scaling_factor
        noise = torch.stack([draw.normal("noise", sample, (latents[0].numel(),))
                             .view(latents[0].shape) for sample in samples]).to(device)
        timesteps = torch.tensor([draw.timestep(sample) for sample in samples])
        noisy = scheduler.add_noise(latents, noise, timesteps.to(device))
        predicted = unet(noisy, timesteps.to(device),
                         torch.stack([states for _, states in chosen])).sample
        errors = (predicted - noise).square().mean(dim=(1, 2, 3))
        if min_snr is not None:
            shares = scheduler.alphas_cumprod[timesteps]
            snr = shares / (1 - shares)
            errors = errors * (snr.clamp(max=min_snr) / snr).to(device)
        loss = errors.mean()
        optimizer.zero_grad()
        loss.backward()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(unet.parameters(), clip_norm)
        curve.append((loss.item(), rates.get_last_lr()[0]))
        optimizer.step()
        rates.step()
    return curve

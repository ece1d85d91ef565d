#!/usr/bin/env python3
"""Times training steps as the official training.py takes them, in PyTorch and diffusers, for comparison with `histdist train`:

    python scripts/bench_training_torch.py MODEL HE.png IHC.png [--steps N] [--threads N] [--channels-last] [--no-checkpointing]

MODEL is a folder as diffusers saves it, with Phikon in its folder phikon. Float32, batch 1, gradient checkpointing, clipping, AdamW; generation
in even steps, translation in odd ones; the frozen networks run in every step, as there. Prints the seconds of each step and the
peak resident memory.
"""

import argparse
import resource
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel, ViTModel


def image(path):
    x = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), dtype=np.float32))
    return (x / 127.5 - 1).permute(2, 0, 1)[None]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("he")
    parser.add_argument("ihc")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--no-checkpointing", action="store_true")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    unet = UNet2DConditionModel.from_pretrained(a.model, subfolder="unet")
    vae = AutoencoderKL.from_pretrained(a.model, subfolder="vae").requires_grad_(False)
    phikon = ViTModel.from_pretrained(a.model + "/phikon", add_pooling_layer=False).requires_grad_(False)
    text = CLIPTextModel.from_pretrained(a.model, subfolder="text_encoder")
    with torch.no_grad():
        prompt = text(torch.zeros(1, 77, dtype=torch.long))[0]
    del text
    noise = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
                          rescale_betas_zero_snr=True)
    unet.train()
    if not a.no_checkpointing:
        unet.enable_gradient_checkpointing()
    if a.channels_last:
        unet.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-5, weight_decay=1e-2)
    he, ihc = image(a.he), image(a.ihc)
    for step in range(a.steps):
        begin = time.perf_counter()
        translation = step % 2 == 1
        with torch.no_grad():
            latents = vae.encode(ihc if translation else he).latent_dist.sample() * vae.config.scaling_factor
            condition, context = torch.zeros_like(latents), prompt
            if translation:
                condition = vae.encode(he).latent_dist.mode()
                context = phikon(F.interpolate(he, 224, mode="bicubic", antialias=True)).last_hidden_state
        encoded = time.perf_counter()
        eps = torch.randn_like(latents)
        t = torch.randint(0, 1000, (1,))
        sample = torch.cat([noise.add_noise(latents, eps, t), condition], 1)
        loss = F.mse_loss(unet(sample, t, context).sample, noise.get_velocity(latents, eps, t))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        end = time.perf_counter()
        print(f"step {step + 1}  {'translation' if translation else 'generation '}  {end - begin:.2f} s ({encoded - begin:.2f} s to encode)"
              f"  peak resident {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB", flush=True)


main()

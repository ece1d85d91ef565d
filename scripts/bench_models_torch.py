#!/usr/bin/env python3
"""Times PyTorch on the networks of `histdist bench`: Stable Diffusion 1.5's U-Net with 8 input channels, its VAE, CLIP's text encoder and
Phikon's ViT-B/16, random weights, float32, batch 1: python scripts/bench_models_torch.py [--threads N] [--runs N] [--training]

Each network runs in NCHW and in channels_last; the least time of the runs counts. Prints seconds and peak resident memory so far.
"""

import argparse
import resource
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, ViTConfig, ViTModel


def unet():
    return UNet2DConditionModel(in_channels=8, cross_attention_dim=768, attention_head_dim=8)


def vae():
    return AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                         block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512)


def text():
    return CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12))


def vit():
    return ViTModel(ViTConfig(), add_pooling_layer=False)


def best(run, runs):
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)


def report(name, seconds):
    print(f"{name:>16} {seconds:9.3f} s   peak resident {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--training", action="store_true")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    sample, t, context = torch.randn(1, 8, 64, 64), torch.tensor(500), torch.randn(1, 197, 768)
    image, latents, pixels = torch.rand(1, 3, 512, 512) * 2 - 1, torch.randn(1, 4, 64, 64), torch.randn(1, 3, 224, 224)
    ids = torch.randint(0, 49407, (1, 77))
    cases = [
        ("unet", unet, lambda m: m(sample, t, context)),
        ("vae-encode", vae, lambda m: m.encode(image)),
        ("vae-decode", vae, lambda m: m.decode(latents)),
        ("vit", vit, lambda m: m(pixels)),
        ("text", text, lambda m: m(ids)),
    ]
    for name, make, run in cases:
        model = make().eval()
        with torch.no_grad():
            seconds = best(lambda: run(model), a.runs)
            if name in ("unet", "vae-encode", "vae-decode"):
                model = model.to(memory_format=torch.channels_last)
                seconds = min(seconds, best(lambda: run(model), a.runs))
        report(name, seconds)
        del model
    if a.training:
        model = unet()
        model.enable_gradient_checkpointing()
        model.train()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
        target = torch.randn(1, 4, 32, 32)

        def step():
            loss = torch.nn.functional.mse_loss(model(sample[:, :, :32, :32], t, context).sample, target)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
            optimizer.step()
            optimizer.zero_grad()

        report("unet-train-32", best(step, a.runs))


main()

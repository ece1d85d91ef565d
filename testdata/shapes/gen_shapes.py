#!/usr/bin/env python3
"""Lists the layers of Stable Diffusion 1.5's U-Net (8 input channels, 197 context tokens) and VAE at full size, by tracing
diffusers' modules without memory (torch's meta device). README.md says what the lines mean.

    python gen_shapes.py unet|vae_dec|vae_enc [LATENT_SIDE] > FILE.tsv        LATENT_SIDE: default 64, a 512-pixel image
"""

import argparse
import collections

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode

# Smaller additions and copies are those of embeddings and time steps.
LARGE = 100_000


class Layers(TorchDispatchMode):
    """Counts the operations of a forward pass by kind and shape."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        layer = describe(str(function), args, result)
        if layer:
            self.counts[layer] += 1
        return result


def describe(name, a, result):
    """The kind and the dimensions of one operation, or None where it is no layer."""
    name = name.removeprefix("aten.").split(".")[0]
    if name == "convolution":
        return "conv", *a[0].shape, a[1].shape[0], a[1].shape[2], a[3][0], a[4][0]
    if name == "addmm":
        return "linear", *a[1].shape, a[2].shape[1], 1
    if name == "mm":
        return "linear", *a[0].shape, a[1].shape[1], 0
    if name == "native_group_norm":
        return "gn", *a[0].shape
    if name == "native_layer_norm":
        return "ln", a[0].numel() // a[0].shape[-1], a[0].shape[-1]
    if name == "bmm":
        return "bmm", *a[0].shape, a[1].shape[2]
    if name in ("silu", "gelu"):
        return name, a[0].numel()
    if name == "cat":
        return "cat", result.numel()
    if "upsample" in name:
        return "up", result.numel()
    if name == "_softmax":
        return "softmax", result.numel()
    if name == "add" and result.numel() > LARGE:
        return "add", result.numel()
    if name in ("clone", "_to_copy", "copy") and result.numel() > LARGE:
        return "copy", result.numel()
    return None


def network(task, side):
    if task == "unet":
        unet = UNet2DConditionModel(sample_size=64, in_channels=8, out_channels=4, layers_per_block=2, cross_attention_dim=768,
                                    attention_head_dim=8, block_out_channels=[320, 640, 1280, 1280])
        return unet, (torch.empty(1, 8, side, side), torch.empty(1), torch.empty(1, 197, 768))
    vae = AutoencoderKL(in_channels=3, out_channels=3, down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                        block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4)
    if task == "vae_dec":
        return vae.decoder, (torch.empty(1, 4, side, side),)
    return vae.encoder, (torch.empty(1, 3, side * 8, side * 8),)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["unet", "vae_dec", "vae_enc"])
    parser.add_argument("side", type=int, nargs="?", default=64)
    options = parser.parse_args()
    with torch.device("meta"), torch.no_grad():
        module, inputs = network(options.task, options.side)
        with Layers() as layers:
            module.eval()(*inputs)
    for (kind, *dims), count in sorted(layers.counts.items()):
        print(kind, count, *dims, sep="\t")


if __name__ == "__main__":
    main()

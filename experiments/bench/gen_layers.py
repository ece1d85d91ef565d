#!/usr/bin/env python3
"""Lists the layers of Stable Diffusion 1.5's U-Net (8 input channels, 197 context tokens) and VAE for an image of 512
pixels, by tracing diffusers 0.32.1 without memory (torch's meta device): python gen_layers.py > layers.json

Count is how often the forward pass has the layer. Dims by Kind:

    conv      [N, C, H, W, output channels, kernel, stride, padding], the input as padded by the caller, with bias
    linear    [M, K, N, bias]: M rows, K → N, bias 1 or 0
    gn        [N, C, H, W] or [N, C, L]: GroupNorm of 32 groups; SiLU after it is not marked
    ln        [M, C]: LayerNorm of M rows
    sdpa      [heads, Lq, Lk, d]: scaled_dot_product_attention
    geglu     [M, 2C]: the first half times gelu of the second
    silu      [elements]
"""

import collections
import json

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils._python_dispatch import TorchDispatchMode


class Layers(TorchDispatchMode):
    """Counts the layers of a forward pass by kind and dims."""

    def __init__(self):
        super().__init__()
        self.counts = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        layer = describe(str(function).removeprefix("aten.").split(".")[0], args)
        if layer:
            self.counts[layer] += 1
        return function(*args, **(kwargs or {}))


def describe(name, a):
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
    if name == "gelu":
        return "geglu", a[0].numel() // a[0].shape[-1], 2 * a[0].shape[-1]
    if name == "silu":
        return "silu", a[0].numel()
    return None


def trace(module, *inputs):
    with Layers() as layers:

        def attention(q, k, v, **_):
            layers.counts["sdpa", q.shape[1], q.shape[2], k.shape[2], q.shape[3]] += 1
            return torch.empty_like(q)

        F.scaled_dot_product_attention = attention
        module.eval()(*inputs)
    return [{"Kind": kind, "Count": n, "Dims": dims} for (kind, *dims), n in sorted(layers.counts.items())]


with torch.device("meta"), torch.no_grad():
    unet = UNet2DConditionModel(in_channels=8, cross_attention_dim=768, attention_head_dim=8)
    vae = AutoencoderKL(down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
                        block_out_channels=[128, 256, 512, 512], layers_per_block=2)
    networks = {
        "unet": trace(unet, torch.empty(1, 8, 64, 64), torch.empty(1), torch.empty(1, 197, 768)),
        "vae-encode": trace(vae.encoder, torch.empty(1, 3, 512, 512)),
        "vae-decode": trace(vae.decoder, torch.empty(1, 4, 64, 64)),
    }
lines = [f'"{name}": [\n' + ",\n".join(map(json.dumps, layers)) + "\n]" for name, layers in networks.items()]
print("{\n" + ",\n".join(lines) + "\n}")

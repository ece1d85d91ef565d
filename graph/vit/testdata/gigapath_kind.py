"""A small vision transformer of GigaPath's kind, run by timm -> timm.json: python gigapath_kind.py > timm.json

Weights and input are made by formula: internal/formula says which. float64 beside float32 gives the tolerance.
"""

import json
import math
import sys

import numpy as np
import timm
import torch
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer

SEED, GAIN, M64 = 7, 1.0, (1 << 64) - 1


def mix(z):
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M64
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M64
    return z ^ (z >> 31)


def values(name, shape, a, c):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    key, n = mix(h ^ SEED), math.prod(shape)
    f = np.array([(mix((key + (i + 1) * 0x9E3779B97F4A7C15) & M64) >> 40) / 2**23 - 1 for i in range(n)], np.float32)
    f *= np.float32(a)
    return torch.from_numpy((f + np.float32(c) if c else f).reshape(shape))


def rule(name, shape):
    if len(shape) == 1:
        return (0.1, 1.0) if name.endswith(".weight") else (0.05, 0.0)
    return GAIN * math.sqrt(3.0 / math.prod(shape[1:])), 0.0


def inventory(net):
    return {n: list(p.shape) for n, p in net.named_parameters()}


@torch.no_grad()
def main():
    shape = dict(img_size=32, patch_size=16, embed_dim=24, depth=2, num_heads=3)
    kind = dict(mlp_ratio=5.33334, mlp_layer=SwiGLUPacked, act_layer=torch.nn.SiLU, init_values=1e-5, num_classes=0)
    net = VisionTransformer(**shape, **kind).eval()
    for n, p in net.named_parameters():
        p.copy_(values(n, tuple(p.shape), *rule(n, tuple(p.shape))))
        if n.endswith(".gamma"):  # around 1, so that the branches count
            p.add_(1.0)
    x = values("input/pixels", (2, 3, 32, 32), math.sqrt(3.0), 0.0)
    tokens = net.forward_features(x)
    pooled = net(x)
    exact = net.double().forward_features(x.double())
    with torch.device("meta"):
        giga = timm.create_model("vit_giant_patch14_dinov2", img_size=224, patch_size=16, mlp_ratio=5.33334, init_values=1e-5, num_classes=0)
    json.dump({
        "timm": timm.__version__, "torch": torch.__version__, "seed": SEED, "gain": GAIN, "gamma_offset": 1.0, "input_amplitude": math.sqrt(3.0),
        "config": {**shape, "hidden": net.blocks[0].mlp.fc1.out_features}, "tensors": inventory(net),
        "tokens": {"shape": list(tokens.shape), "data": [float(v) for v in tokens.flatten()]},
        "pooled": {"shape": list(pooled.shape), "data": [float(v) for v in pooled.flatten()]},
        "tolerance": 4 * float((tokens.double() - exact).abs().max()),
        "gigapath": {"parameters": sum(p.numel() for p in giga.parameters()),
                     "tensors": {n: s for n, s in inventory(giga).items() if not n.startswith("blocks.") or n.startswith("blocks.39.")}},
    }, sys.stdout)
    print()


main()

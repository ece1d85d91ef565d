#!/usr/bin/env python3
"""Trains the engine's example network in PyTorch for 50 steps and writes its losses to graph/testdata/example.json.

    python gen_example.py [OUT]        OUT: default graph/testdata/example.json of the repository

One thread of a CPU, float32, deterministic; the same run in float64 gives the tolerance. The network, for images x [2,4,8,8] (NCHW):

    conv_in       3x3 convolution, 4 -> 16 channels, padding 1, bias
    norm          GroupNorm, 4 groups, eps 1e-5, then SiLU: h, as tokens [2,64,16]
    attn.to_*     q, k, v = linear layers of h, 16 -> 16, no bias; attention with 2 heads of 8
    attn.to_out.0 linear layer 16 -> 16 with bias, plus h
    conv_out      3x3 convolution, 16 -> 4 channels, padding 1, bias
    loss          mean of the squared difference from target [2,4,8,8]

AdamW: learning rate 1e-2, betas 0.9 and 0.999, eps 1e-8, weight decay 1e-2 on every parameter. losses[i] is the loss of step i before
its update, so losses[0] is that of the initial weights.

Everything that the run starts from comes from a formula that any language repeats exactly. Element i (row-major) of a tensor is

    value(i) = base + scale * ((splitmix64(offset + i) >> 40) / 2^24 - 0.5)

where splitmix64(z), in 64-bit integers that wrap, is

    z += 0x9E3779B97F4A7C15;  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;  z = (z ^ z >> 27) * 0x94D049BB133111EB;  return z ^ z >> 31

All scales are powers of two: each term is exact in float32 and base + scale * ... is rounded once, with or without a fused
multiply-add. i counts in the layout of the Go program, not PyTorch's: images [N,H,W,C], kernels of convolutions [KH,KW,I,O], weights of
linear layers [out,in]. This program fills a tensor in that layout and permutes it to PyTorch's NCHW and OIHW.
"""

import json
import math
import platform
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

STEPS, HEADS, GROUPS, EPS = 50, 2, 4, 1e-5
ADAMW = {"lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 1e-2}

# name, shape in the Go program's layout, base, scale; the offset of entry k is k * 1,000,000
TENSORS = [
    ("x", [2, 8, 8, 4], 0, 4),
    ("target", [2, 8, 8, 4], 0, 2),
    ("conv_in.weight", [3, 3, 4, 16], 0, 0.5),
    ("conv_in.bias", [16], 0, 0.25),
    ("norm.weight", [16], 1, 0.5),
    ("norm.bias", [16], 0, 0.25),
    ("attn.to_q.weight", [16, 16], 0, 1),
    ("attn.to_k.weight", [16, 16], 0, 1),
    ("attn.to_v.weight", [16, 16], 0, 1),
    ("attn.to_out.0.weight", [16, 16], 0, 1),
    ("attn.to_out.0.bias", [16], 0, 0.25),
    ("conv_out.weight", [3, 3, 16, 4], 0, 0.25),
    ("conv_out.bias", [4], 0, 0.25),
]


def splitmix64(z):
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def values(offset, shape, base, scale):
    bits = splitmix64(np.uint64(offset) + np.arange(math.prod(shape), dtype=np.uint64)) >> np.uint64(40)
    unit = bits.astype(np.float32) / np.float32(2**24) - np.float32(0.5)
    return (np.float32(base) + np.float32(scale) * unit).reshape(shape)


def torch_layout(name, v):
    if name in ("x", "target"):
        v = v.transpose(0, 3, 1, 2)  # NHWC -> NCHW
    elif v.ndim == 4:
        v = v.transpose(3, 2, 0, 1)  # HWIO -> OIHW
    return torch.from_numpy(np.ascontiguousarray(v))


def loss_of(p, x, target):
    h = F.conv2d(x, p["conv_in.weight"], p["conv_in.bias"], padding=1)
    h = F.silu(F.group_norm(h, GROUPS, p["norm.weight"], p["norm.bias"], EPS))
    n, c, height, width = h.shape
    h = h.flatten(2).transpose(1, 2)  # [N,C,H,W] -> [N,L,C]
    q, k, v = (F.linear(h, p[f"attn.to_{name}.weight"]).view(n, -1, HEADS, c // HEADS).transpose(1, 2) for name in "qkv")
    a = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, -1, c)
    h = h + F.linear(a, p["attn.to_out.0.weight"], p["attn.to_out.0.bias"])
    h = h.transpose(1, 2).reshape(n, c, height, width)
    return F.mse_loss(F.conv2d(h, p["conv_out.weight"], p["conv_out.bias"], padding=1), target)


def train(dtype):
    """Returns the STEPS losses of the run in this dtype; the start is rounded to float32 in either."""
    p = {name: torch_layout(name, values(k * 1_000_000, shape, base, scale)).to(dtype) for k, (name, shape, base, scale) in enumerate(TENSORS)}
    x, target = p.pop("x"), p.pop("target")
    for parameter in p.values():
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(list(p.values()), lr=ADAMW["lr"], betas=tuple(ADAMW["betas"]), eps=ADAMW["eps"], weight_decay=ADAMW["weight_decay"], foreach=False, fused=False)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(p, x, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def round_up(x):
    """The next of 1, 2, 5 times a power of ten."""
    e = math.floor(math.log10(x))
    return next(float(f"{m}e{e}") for m in (1, 2, 5, 10) if x <= m * 10**e * (1 + 1e-9))


def main():
    root = Path(__file__).resolve().parents[2]
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "graph" / "testdata" / "example.json"
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    losses, losses64 = train(torch.float32), train(torch.float64)
    assert losses == train(torch.float32), "two runs differ"
    measured = max(abs(a - b) / b for a, b in zip(losses, losses64))
    text = {
        "generator": "testdata/example/gen_example.py",
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__, "cpu": torch.backends.cpu.get_cpu_capability()},
        "network": {"heads": HEADS, "groups": GROUPS, "groupnorm_eps": EPS},
        "adamw": ADAMW,
        "tensors": [{"name": name, "shape": shape, "offset": k * 1_000_000, "base": base, "scale": scale} for k, (name, shape, base, scale) in enumerate(TENSORS)],
        "first_values": {name: [float(v) for v in values(k * 1_000_000, shape, base, scale).flat[:3]] for k, (name, shape, base, scale) in enumerate(TENSORS)},
        "tolerance": {"note": "|loss - losses[i]| <= rtol * losses[i]; rtol is 4 times the largest relative difference between float32 and float64, rounded up", "measured": float(f"{measured:.2e}"), "rtol": round_up(4 * measured)},
        "losses": [float(f"{v:.9g}") for v in losses],
        "losses_float64": [float(f"{v:.9g}") for v in losses64],
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(text, indent=1) + "\n")
    print(f"{out}: loss {losses[0]:.6f} -> {losses[-1]:.6f}, float32 against float64 {measured:.1e}")


if __name__ == "__main__":
    main()

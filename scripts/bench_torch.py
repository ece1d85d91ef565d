#!/usr/bin/env python3
"""Times PyTorch on every layer of a shapes file (testdata/shapes): the peer that the engine's own times are compared with.

    python scripts/bench_torch.py --shapes testdata/shapes/unet.tsv [--threads N] [--budget SECONDS] [--forward-only]

One JSON line a layer: {"kind", "shape", "count", "forward_s", "forward_backward_s"}, after a first line that names the machine.
Times are seconds of one call in float32, the least of the calls that fit into the budget. forward_s is without gradients;
forward_backward_s is a forward pass with gradients and a backward pass to the input and every parameter. A convolution is timed in NCHW
and in channels_last, and the faster of the two counts. The sum over the file, weighted by the counts, goes to standard error.

kind and shape:
    conv      [N, C, H, W, O, k, stride, pad], with bias
    linear    [M, K, N, bias]
    gn        [N, C, H, W] or [N, C, L], 32 groups, affine
    ln        [M, C], affine
    sdpa      [heads, Lq, Lk, d]: scaled_dot_product_attention, from the pair of `bmm` lines that a trace shows for it
    geglu     [M, 2C]: first half times gelu of the second, from a `gelu` line and the linear layers before and after it
    gelu      [elements]: where there are no such layers
    silu      [elements]
Lines of other kinds (add, cat, copy, up, softmax) move memory only or belong to one of these; they are left out.
"""

import argparse
import json
import os
import sys
import time

import torch
import torch.nn.functional as F


def read_shapes(path):
    """Yields (kind, count, dims) for each line."""
    with open(path) as f:
        for line in f:
            kind, count, *dims = line.split()
            yield kind, int(count), tuple(map(int, dims))


def attention_layers(products):
    """Finds attention layers in batched matrix products {(heads, m, k, n): count}, sorted by shape.

    Scores are (heads, Lq, d, Lk), their product with the values is (heads, Lq, Lk, d). Which of the two inner sizes is the head's width
    d isn't written down: in self-attention Lk = Lq, and in cross-attention there are more keys than a head is wide.
    """
    left, layers = dict(products), []
    for heads, m, a, b in sorted(products):
        count = left.pop((heads, m, a, b), 0)
        if not count:
            continue
        if a == b:
            count //= 2  # both products have one shape
        elif left.pop((heads, m, b, a), 0) != count:
            raise SystemExit(f"bmm {heads} {m} {a} {b}: no {count} products {heads} {m} {b} {a} that make it an attention layer")
        keys = m if m in (a, b) else max(a, b)
        layers.append(("sdpa", count, (heads, m, keys, b if keys == a else a)))
    return layers


def layers_of(path):
    """The layers of a shapes file as (kind, count, shape)."""
    lines = list(read_shapes(path))
    layers = [line for line in lines if line[0] in ("conv", "linear", "gn", "ln", "silu")]
    layers += attention_layers({dims: count for kind, count, dims in lines if kind == "bmm"})
    linear = [dims[:3] for kind, _, dims in lines if kind == "linear"]  # (M, K, N)
    inputs = {(m, k) for m, k, _ in linear}
    # A GEGLU's linear layer is twice as wide as the next one reads.
    gated = {m * n // 2: (m, n) for m, _, n in linear if (m, n // 2) in inputs}
    for kind, count, dims in lines:
        if kind == "gelu":
            layers.append(("geglu", count, gated[dims[0]]) if dims[0] in gated else ("gelu", count, dims))
    return layers


def geglu(x):
    value, gate = x.chunk(2, dim=-1)
    return value * F.gelu(gate)


def variants(kind, shape):
    """Returns the ways to compute a layer, each as (function, inputs); the inputs are what gradients are taken for."""
    if kind == "conv":
        n, c, h, w, o, k, stride, pad = shape
        x, weight, bias = torch.randn(n, c, h, w), torch.randn(o, c, k, k) * (c * k * k) ** -0.5, torch.randn(o)

        def conv(x, weight, bias):
            return F.conv2d(x, weight, bias, stride, pad)

        last = torch.channels_last
        return [(conv, (x, weight, bias)), (conv, (x.to(memory_format=last), weight.to(memory_format=last), bias))]
    if kind == "linear":
        m, k, n, bias = shape
        inputs = torch.randn(m, k), torch.randn(n, k) * k**-0.5
        return [(F.linear, inputs + (torch.randn(n),) if bias else inputs)]
    if kind == "gn":
        c = shape[1]
        return [(lambda x, gamma, beta: F.group_norm(x, 32, gamma, beta), (torch.randn(shape), torch.ones(c), torch.zeros(c)))]
    if kind == "ln":
        c = shape[1]
        return [(lambda x, gamma, beta: F.layer_norm(x, (c,), gamma, beta), (torch.randn(shape), torch.ones(c), torch.zeros(c)))]
    if kind == "sdpa":
        heads, lq, lk, d = shape
        return [(F.scaled_dot_product_attention, tuple(torch.randn(1, heads, rows, d) for rows in (lq, lk, lk)))]
    return [({"geglu": geglu, "gelu": F.gelu, "silu": F.silu}[kind], (torch.randn(shape),))]


def least_time(call, budget):
    """The least time of one call: one to warm up, then as many as fit into budget seconds, at least one."""
    call()
    best, end = float("inf"), time.perf_counter() + budget
    while True:
        begin = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - begin)
        if now + best > end:
            return best


def time_forward(function, inputs, budget):
    with torch.no_grad():
        return least_time(lambda: function(*inputs), budget)


def time_forward_backward(function, inputs, budget):
    inputs = tuple(x.detach().requires_grad_(True) for x in inputs)
    upstream = torch.randn_like(function(*inputs))  # in the output's memory format
    return least_time(lambda: torch.autograd.grad(function(*inputs), inputs, upstream), budget)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shapes", required=True, metavar="FILE")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--budget", type=float, default=2.0, metavar="SECONDS", help="for each layer, shared by its variants and directions (default 2)")
    parser.add_argument("--forward-only", action="store_true")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    machine = {"torch": torch.__version__, "threads": options.threads, "cpu": torch.backends.cpu.get_cpu_capability(), "shapes": os.path.basename(options.shapes)}
    print(json.dumps({"kind": "machine", **machine}), flush=True)
    forward_sum = both_sum = 0.0
    for kind, count, shape in layers_of(options.shapes):
        ways = variants(kind, shape)
        share = options.budget / len(ways) / (1 if options.forward_only else 2)
        forward = min(time_forward(f, inputs, share) for f, inputs in ways)
        result = {"kind": kind, "shape": shape, "count": count, "forward_s": float(f"{forward:.4g}")}
        forward_sum += count * forward
        if not options.forward_only:
            both = min(time_forward_backward(f, inputs, share) for f, inputs in ways)
            result["forward_backward_s"] = float(f"{both:.4g}")
            both_sum += count * both
        print(json.dumps(result), flush=True)
    print(f"sum: forward {forward_sum:.3f} s" + ("" if options.forward_only else f", forward and backward {both_sum:.3f} s"), file=sys.stderr)


if __name__ == "__main__":
    main()

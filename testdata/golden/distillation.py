"""What distillation and the texture's distance are made of -> distillation.safetensors:  python distillation.py [OUT]

consistency: the target of multistep consistency distillation, Heek et al. (2024), with the
U-Net of tiny/ as teacher and as average: x0 and noise of v-prediction, DDIM down one level, DDIM to the end of the
segment, and inverse DDIM for the x0 that leads there at once. Level 0 is the sample. Levels n are the time steps
round(1000 n/levels) - 1.

texture: energies of the orthonormal 3x3 DCT-II on luma and two differences of colours, in windows, and the distance.

torch 2.15.0, diffusers 0.32.1, seed 20240. The tolerance of a quantity is 4 times its difference in float32 from
float64, and at least 1e-6 of its largest value.
"""

import json
import math
import sys
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, UNet2DConditionModel

HERE = Path(__file__).parent
CASES = [
    dict(name="segments4", levels=48, segments=4, at=[48, 47, 13, 12, 1]),
    dict(name="one", levels=48, segments=1, at=[48, 30, 2, 1, 7]),
    dict(name="coarse", levels=6, segments=2, at=[6, 5, 4, 3, 2]),
]
SHAPE = (5, 4, 8, 6)


def alphas_cumprod():
    s = DDIMScheduler(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                      rescale_betas_zero_snr=True)
    return s.alphas_cumprod.double()


def target(net, a, x0, noise, cond, context, levels, segments, at):
    dt = x0.dtype
    time = lambda n: round(1000 * n / levels) - 1
    signal = lambda n: torch.tensor(1.0 if n == 0 else math.sqrt(a[time(n)]), dtype=dt)
    sigma = lambda n: torch.tensor(0.0 if n == 0 else math.sqrt(1 - a[time(n)]), dtype=dt)
    down = lambda x, v, n, m: signal(m) * (signal(n) * x - sigma(n) * v) + sigma(m) * (sigma(n) * x + signal(n) * v)
    run = lambda x, n, i: net(torch.cat([x, cond[i : i + 1]], 1), time(n), context[i : i + 1]).sample
    out, loss = [], 0.0
    for i, n in enumerate(at):
        xt = signal(n) * x0[i : i + 1] + sigma(n) * noise[i : i + 1]
        v = run(xt, n, i)
        z, m, border = down(xt, v, n, n - 1), n - 1, (n - 1) // (levels // segments) * (levels // segments)
        if m > border:
            z = down(z, run(z, m, i), m, border)
        ratio = sigma(border) / sigma(n)
        best = (z - ratio * xt) / (signal(border) - ratio * signal(n))
        out.append((signal(n) * xt - best) / sigma(n))
        loss = loss + F.mse_loss(v, out[-1]) / len(at)
    return torch.cat(out), loss


def energies(image):
    dt = image.dtype
    k, i = torch.arange(3, dtype=dt)[:, None], torch.arange(3, dtype=dt)[None]
    dct = math.sqrt(2 / 3) * torch.cos(math.pi * k * (i + 0.5) / 3)
    dct[0] = math.sqrt(1 / 3)
    bank = torch.einsum("ky,lx->klyx", dct, dct).reshape(9, 3, 3)[1:]
    colours = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=dt)
    colours = colours / colours.norm(dim=1, keepdim=True)
    out = []
    for scale in range(2):
        y = torch.einsum("dc,nchw->ndhw", colours, image)
        y = torch.cat([F.conv2d(y[:, d : d + 1], bank[:, None]) for d in range(3)], 1)
        side = min(16 >> scale, y.shape[2], y.shape[3])
        out.append(F.avg_pool2d(y * y, side, max(side // 2, 1)))
        image = F.avg_pool2d(image, 2)
    return out


def distance(made, true):
    return sum(((e - t) ** 2 / (4 * (t + 1e-4))).mean() for e, t in zip(energies(made), energies(true))) / 2


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    torch.set_num_threads(1)
    g = torch.Generator("cpu").manual_seed(20240)
    randn = lambda *s: torch.randn(s, generator=g)
    net = UNet2DConditionModel.from_pretrained(HERE / "tiny" / "unet").eval()
    twin = UNet2DConditionModel.from_pretrained(HERE / "tiny" / "unet").eval().double()
    a = alphas_cumprod()
    T, tolerances = {}, {}

    def keep(name, value, exact):
        diff, largest = float((value.double() - exact).abs().max()), float(exact.abs().max())
        tolerances[name] = max(4 * diff, 1e-6 * largest)
        T[name] = value.detach().contiguous().float()

    T["latents"], T["noise"], T["condition"] = randn(*SHAPE), randn(*SHAPE), randn(*SHAPE)
    T["context"] = randn(SHAPE[0], 5, net.config.cross_attention_dim)
    inputs = [T[k] for k in ("latents", "noise", "condition", "context")]
    with torch.no_grad():
        for c in CASES:
            args = {k: c[k] for k in ("levels", "segments", "at")}
            v, loss = target(net, a, *inputs, **args)
            exact, exact_loss = target(twin, a, *[x.double() for x in inputs], **args)
            keep(c["name"] + "/target", v, exact)
            keep(c["name"] + "/loss", loss.reshape(1), exact_loss.reshape(1))
            c["timesteps"] = [round(1000 * n / c["levels"]) - 1 for n in c["at"]]

    for name, (h, w) in {"texture": (40, 50), "texture_small": (12, 15)}.items():
        true = (0.4 * randn(2, 3, h, w)).clamp(-1, 1)
        made = (0.6 * true + 0.1 * randn(2, 3, h, w)).requires_grad_()
        double = made.detach().double().requires_grad_()
        d, exact = distance(made, true), distance(double, true.double())
        d.backward()
        exact.backward()
        T[name + "/true"], T[name + "/made"] = true, made.detach()
        keep(name + "/distance", d.detach().reshape(1), exact.detach().reshape(1))
        keep(name + "/gradient", made.grad, double.grad)
    safetensors.torch.save_file(T, out / "distillation.safetensors", metadata={
        "seed": "20240", "torch": torch.__version__, "cases": json.dumps(CASES), "tolerances": json.dumps(tolerances)})


if __name__ == "__main__":
    main()

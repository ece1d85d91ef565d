"""The texture's distance and its gradient by autograd -> texture.safetensors:  python texture.py [OUT]

Energies of the orthonormal 3x3 DCT-II on luma and two differences of colours, in windows, and the distance.

torch 2.15.0, seed 20240. The tolerance of a quantity is 4 times its difference in float32 from float64, and at least
1e-6 of its largest value.
"""

import json
import math
import sys
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent


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
    T, tolerances = {}, {}

    def keep(name, value, exact):
        diff, largest = float((value.double() - exact).abs().max()), float(exact.abs().max())
        tolerances[name] = max(4 * diff, 1e-6 * largest)
        T[name] = value.detach().contiguous().float()

    for shape in [(5, 4, 8, 6)] * 3 + [(5, 5, 16)]:
        randn(*shape)  # of quantities that the file once had
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
    safetensors.torch.save_file(T, out / "texture.safetensors", metadata={
        "seed": "20240", "torch": torch.__version__, "tolerances": json.dumps(tolerances)})


if __name__ == "__main__":
    main()

"""Measures how far the reference's training moves when its inputs move: python sensitivity.py WHOLE [TO]

WHOLE is a set of reference data with its generators (gen/train.py) or without; GOLDEN_GEN names their folder then. For each
variant the reference trains as it did for the set, on the set's own weights and data, and 16 times more with data in which every
other number is a unit in its last place larger or smaller: off by half a unit on average. For each quantity TO
(WHOLE/train/sensitivity.json) has the largest difference from the first run: "loss" and "gradient norm" over all steps, "loss/1"
and "gradient norm/1" of the first, and such as "parameters/12" over all tensors. Versions of the libraries: requirements.txt of
the set.
"""

import json
import os
import pathlib
import sys
import warnings

whole = pathlib.Path(sys.argv[1])
sys.path.insert(0, os.environ.get("GOLDEN_GEN", str(whole / "gen")))
sys.dont_write_bytecode = True

import torch
import train
from common_b import versions
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file

NUDGES = 16


def nudged(x, g):
    if not x.is_floating_point():
        return x
    sign = torch.where(torch.rand(x.shape, generator=g) < 0.5, 1, -1).int()
    return torch.where(torch.rand(x.shape, generator=g) < 0.5, (x.view(torch.int32) + sign).view(torch.float32), x)


def quantities(run):
    rows, shots = run
    numbers = lambda x: [torch.tensor(x, dtype=torch.float64)]
    norms = [r["gradient_norm"] for r in rows]
    q = {"loss": numbers([l for r in rows for l in r["losses"]]), "loss/1": numbers(rows[0]["losses"]),
         "gradient norm": numbers(norms), "gradient norm/1": numbers(norms[:1])}
    return {**q, **{k: list(tensors.values()) for k, tensors in shots.items()}}


def main():
    warnings.filterwarnings("ignore")
    start = UNet2DConditionModel.from_pretrained(whole / "train" / "unet")
    data = load_file(whole / "train" / "data.safetensors")
    seed = json.loads((whole / "train" / "train.json").read_text())["seed"]
    moved = {}
    for name, change in train.VARIANTS.items():
        o = {**train.BASE, **change}
        still = quantities(train.train(start, data, o, keep=(1, 2)))
        most = dict.fromkeys(still, 0.0)
        for i in range(NUDGES):
            g = torch.Generator("cpu").manual_seed(i)
            for k, tensors in quantities(train.train(start, {n: nudged(x, g) for n, x in data.items()}, o, keep=(1, 2))).items():
                most[k] = max(most[k], *(float((a.double() - b.double()).abs().max()) for a, b in zip(tensors, still[k])))
        moved[name] = {k: float(f"{v:.2e}") for k, v in most.items()}
        print(name, moved[name], flush=True)
    to = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else whole / "train" / "sensitivity.json"
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps({"seed": seed, "versions": versions("diffusers", "accelerate"), "moved": moved}, indent=1) + "\n")


main()

"""Takes the part of the reference data that a fresh clone needs out of the whole set: python reduce.py WHOLE [HERE]

Files are copied, but for three that are cut: e2e keeps a few cases on the smallest image, unet leaves out the gradient of each
parameter (their norms stay), metrics_nets keeps the features and the names of the networks' tensors.
"""

import json
import pathlib
import shutil
import sys

from safetensors import safe_open
from safetensors.numpy import save_file

COPIED = ["blocks.safetensors", "text.safetensors", "unet_widen.safetensors", "tokenizer.json", "tolerances.json", "tiny", "tiny-phikon"]
CASES = ["b_none", "c0", "d_linear", "g_uneven_steps"]


def cut(source, target, keep, metadata=lambda m: m):
    with safe_open(source, "numpy") as f:
        save_file({k: f.get_tensor(k) for k in f.keys() if keep(k)}, target, metadata(f.metadata()))


def main():
    whole, here = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else pathlib.Path(__file__).parent)
    for name in COPIED:
        if (whole / name).is_dir():
            shutil.copytree(whole / name, here / name, dirs_exist_ok=True)
        else:
            shutil.copy(whole / name, here / name)
    cases = {n: c for n, c in json.loads((whole / "e2e.json").read_text())["cases"].items() if n in CASES}
    images = {f"image/{c['image']}" for c in cases.values()}
    (here / "e2e.json").write_text(json.dumps({"cases": cases}, indent=1) + "\n")
    cut(whole / "e2e.safetensors", here / "e2e.safetensors", lambda k: k.split("/")[0] in cases or k in images,
        lambda m: {**m, "cases": json.dumps(cases)})
    cut(whole / "unet.safetensors", here / "unet.safetensors", lambda k: "/grad/unet." not in k)
    nets = json.loads((whole / "metrics_nets.json").read_text())
    nets = {"seed": nets["seed"], "gain": nets["gain"], "networks": {n: {"tensors": v["tensors"]} for n, v in nets["networks"].items()}}
    (here / "metrics_nets.json").write_text(json.dumps(nets, separators=(",", ":")) + "\n")
    cut(whole / "metrics_nets.safetensors", here / "metrics_nets.safetensors", lambda k: not k.startswith("gigapath_"))
    (here / "tolerances-b").mkdir(exist_ok=True)
    shutil.copy(whole / "tolerances-b/metrics_nets.json", here / "tolerances-b")


main()

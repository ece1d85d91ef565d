"""Does diffusers load an adapter that histdist wrote, and compute what histdist's merged model does?

    histdist export RUN --output ADAPTER                 of a run with train.adapter
    histdist export RUN --output MERGED --merge
    histdist model convert BASE FOLDER                   the run's base, such as runs/x/base
    python check_lora.py FOLDER ADAPTER MERGED SAVED

Loads ADAPTER with load_lora_weights into FOLDER's pipeline and compares its U-Net's output with MERGED's. Then saves the
adapter again, with diffusers, as SAVED, for `histdist translate --adapter SAVED`. Exits with 1 on a warning or a
difference. Checked with diffusers 0.32.1, peft 0.14.0 and PyTorch 2.15.
"""

import io
import logging
import sys

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from peft.utils import get_peft_model_state_dict


def output(unet):
    g = torch.Generator().manual_seed(1)
    sample = torch.randn(1, unet.config.in_channels, 16, 16, generator=g)
    context = torch.randn(1, 9, unet.config.cross_attention_dim, generator=g)
    with torch.no_grad():
        return unet(sample, 500, context).sample


def main():
    folder, adapter, merged, saved = sys.argv[1:]
    log = io.StringIO()
    for name in ("diffusers", "peft"):
        logging.getLogger(name).addHandler(logging.StreamHandler(log))
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, safety_checker=None)
    unet = pipe.unet
    plain = output(unet)
    log.truncate(0)
    pipe.load_lora_weights(adapter)
    said = log.getvalue().strip("\0\n")
    got = output(unet)
    want = output(UNet2DConditionModel.from_pretrained(merged, subfolder="unet"))
    off, moved = float((got - want).abs().max()), float((got - plain).abs().max())
    print("warnings:", said or "none")
    print(f"largest difference: {off:.3g}, of the adapter's own effect {moved:.3g}")
    pipe.save_lora_weights(saved, unet_lora_layers=get_peft_model_state_dict(
        unet, adapter_name=next(iter(unet.peft_config))))
    sys.exit(bool(said) or off > 2e-5 or moved < 100 * off)


main()

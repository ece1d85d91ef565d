"""Does diffusers load a pipeline folder that histdist wrote, without a warning and with the same output?

    histdist model convert FOLDER COPY
    python check_saved.py FOLDER COPY

Prints the largest difference of the U-Net's and the VAE's outputs between the two folders; exits with 1 on a warning or a
difference. Checked with diffusers 0.32.1, transformers 4.48.3 and PyTorch 2.15.
"""

import io
import logging
import sys
import warnings

import torch
from diffusers import StableDiffusionInstructPix2PixPipeline
from diffusers.utils import logging as diffusers_logging


def outputs(folder):
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, safety_checker=None)
    g = torch.Generator().manual_seed(1)
    unet, vae = pipe.unet, pipe.vae
    sample = torch.randn(1, unet.config.in_channels, 16, 16, generator=g)
    context = torch.randn(1, 77, unet.config.cross_attention_dim, generator=g)
    image = torch.rand(1, 3, 64, 64, generator=g) * 2 - 1
    ids = pipe.tokenizer(["H&E"], padding="max_length", max_length=77, return_tensors="pt").input_ids
    with torch.no_grad():
        moments = vae.encode(image).latent_dist.parameters
        return [unet(sample, 500, context).sample, moments, vae.decode(moments[:, :4]).sample, pipe.text_encoder(ids)[0]]


def main():
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    for name in ("diffusers", "transformers"):
        logging.getLogger(name).addHandler(handler)
    diffusers_logging.set_verbosity_warning()
    want = outputs(sys.argv[1])
    log.truncate(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = outputs(sys.argv[2])
    said = [l for l in log.getvalue().strip("\0\n").splitlines() if l and "accelerate" not in l and l not in ("```", ".")]
    said += [str(w.message) for w in caught]
    worst = max(float((a - b).abs().max()) for a, b in zip(want, got))
    print("warnings:", said or "none")
    print("largest difference:", worst)
    # PyTorch rounds differently where weights lie at other addresses, as in a file with shards: 6e-6 was seen.
    sys.exit(bool(said) or worst > 2e-5)


main()

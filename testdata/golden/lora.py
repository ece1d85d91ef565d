"""A low-rank adapter of tiny/unet in PEFT, its outputs and gradients -> lora/:  python lora.py [OUT]

torch 2.15.0, diffusers 0.32.1, peft 0.14.0, seed 20240. The adapter of rank 2 has alpha 4, and is on
projections of the attention, on convolutions of all kinds and on a linear layer. pytorch_lora_weights.safetensors is
written by diffusers' save_lora_weights, which leaves alpha out; lora.safetensors has, of the network with the adapter:
input, output, a squared error against a target, and its gradients with respect to A and B. The tolerance of a quantity
is 4 times its difference in float32 from float64, and at least 1e-6 of its largest value. init has the largest of PEFT's
initial values of an A, and of all B.
"""

import json
import sys
from pathlib import Path

import peft
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from peft.utils import get_peft_model_state_dict

HERE = Path(__file__).parent
RANK, ALPHA = 2, 4
TARGETS = ["attn2.to_k", "attn1.to_q", "conv_in", "conv_shortcut", "proj_in", "downsamplers.0.conv", "upsamplers.0.conv",
           "mid_block.attentions.0.transformer_blocks.0.ff.net.2"]


def adapted(dtype):
    unet = UNet2DConditionModel.from_pretrained(HERE / "tiny" / "unet")
    unet.requires_grad_(False)
    torch.manual_seed(20240)
    unet.add_adapter(peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=TARGETS))
    begin = {n: p.detach().clone() for n, p in unet.named_parameters() if "lora_" in n}
    g = torch.Generator("cpu").manual_seed(20240)
    for name, p in unet.named_parameters():
        if "lora_B" in name:
            p.data = 0.1 * torch.randn(p.shape, generator=g)
    return unet.to(dtype), begin


def main():
    out = (Path(sys.argv[1]) if len(sys.argv) > 1 else HERE) / "lora"
    out.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    g = torch.Generator("cpu").manual_seed(20241)
    sample, context = torch.randn(1, 8, 8, 8, generator=g), torch.randn(1, 5, 16, generator=g)
    target, timestep = torch.randn(1, 4, 8, 8, generator=g), 321
    results = []
    for dtype in (torch.float32, torch.float64):
        unet, begin = adapted(dtype)
        y = unet(sample.to(dtype), timestep, context.to(dtype)).sample
        loss = ((y - target.to(dtype)) ** 2).mean()
        loss.backward()
        r = {"output": y.detach(), "loss": loss.detach().reshape(1)}
        for name, p in unet.named_parameters():
            if "lora_" in name:
                r["grad/" + name.replace(".default", "")] = p.grad
        results.append(r)
        if dtype == torch.float32:
            state = get_peft_model_state_dict(unet)
            StableDiffusionPipeline.save_lora_weights(out, unet_lora_layers=state)
    T = {"sample": sample, "context": context, "target": target}
    tolerances = {"output": 0.0, "loss": 0.0, "gradients": 0.0}
    for name, exact in results[1].items():
        T[name] = results[0][name].contiguous().float()
        diff, largest = float((T[name].double() - exact).abs().max()), float(exact.abs().max())
        key = "gradients" if name.startswith("grad/") else name
        tolerances[key] = max(tolerances[key], 4 * diff, 1e-6 * largest)
    name, a = next((n, p) for n, p in begin.items() if "lora_A" in n and "to_k" in n)
    init = {"layer": name, "in": a.shape[1], "largest": float(a.abs().max()), "b": max(float(p.abs().max()) for n, p in
                                                                                     begin.items() if "lora_B" in n)}
    safetensors.torch.save_file(T, out / "lora.safetensors", metadata={
        "seed": "20240", "torch": torch.__version__, "peft": peft.__version__, "timestep": str(timestep),
        "alpha": str(ALPHA), "init": json.dumps(init), "tolerances": json.dumps(tolerances)})


main()

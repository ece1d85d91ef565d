#!/usr/bin/env python3
"""Times PyTorch, diffusers and transformers on what `histdist bench` times, under the same names, with random weights.

    python scripts/bench_torch.py networks [NAME…]
        unet vae-encode vae-decode vit text unet-train-32 translation training training-sparing; by default the
        first five
    python scripts/bench_torch.py kernels [NAME…]
        layers such as "conv 1 320 64 64 320 3 1 1", with " + backward" for both passes; by default all of
        experiments/bench/layers.json
    python scripts/bench_torch.py features
        Inception's 2048 features of --batch images of 512 pixels: BenchmarkFIDFeatures of experiments/metrics/features
    python scripts/bench_torch.py train MODEL HE.png IHC.png
        steps of the official training.py, for `histdist train`: --runs pairs of a generation and a translation step;
        with --rank of adapters by PEFT instead of all weights

Prints a JSON object for each name and mode: on a processor NCHW and channels_last, of which the faster counts; on a GPU
channels_last, eager and with each torch.compile mode of --compile. "seconds" are the least of --runs on a processor, on
a GPU their median by CUDA events. A case that fails prints its error. `histdist bench` runs this script itself where
HISTDIST_TORCH_PYTHON names a Python for it.
"""

import argparse
import gc
import json
import math
import os
import resource
import signal
import statistics
import sys
import time

import torch
import torch.nn.functional as F

NOISE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
             rescale_betas_zero_snr=True)


class Bench:
    """Options, sizes and timing."""

    def __init__(self, a):
        self.a, self.device, self.cuda = a, torch.device(a.device), a.device.startswith("cuda")
        self.dtype = torch.bfloat16 if a.precision == "bfloat16" else torch.float32
        self.latent, self.pixels, self.width = (8, 64, 64) if a.tiny else (64, 512, 768)
        self.steps = 2 if a.tiny else a.steps

    def random(self, *shape, dtype=None):
        return torch.randn(*shape, device=self.device, dtype=dtype or self.dtype)

    def peak(self):
        if self.cuda:
            return torch.cuda.max_memory_allocated()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10

    def time(self, run, budget=0.0):
        """The seconds of a run: --runs of them at least, for budget seconds."""
        times, begin = [], time.perf_counter()
        while len(times) < self.a.runs or time.perf_counter() - begin < budget:
            if self.cuda:
                events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
                events[0].record()
                run()
                events[1].record()
                torch.cuda.synchronize()
                times.append(events[0].elapsed_time(events[1]) / 1e3)
            else:
                start = time.perf_counter()
                run()
                times.append(time.perf_counter() - start)
        return statistics.median(times) if self.cuda else min(times)

    def record(self, name, mode, prepare, budget=0.0):
        """Times what prepare returns. A case that fails must not take the others with it."""
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        try:
            begin = time.perf_counter()
            run = prepare()
            for _ in range(3 if self.cuda else 1):
                run()
            prepared = time.perf_counter() - begin
            result = {"seconds": self.time(run, budget), "prepare_seconds": prepared, "peak_bytes": self.peak()}
        except Exception as e:
            result = {"error": f"{type(e).__name__}: {e}"[:300]}
        print(json.dumps({"name": name, "mode": mode, **result}), flush=True)
        gc.collect()


def layer(b, kind, d):
    """The function of a layer and the inputs that gradients are taken for; see experiments/bench/gen_layers.py."""
    if kind == "conv":
        n, c, h, w, o, k, stride, pad = d
        inputs = b.random(n, c, h, w), b.random(o, c, k, k) * (c * k * k) ** -0.5, b.random(o)
        return lambda x, weight, bias: F.conv2d(x, weight, bias, stride, pad), inputs
    if kind == "linear":
        m, k, n, bias = d
        return F.linear, (b.random(m, k), b.random(n, k) * k**-0.5) + ((b.random(n),) if bias else ())
    if kind in ("gn", "ln"):
        inputs = b.random(*d), b.random(d[1]), b.random(d[1])
        if kind == "gn":
            return lambda x, gamma, beta: F.group_norm(x, 32, gamma, beta), inputs
        return lambda x, gamma, beta: F.layer_norm(x, d[1:], gamma, beta), inputs
    if kind == "sdpa":
        return F.scaled_dot_product_attention, tuple(b.random(1, d[0], rows, d[3]) for rows in (d[1], d[2], d[2]))
    if kind == "geglu":
        return lambda x: x[:, : d[1] // 2] * F.gelu(x[:, d[1] // 2 :]), (b.random(*d),)
    return {"silu": F.silu}[kind], (b.random(*d),)


def kernels(b, names):
    if not names:
        with open(os.path.join(os.path.dirname(__file__), "../experiments/bench/layers.json")) as f:
            names = [" ".join(map(str, [x["Kind"], *x["Dims"]])) for layers in json.load(f).values() for x in layers]
    for name in names:
        if name.startswith("sum of"):  # a row of `histdist bench`
            continue
        for mode in ("NCHW", "channels_last") if name.startswith("conv") else ("",):

            def prepare():
                kind, *dims = name.removesuffix(" + backward").split()
                function, inputs = layer(b, kind, list(map(int, dims)))
                if mode == "channels_last":
                    inputs = [x.to(memory_format=torch.channels_last) if x.dim() == 4 else x for x in inputs]
                if not name.endswith(" + backward"):
                    return torch.no_grad()(lambda: function(*inputs))
                inputs = [x.detach().requires_grad_(True) for x in inputs]
                upstream = torch.randn_like(function(*inputs))  # in the output's memory format
                return lambda: torch.autograd.grad(function(*inputs), inputs, upstream)

            b.record(name, mode, prepare, budget=0.5)


def make(b, name):
    """Stable Diffusion 1.5's U-Net with 8 input channels, its VAE and text encoder, or Phikon."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, ViTConfig, ViTModel

    small = dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2) if b.a.tiny else {}
    with b.device:
        if name == "unet":
            c = dict(block_out_channels=(32, 64), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                     up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), layers_per_block=1) if b.a.tiny else {}
            return UNet2DConditionModel(in_channels=8, cross_attention_dim=b.width, attention_head_dim=8, **c)
        if name == "vae":
            return AutoencoderKL(down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
                                 block_out_channels=(32,) * 4 if b.a.tiny else (128, 256, 512, 512), layers_per_block=2)
        if name == "vit":
            return ViTModel(ViTConfig(**small), add_pooling_layer=False)
        full = dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        return CLIPTextModel(CLIPTextConfig(**(small or full)))


class Networks:
    """The functions of networks in one mode, built when first asked for and compiled for each shape."""

    def __init__(self, b, mode):
        self.b, self.mode, self.built = b, mode, {}
        self.layout = torch.contiguous_format if mode == "NCHW" else torch.channels_last

    def compiled(self, f):
        m = self.mode.partition("compile ")[2]
        return torch.compile(f, mode=None if m == "default" else m, dynamic=False) if m else f

    def get(self, name, dtype=None):
        if name not in self.built:
            m = make(self.b, name).to(dtype or self.b.dtype)
            self.built[name] = m.to(memory_format=self.layout) if name in ("unet", "vae") else m
        return self.built[name]

    def frozen(self, name):
        """A network for inference."""
        m = self.get(name.partition("-")[0]).eval().requires_grad_(False)
        f = self.compiled({
            "unet": lambda x, t, c: m(x, t, c, return_dict=False)[0],
            "vae-encode": lambda x: m.encode(x).latent_dist.parameters,
            "vae-decode": lambda z: m.decode(z, return_dict=False)[0],
            "vit": lambda x: m(x).last_hidden_state,
            "text": lambda i: m(i).last_hidden_state,
        }[name])

        def call(*args):
            torch.compiler.cudagraph_mark_step_begin()
            with torch.no_grad():
                return f(*[x.to(memory_format=self.layout) if x.dim() == 4 else x for x in args])

        return call

    def inference(self, name):
        b, n, f = self.b, self.b.a.batch, self.frozen(name)
        t = torch.full((n,), 500, device=b.device)
        args = {
            "unet": lambda: (b.random(n, 8, b.latent, b.latent), t, b.random(n, 197, b.width)),
            "vae-encode": lambda: (b.random(n, 3, b.pixels, b.pixels),),
            "vae-decode": lambda: (b.random(n, 4, b.latent, b.latent),),
            "vit": lambda: (b.random(n, 3, 224, 224),),
            "text": lambda: (torch.randint(0, 49407, (n, 77), device=b.device),),
        }[name]()
        return lambda: f(*args)

    def translation(self):
        """One image as in the official script: 2 × --steps calls of the U-Net, without guidance."""
        from diffusers import DDIMInverseScheduler, DDIMScheduler

        b = self.b
        denoise, encode, decode, look = map(self.frozen, ("unet", "vae-encode", "vae-decode", "vit"))
        common = dict(NOISE, clip_sample=False, set_alpha_to_one=False, timestep_spacing="trailing")
        inverse, ddim = DDIMInverseScheduler(**common), DDIMScheduler(**common)
        image, pixels, prompt = b.random(1, 3, b.pixels, b.pixels), b.random(1, 3, 224, 224), b.random(1, 77, b.width)

        def run():
            # Cloned, for a CUDA graph's output lives until its next run.
            condition, logvar = encode(image).clone().chunk(2, 1)
            states = look(pixels).clone()
            latents = 0.18215 * (condition + torch.exp(0.5 * logvar) * torch.randn_like(condition))
            inverse.set_timesteps(b.steps, device=b.device)
            for t in inverse.timesteps:
                out = denoise(torch.cat([latents, torch.zeros_like(condition)], 1), t[None], prompt)
                latents = inverse.step(out, t, latents).prev_sample
            latents = (latents - latents.mean((2, 3), keepdim=True)) / latents.std((2, 3), keepdim=True)
            ddim.set_timesteps(b.steps, device=b.device)
            for i, t in enumerate(ddim.timesteps):
                out = denoise(torch.cat([latents, condition], 1), t[None], states)
                eta = min(max(0.6 - 0.4 * math.cos(math.pi * i / (b.steps - 1)), 0), 1)
                latents = ddim.step(out, t, latents, eta=eta).prev_sample
            return decode(latents / 0.18215).float().cpu()

        return run

    def training(self, side, batch, checkpointing):
        """A step with float32 weights, in bfloat16 by autocast; clipping, fused AdamW."""
        b, m = self.b, self.get("unet", torch.float32).train()
        if checkpointing:
            m.enable_gradient_checkpointing()
        f = self.compiled(lambda x, t, c: m(x, t, c, return_dict=False)[0])
        optimizer = torch.optim.AdamW(m.parameters(), lr=1e-6, fused=True)
        shapes = (8, side, side), (4, side, side), (197, b.width)
        sample, target, context = (b.random(batch, *shape, dtype=torch.float32) for shape in shapes)
        t = torch.randint(0, 1000, (batch,), device=b.device)

        def run():
            torch.compiler.cudagraph_mark_step_begin()
            with torch.autocast(b.device.type, torch.bfloat16, enabled=b.dtype == torch.bfloat16):
                out = f(sample.to(memory_format=self.layout), t, context)
            F.mse_loss(out.float(), target).backward()
            torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

        return run

    def prepare(self, name):
        if name == "translation":
            return self.translation()
        if name == "unet-train-32":
            return self.training(self.b.latent // 2, 1, True)
        if name.startswith("training"):
            return self.training(self.b.latent, self.b.a.batch, name.endswith("sparing"))
        return self.inference(name)


def networks(b, names):
    compiled = [f"compile {m}" for m in b.a.compile.split(",") if m]
    for name in names or ("unet", "vae-encode", "vae-decode", "vit", "text"):
        for mode in (["channels_last"] if b.cuda else ["NCHW", "channels_last"]) + compiled:
            b.record(name, mode, lambda: Networks(b, mode).prepare(name))


def features(b, _):
    import torchvision

    def prepare(layout):
        net = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
        net = net.to(b.device, b.dtype, memory_format=layout)
        images = b.random(b.a.batch, 3, 512, 512).to(memory_format=layout)

        def run():
            x = 2 * F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False) - 1
            for name, module in net.named_children():
                if name not in ("AuxLogits", "dropout", "fc"):
                    x = module(x)

        return torch.no_grad()(run)

    b.record("features", "NCHW", lambda: prepare(torch.contiguous_format))
    b.record("features", "channels_last", lambda: prepare(torch.channels_last))


def train(b, arguments):
    """Float32, batch 1, checkpointing, clipping, AdamW; generation and translation in turn; the frozen networks run in
    every step, as there. MODEL is a folder of diffusers with Phikon in its folder phikon."""
    import numpy as np
    from diffusers import AutoencoderKL, DDPMScheduler, UNet2DConditionModel
    from PIL import Image
    from transformers import CLIPTextModel, ViTModel

    model, *paths = arguments
    unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet").train()
    if b.a.rank:
        from peft import LoraConfig

        unet.requires_grad_(False)
        unet.add_adapter(LoraConfig(r=b.a.rank, lora_alpha=b.a.rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    if not b.a.keep:
        unet.enable_gradient_checkpointing()
    trained = [p for p in unet.parameters() if p.requires_grad]
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae").requires_grad_(False)
    phikon = ViTModel.from_pretrained(model + "/phikon", add_pooling_layer=False).requires_grad_(False)
    with torch.no_grad():
        prompt = CLIPTextModel.from_pretrained(model, subfolder="text_encoder")(torch.zeros(1, 77, dtype=torch.long))[0]
    noise = DDPMScheduler(**NOISE)
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=1e-2)
    pixels = (np.asarray(Image.open(p).convert("RGB"), dtype=np.float32) for p in paths)
    he, ihc = (torch.from_numpy(x / 127.5 - 1).permute(2, 0, 1)[None] for x in pixels)
    for step in range(b.a.runs * 2):
        begin = time.perf_counter()
        translation = step % 2 == 1
        with torch.no_grad():
            latents = vae.encode(ihc if translation else he).latent_dist.sample() * vae.config.scaling_factor
            condition, context = torch.zeros_like(latents), prompt
            if translation:
                condition = vae.encode(he).latent_dist.mode()
                context = phikon(F.interpolate(he, 224, mode="bicubic", antialias=True)).last_hidden_state
        eps, t = torch.randn_like(latents), torch.randint(0, 1000, (1,))
        sample = torch.cat([noise.add_noise(latents, eps, t), condition], 1)
        F.mse_loss(unet(sample, t, context).sample, noise.get_velocity(latents, eps, t)).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        print(json.dumps({"name": f"train {'translation' if translation else 'generation'}", "step": step + 1,
                          "seconds": time.perf_counter() - begin, "peak_bytes": b.peak()}), flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["networks", "kernels", "features", "train"])
    p.add_argument("names", nargs="*")
    p.add_argument("--device", default="cpu", help="cpu or cuda:0")
    p.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--runs", type=int, default=2)
    p.add_argument("--batch", type=int, default=1, help="images at once, but for unet-train-32 and translation")
    p.add_argument("--steps", type=int, default=100, help="of the inversion and of the translation, each")
    p.add_argument("--rank", type=int, default=0, help="of adapters, for train; 0 trains all weights")
    p.add_argument("--keep", action="store_true", help="keep activations in train, instead of recomputing them")
    p.add_argument("--compile", default="", help="modes of torch.compile, such as default,reduce-overhead")
    p.add_argument("--limit", type=int, default=0, help="seconds after which it ends; what was timed is printed")
    p.add_argument("--tiny", action="store_true", help="small networks, to try this script")
    a = p.parse_intermixed_args()
    if a.limit:
        signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"the limit of {a.limit} s is reached"))
        signal.alarm(a.limit)
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    machine = torch.cuda.get_device_name() if a.device.startswith("cuda") else torch.backends.cpu.get_cpu_capability()
    print(json.dumps({"torch": torch.__version__, "machine": machine, "threads": a.threads}), flush=True)
    {"networks": networks, "kernels": kernels, "features": features, "train": train}[a.what](Bench(a), a.names)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times PyTorch on an NVIDIA GPU with the workloads of `histdist bench --device cuda:0 --precision bfloat16`: random weights, nothing is downloaded.

    python scripts/bench_gpu_torch.py [--only unet-1,train-16,…] [--compile default,reduce-overhead,…] [--after FILE] [--limit SECONDS]

Networks are diffusers' (Stable Diffusion 1.5's U-Net with 8 input channels, its VAE) and transformers' (CLIP's text encoder, Phikon's ViT-B/16), in
bfloat16 and channels_last, attention by scaled_dot_product_attention, cuDNN's own search for algorithms on. Cases:

    gemm            a product of 8192×8192 matrices: bfloat16; gemm-f32: float32 without TF32
    unet-N          a U-Net step on N latents of 64×64 with 197 tokens
    vae-encode, vae-decode (512 pixels), vit, text
    translation     one image of 512 pixels as the official script: encode, 100 steps of inversion, standardise, 100 of translation, decode
    train-N         a step of training at 64×64 latents, batch N: autocast to bfloat16, float32 weights, clip_grad_norm_, fused AdamW;
                    train-N-checkpointing: with gradient checkpointing

A case runs eager and with torch.compile in each mode of --compile; `none` there leaves the compiled ones out, --no-eager the eager ones.
All are built, compiled (for fixed shapes) and warmed up first. Then, with --after, the timing waits until FILE exists (200 s at most), so that
compiling overlaps with other work; with --lock it waits for other processes of this script that time with the same file. Times are medians by CUDA
events. With --limit it stops compiling in time to measure what is ready. Prints a JSON object a case, also of one that fails, and a table at the end.
"""

import argparse
import contextlib
import fcntl
import gc
import json
import math
import os
import signal
import statistics
import sys
import time
import traceback

import torch

BEGIN = time.perf_counter()
RESULTS = []


def say(text):
    print(f"# {time.perf_counter() - BEGIN:6.1f} s  {text}", file=sys.stderr, flush=True)


class Stop(BaseException):
    """The time for compiling is over. Not an Exception, which torch.compile would take for a failure of its own."""


class Bench:
    """What all cases share: device, sizes, timing and memory."""

    def __init__(self, a):
        self.a = a
        self.cuda = a.device.startswith("cuda")
        self.device = torch.device(a.device)
        self.dtype = torch.bfloat16
        self.tiny = a.tiny
        self.latent, self.pixels, self.width = (8, 64, 64) if a.tiny else (64, 512, 768)
        self.steps = 2 if a.tiny else a.steps
        self.models = {}  # for inference, by name
        self.functions = {}  # compiled, by name and mode: cases share them
        self.trained = None

    def sync(self):
        if self.cuda:
            torch.cuda.synchronize()

    def allocated(self):
        return torch.cuda.memory_allocated() if self.cuda else 0

    def random(self, *shape, dtype=None):
        x = torch.randn(*shape, device=self.device, dtype=dtype or self.dtype)
        return x.to(memory_format=torch.channels_last) if len(shape) == 4 else x

    def frozen(self, name, make):
        """A network for inference, built once: all cases share its weights."""
        if name not in self.models:
            with self.device:
                m = make()
            self.models[name] = m.to(self.dtype).to(memory_format=torch.channels_last).eval().requires_grad_(False)
        return self.models[name]

    def unet_config(self):
        from diffusers import UNet2DConditionModel

        c = dict(in_channels=8, out_channels=4, cross_attention_dim=self.width, attention_head_dim=8)
        if self.tiny:
            c.update(block_out_channels=(32, 64), down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), layers_per_block=1,
                     up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=4)
        return UNet2DConditionModel(**c)

    def unet(self):
        return self.frozen("unet", self.unet_config)

    def vae(self):
        from diffusers import AutoencoderKL

        channels = (32, 32, 32, 32) if self.tiny else (128, 256, 512, 512)
        return self.frozen("vae", lambda: AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, block_out_channels=channels, layers_per_block=2,
            sample_size=512))

    def vit(self):
        from transformers import ViTConfig, ViTModel

        c = dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2) if self.tiny else {}
        return self.frozen("vit", lambda: ViTModel(ViTConfig(**c), add_pooling_layer=False))

    def text(self):
        from transformers import CLIPTextConfig, CLIPTextModel

        c = dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2) if self.tiny else dict(
            hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
        return self.frozen("text", lambda: CLIPTextModel(CLIPTextConfig(**c)))

    def function(self, name, mode, f):
        """f as it is, or compiled once for all cases that call it; each shape is compiled anew."""
        if mode == "eager":
            return f
        if (name, mode) not in self.functions:
            self.functions[name, mode] = torch.compile(f, mode=None if mode == "default" else mode, dynamic=False)
        return self.functions[name, mode]

    def denoise(self, mode):
        m = self.unet()
        return self.function("unet", mode, lambda x, t, c: m(x, t, c, return_dict=False)[0])

    def encode(self, mode):
        m = self.vae()
        return self.function("vae-encode", mode, lambda x: m.encode(x).latent_dist.parameters)

    def decode(self, mode):
        m = self.vae()
        return self.function("vae-decode", mode, lambda z: m.decode(z, return_dict=False)[0])

    def look(self, mode):
        m = self.vit()
        return self.function("vit", mode, lambda x: m(x).last_hidden_state)

    def read(self, mode):
        m = self.text()
        return self.function("text", mode, lambda i: m(i).last_hidden_state)

    def training(self):
        """The U-Net in float32 and its optimizer."""
        if self.trained is None:
            with self.device:
                m = self.unet_config()
            m = m.to(memory_format=torch.channels_last).train()
            self.trained = m, torch.optim.AdamW(m.parameters(), lr=1e-5, weight_decay=1e-2, fused=True)
        return self.trained

    def time(self, run, count, budget):
        """Medians of up to count runs within budget seconds: on the device between events, and of the whole on the clock."""
        self.sync()
        events, walls = [], []
        begin = time.perf_counter()
        while len(walls) < count and (len(walls) < 3 or time.perf_counter() - begin < budget):
            t = time.perf_counter()
            if self.cuda:
                e = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
                e[0].record()
            run()
            if self.cuda:
                e[1].record()
                events.append(e)
                if len(events) % 4 == 0:
                    self.sync()  # the queue stays short, but is no wait in each run
            walls.append(time.perf_counter() - t)
        self.sync()
        total = time.perf_counter() - begin
        device = statistics.median([e[0].elapsed_time(e[1]) / 1e3 for e in events]) if events else statistics.median(walls)
        return dict(seconds=device, seconds_pipelined=total / len(walls), runs=len(walls))


# Each case is prepare(bench, mode) → (run, flop or None); run is what is timed.

def gemm(dtype):
    def prepare(b, mode):
        n = 64 if b.tiny else 8192
        x, y = b.random(n, n, dtype=dtype), b.random(n, n, dtype=dtype)
        out = torch.empty(n, n, device=b.device, dtype=dtype)
        return lambda: torch.mm(x, y, out=out), 2 * n**3

    return prepare


def inference(function, inputs):
    def prepare(b, mode):
        f, args = function(b, mode), inputs(b)

        def run():
            torch.compiler.cudagraph_mark_step_begin()
            with torch.no_grad():
                return f(*args)

        return run, flops(run) if mode == "eager" else None

    return prepare


def flops(run):
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def unet_step(batch):
    return inference(Bench.denoise, lambda b: (
        b.random(batch, 8, b.latent, b.latent), torch.full((batch,), 500, device=b.device), b.random(batch, 197, b.width)))


def translation(b, mode):
    """The official script's loop, with diffusers' schedulers; no guidance, so 2 × 100 calls of the U-Net."""
    from diffusers import DDIMInverseScheduler, DDIMScheduler

    denoise, encode, decode, look = b.denoise(mode), b.encode(mode), b.decode(mode), b.look(mode)
    common = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction", clip_sample=False,
                  set_alpha_to_one=False, timestep_spacing="trailing", rescale_betas_zero_snr=True)
    inverse, ddim = DDIMInverseScheduler(**common), DDIMScheduler(**common)
    image, pixels, prompt = b.random(1, 3, b.pixels, b.pixels), b.random(1, 3, 224, 224), b.random(1, 77, b.width)

    def run():
        with torch.no_grad():
            mean, logvar = encode(image).clone().chunk(2, 1)  # cloned, for a CUDA graph's output lives until its next run
            states = look(pixels).clone()
            if b.tiny:
                states = b.random(1, 197, b.width)
            latents = 0.18215 * (mean + torch.exp(0.5 * logvar) * torch.randn_like(mean))
            condition = mean
            zeros = torch.zeros_like(condition)
            inverse.set_timesteps(b.steps, device=b.device)
            for t in inverse.timesteps:
                torch.compiler.cudagraph_mark_step_begin()
                out = denoise(torch.cat([latents, zeros], 1), t[None], prompt)
                latents = inverse.step(out, t, latents).prev_sample
            latents = (latents - latents.mean((2, 3), keepdim=True)) / latents.std((2, 3), keepdim=True)
            ddim.set_timesteps(b.steps, device=b.device)
            for i, t in enumerate(ddim.timesteps):
                torch.compiler.cudagraph_mark_step_begin()
                out = denoise(torch.cat([latents, condition], 1), t[None], states)
                eta = min(max(0.6 - 0.4 * math.cos(math.pi * i / (b.steps - 1)), 0), 1)
                latents = ddim.step(out, t, latents, eta=eta).prev_sample
            return decode(latents / 0.18215).float().cpu()

    return run, None


def training(batch, checkpointing):
    def prepare(b, mode):
        m, optimizer = b.training()
        f = b.function("train", mode, lambda x, t, c: m(x, t, c, return_dict=False)[0])
        sample, noise = b.random(batch, 8, b.latent, b.latent, dtype=torch.float32), b.random(batch, 4, b.latent, b.latent, dtype=torch.float32)
        context = b.random(batch, 197, b.width, dtype=torch.float32)
        t = torch.randint(0, 1000, (batch,), device=b.device)

        def run():
            if m.is_gradient_checkpointing != checkpointing:
                m.enable_gradient_checkpointing() if checkpointing else m.disable_gradient_checkpointing()
            torch.compiler.cudagraph_mark_step_begin()
            with torch.autocast(b.device.type, torch.bfloat16):
                out = f(sample, t, context)
            loss = torch.nn.functional.mse_loss(out.float(), noise)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            return loss

        return run, flops(run) if mode == "eager" and not checkpointing else None

    return prepare


def cases(a):
    train = a.train_batch
    return {
        "gemm": gemm(torch.bfloat16),
        "gemm-f32": gemm(torch.float32),
        "unet-1": unet_step(1),
        "unet-8": unet_step(8),
        "vae-encode": inference(Bench.encode, lambda b: (b.random(1, 3, b.pixels, b.pixels),)),
        "vae-decode": inference(Bench.decode, lambda b: (b.random(1, 4, b.latent, b.latent),)),
        "vit": inference(Bench.look, lambda b: (b.random(1, 3, 224, 224),)),
        "text": inference(Bench.read, lambda b: (torch.randint(0, 49407, (1, 77), device=b.device),)),
        "translation": translation,
        f"train-{train}": training(train, False),
        f"train-{train}-checkpointing": training(train, True),
    }


def report():
    peak = {r["case"]: r["flop"] / r["seconds"] for r in RESULTS if r["case"].startswith("gemm") and "seconds" in r}
    flop = {r["case"]: r["flop"] for r in RESULTS if r.get("flop")}
    print(f"\n{'case':<24}{'mode':<30}{'ms':>10}{'ms, queued':>12}{'TFLOP/s':>10}{'of GEMM':>9}{'peak GiB':>10}{'prepare s':>11}")
    for r in RESULTS:
        if "seconds" not in r:
            print(f"{r['case']:<24}{r['mode']:<30}  {r['error']}")
            continue
        rate = flop.get(r["case"], 0) / r["seconds"]
        of = rate / peak["gemm"] if "gemm" in peak and r["case"] != "gemm-f32" else 0
        print(f"{r['case']:<24}{r['mode']:<30}{1e3 * r['seconds']:>10.2f}{1e3 * r['seconds_pipelined']:>12.2f}{rate / 1e12:>10.1f}{of:>9.0%}"
              f"{r['peak_bytes'] / 2**30:>10.2f}{r['prepare_seconds']:>11.1f}")
    sys.stdout.flush()


def record(r):
    RESULTS.append(r)
    print(json.dumps(r), flush=True)


def wait(path):
    begin = time.perf_counter()
    while not os.path.exists(path) and time.perf_counter() - begin < 200:
        time.sleep(0.2)
    say(f"waited {time.perf_counter() - begin:.1f} s for {path}{'' if os.path.exists(path) else ', which did not appear'}")


@contextlib.contextmanager
def failing(case, mode):
    try:
        yield
    except Exception as e:  # a case that fails must not take the others with it
        traceback.print_exc()
        record(dict(case=case, mode=mode, error=f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"[:200]))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", default="", help="cases, separated by commas; all but the checkpointing one by default")
    p.add_argument("--compile", default="default", help="modes of torch.compile, separated by commas: default, reduce-overhead, max-autotune-no-cudagraphs; none")
    p.add_argument("--no-eager", action="store_true")
    p.add_argument("--after", default="", help="file that the timing waits for")
    p.add_argument("--lock", default="", help="file that is locked while this process times")
    p.add_argument("--limit", type=int, default=0, help="seconds until it prints what it has and ends")
    p.add_argument("--runs", type=int, default=30)
    p.add_argument("--budget", type=float, default=2, help="seconds for the runs of a case")
    p.add_argument("--steps", type=int, default=100, help="of the inversion and of the translation, each")
    p.add_argument("--train-batch", type=int, default=16)
    p.add_argument("--device", default="cuda")
    p.add_argument("--no-cudnn-benchmark", action="store_true")
    p.add_argument("--tiny", action="store_true", help="sizes to try this script with on any machine")
    a = p.parse_args()
    b = Bench(a)
    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = not a.no_cudnn_benchmark
    if b.cuda:
        say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")

    def over(*_):
        say(f"the limit of {a.limit} s is reached")
        report()
        os._exit(1)

    def enough(*_):
        signal.signal(signal.SIGALRM, over)
        signal.alarm(reserve)
        raise Stop

    if a.limit:
        reserve = min(60, max(5, a.limit // 4))
        signal.signal(signal.SIGALRM, enough)
        signal.alarm(a.limit - reserve)
    known = cases(a)
    names = a.only.split(",") if a.only else [n for n in known if not n.endswith("-checkpointing")]
    for n in names:
        if n not in known:
            p.error(f"no case {n!r}: want {', '.join(known)}")
    modes = [] if a.compile == "none" else a.compile.split(",")
    if not a.no_eager:
        modes = ["eager", *modes]

    ready = []
    try:
        prepare(b, [(n, mode, known[n]) for n in names for mode in (["eager"] if n.startswith("gemm") else modes)], ready)
        if a.after:
            wait(a.after)
    except Stop:
        say(f"the time for compiling is over: {len(ready)} are ready")
    if a.limit and signal.getsignal(signal.SIGALRM) is enough:
        signal.signal(signal.SIGALRM, over)
        signal.alarm(max(1, int(a.limit - (time.perf_counter() - BEGIN))))
    with open(a.lock or os.devnull, "w") as lock:
        if a.lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
        measure(b, ready)
    report()


def prepare(b, chosen, ready):
    """Builds, compiles and warms up; adds to ready what can be timed, with its own bytes and the seconds that it took."""
    for n, mode, case in chosen:
        with failing(n, mode):
            gc.collect()
            own, begin = b.allocated(), time.perf_counter()
            run, flop = case(b, mode)
            for _ in range(1 if n == "translation" else 3):
                run()
            b.sync()
            took = time.perf_counter() - begin
            say(f"{n}, {mode}: ready in {took:.1f} s")
            gc.collect()
            ready.append((n, mode, run, flop, b.allocated() - own, took))
        if b.cuda:
            torch.cuda.empty_cache()


def measure(b, ready):
    # Cases share weights, which are counted for each of them: parameters, and for training gradients (they come and go) and two moments.
    shared = {k: sum(t.numel() * t.element_size() for t in m.parameters()) for k, m in b.models.items()}
    if b.trained:
        shared["train"] = 3 * sum(t.numel() * 4 for t in b.trained[0].parameters())
    users = {"unet": ["unet"], "vae": ["vae"], "translation": ["unet", "vae", "vit"], "vit": ["vit"], "text": ["text"], "train": ["train"]}
    for n, mode, run, flop, own, took in ready:
        with failing(n, mode):
            before = b.allocated()
            if b.cuda:
                torch.cuda.reset_peak_memory_stats()
            r = b.time(run, 3 if n == "translation" else b.a.runs, b.a.budget)
            peak = torch.cuda.max_memory_allocated() - before if b.cuda else 0
            kept = sum(shared.get(k, 0) for k in users.get(n.split("-")[0], [])) or own
            record(dict(case=n, mode=mode, **r, flop=flop, peak_bytes=peak + kept, prepare_seconds=round(took, 1)))
            if b.cuda:
                torch.cuda.empty_cache()


main()

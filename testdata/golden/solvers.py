"""Runs of diffusers' multistep solvers -> solvers.safetensors:  python solvers.py [OUT [SEED]]

DPMSolverMultistepScheduler (dpmsolver++, order 2, midpoint, euler_at_final), DPMSolverMultistepInverseScheduler (the
same, without lower_order_final) and SASolverScheduler (data prediction, orders 2 and 2) of diffusers 0.32.1, with a
formula in the network's place. LCMScheduler, at the time steps of DPMSolverMultistepScheduler instead of its own and
with timestep_scaling so large that c_skip is 0 and c_out 1: consistency sampling. DDIMScheduler with a single step.
torch 2.15.0, numpy 2.4.6.

Zero terminal SNR: DPMSolverMultistepScheduler sets the last alphas_cumprod, 0, to 2**-24. The others get the rescaled
betas and the same last value.

The tolerance of a quantity is 4 times the largest difference of float32 from the same run in float64.
"""

import json
import math
import platform
import sys
from pathlib import Path
from unittest import mock

import diffusers
import numpy as np
import safetensors.torch
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepInverseScheduler,
    DPMSolverMultistepScheduler,
    LCMScheduler,
    SASolverScheduler,
)

STEPS = (2, 5, 10, 20)
SHAPE = (1, 2, 3, 2)
BASE = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
ZERO_SNR = dict(prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True)
CONFIGS = {  # as scheduler_config.json has them
    "zero_snr": ZERO_SNR,
    "zero_snr_to_one": {**ZERO_SNR, "set_alpha_to_one": True},
    "epsilon": dict(prediction_type="epsilon", timestep_spacing="leading", steps_offset=1),
    "trailing": dict(prediction_type="epsilon", timestep_spacing="trailing"),
    "linspace": dict(prediction_type="v_prediction", timestep_spacing="linspace"),
}


def wave(x, t):
    return torch.tanh(x) * math.cos(float(t) / 1000.0)


def make(cls, config):
    c = {**BASE, **config}
    one, zero = c.pop("set_alpha_to_one", False), c.pop("rescale_betas_zero_snr", False)
    if zero:
        c["trained_betas"] = DDIMScheduler(**BASE, rescale_betas_zero_snr=True).betas.tolist()
    if cls is DPMSolverMultistepScheduler:
        c |= dict(final_sigmas_type="zero" if one else "sigma_min", euler_at_final=True)
        own = cls(**{**c, "trained_betas": None}, rescale_betas_zero_snr=zero)
    elif cls is DPMSolverMultistepInverseScheduler:
        c["lower_order_final"] = False
    elif cls is LCMScheduler:
        c |= dict(set_alpha_to_one=one, clip_sample=False, timestep_scaling=1e12)
    elif cls is DDIMScheduler:
        c |= dict(set_alpha_to_one=one, clip_sample=False)
    s = cls(**c)
    if zero:
        s.alphas_cumprod[-1] = 2**-24
    if cls is DPMSolverMultistepScheduler:
        assert torch.equal(own.alphas_cumprod, s.alphas_cumprod)
        return own
    return s


def set_sigmas(s, dtype, timesteps=None, last=None):
    """The sigmas of set_timesteps in another type, or at other time steps: last is that of the end."""
    a = s.alphas_cumprod.double() if dtype == torch.float64 else s.alphas_cumprod
    at = lambda t: ((1 - a[t]) / a[t]) ** 0.5
    if timesteps is None:
        timesteps, last = s.timesteps, (0 if s.sigmas[-1] == 0 else at(0 if s.timesteps[0] > s.timesteps[-1] else 999))
    else:
        last = at(last)
    s.timesteps = torch.as_tensor(timesteps)
    s.sigmas = torch.tensor([float(at(t)) for t in s.timesteps] + [float(last)], dtype=dtype)


def run(s, x, noise):
    xs = []
    for i, t in enumerate(s.timesteps):
        # DPMSolverMultistepScheduler.step converts to float32; SASolverScheduler.step draws its noise.
        with mock.patch("torch.float32", x.dtype), mock.patch(
            "diffusers.schedulers.scheduling_sasolver.randn_tensor", lambda *a, **k: noise[i].to(x.dtype)
        ):
            x = s.step(wave(x, t), t, x).prev_sample
        xs.append(x)
    return torch.stack(xs)


def consistency(config, n):
    """build(dtype) of LCMScheduler at the time steps of DPMSolverMultistepScheduler."""

    def build(dtype):
        s, other = make(LCMScheduler, config), make(DPMSolverMultistepScheduler, config)
        other.set_timesteps(n)
        s.set_timesteps(timesteps=other.timesteps.tolist(), original_inference_steps=1000)
        s.alphas_cumprod = s.alphas_cumprod.to(dtype)
        return s

    return build


def run_consistency(s, x, noise):
    xs = []
    for i, t in enumerate(s.timesteps):
        with mock.patch(
            "diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *a, **k: noise[i].to(x.dtype)
        ):
            x = s.step(wave(x, t), t, x).prev_sample
        xs.append(x)
    return torch.stack(xs)


def single(config):
    """build(dtype) of DDIMScheduler with one step."""

    def build(dtype):
        s = make(DDIMScheduler, config)
        s.set_timesteps(1)
        s.alphas_cumprod = s.alphas_cumprod.to(dtype)
        s.final_alpha_cumprod = s.final_alpha_cumprod.to(dtype)
        return s

    return build


def cosine(i, n):
    return 0.6 - 0.4 * math.cos(math.pi * i / (n - 1))


def etas_and_taus(s, kind):
    """For each step eta, and tau such that SASolverScheduler's first-order step is DDIM's with eta."""
    n = len(s.timesteps)
    h = np.diff(-np.log(s.sigmas.double().numpy()))
    if kind.startswith("tau"):
        tau = np.full(n, float(kind[3:]))
        eta = np.sqrt(np.expm1(-2 * tau**2 * h) / np.expm1(-2 * h))
    else:
        eta = np.array([cosine(i, n) if kind == "cosine_min_20" else float(kind[3:]) for i in range(n)])
        tau = np.sqrt(-np.log1p(eta**2 * np.expm1(-2 * h)) / (2 * h))
    return eta.tolist(), tau.tolist()


def main():
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 20240
    g = torch.Generator("cpu").manual_seed(seed)
    x, noise = torch.randn(SHAPE, generator=g), torch.randn((max(STEPS), *SHAPE), generator=g)
    T, cases, tolerances = {"sample": x, "noise": noise}, [], {}
    for name, zero in (("plain", False), ("zero_snr", True)):
        s = make(SASolverScheduler, dict(rescale_betas_zero_snr=zero))
        T[f"alphas_cumprod/{name}"] = s.alphas_cumprod

    def add(name, sampler, config, build, eta=None, run=run):
        """build(dtype) is the scheduler; its time steps and where the last step goes to are written down."""
        s, twin = build(torch.float32), build(torch.float64)
        T[name] = run(s, x, noise)
        exact = run(twin, x.double(), noise)
        assert torch.isfinite(T[name]).all() and exact.dtype == torch.float64
        quantity = f"{sampler} {CONFIGS[config]['prediction_type']}"
        old = tolerances.get(quantity, {"max_abs_diff": 0.0, "max_abs_value": 0.0})
        diff = max(old["max_abs_diff"], float((T[name] - exact).abs().max()))
        largest = max(old["max_abs_value"], float(exact.abs().max()))
        tolerances[quantity] = {"max_abs_diff": diff, "max_abs_value": largest, "suggested_abs": 4 * diff}
        whole = {**BASE, "set_alpha_to_one": False, **CONFIGS[config], "clip_sample": False}
        cases.append({"name": name, "sampler": sampler, "config": whole, "timesteps": s.timesteps.tolist(), "eta": eta,
                      "quantity": quantity})

    for config, c in CONFIGS.items():
        for n in STEPS:
            def build(cls, timesteps=None, last=None, **more):
                def f(dtype):
                    s = make(cls, {**c, **more})
                    s.set_timesteps(n)
                    sigmas = s.sigmas
                    set_sigmas(s, dtype, timesteps, last)
                    if timesteps is None:
                        assert torch.allclose(sigmas, s.sigmas.float(), rtol=1e-6, atol=0), config
                    return s
                return f

            eta = [1.0] * (n - 1) + [0.0]
            add(f"consistency/{config}/n{n}", "consistency", config, consistency(c, n), eta, run_consistency)
            add(f"dpm/{config}/n{n}", "dpm", config, build(DPMSolverMultistepScheduler))
            if config != "zero_snr_to_one":
                add(f"inverse/{config}/n{n}", "inverse", config, build(DPMSolverMultistepInverseScheduler))
                cases[-1]["last"] = 999
                up = make(DPMSolverMultistepScheduler, c)
                up.set_timesteps(n)
                up = up.timesteps.flip(0).tolist()  # the translation's time steps, reversed
                f = build(DPMSolverMultistepInverseScheduler, [0, *up[:-1]], up[-1])
                add(f"reversed/{config}/n{n}", "inverse", config, f)
                cases[-1]["last"] = up[-1]
                for kind in ("tau0", "tau0.3", "tau1", "eta0.5", "cosine_min_20"):
                    s = build(SASolverScheduler)(torch.float64)
                    eta, tau = etas_and_taus(s, kind)
                    tau = dict(zip(s.timesteps.tolist(), tau))
                    f = build(SASolverScheduler, tau_func=lambda t, tau=tau: tau[int(t)])
                    add(f"sa/{config}/{kind}/n{n}", "sa", config, f, eta)

    for config, c in CONFIGS.items():
        if c["timestep_spacing"] == "trailing":
            for eta in (0.0, 0.2):
                once = lambda s, x, noise, eta=eta: s.step(
                    wave(x, s.timesteps[0]), s.timesteps[0], x, eta=eta, variance_noise=noise[0].to(x.dtype)
                ).prev_sample[None]
                add(f"ddim/{config}/eta{eta}/n1", "ddim", config, single(c), [eta], once)
            add(f"consistency/{config}/n1", "consistency", config, consistency(c, 1), [0.0], run_consistency)

    for spacing in ("leading", "trailing", "linspace"):
        for offset in (0, 1):
            for n in (1, 2, 3, 5, 7, 10, 20, 30, 50, 61, 100):
                c = dict(timestep_spacing=spacing, steps_offset=offset)
                a, b = make(DPMSolverMultistepScheduler, c), make(SASolverScheduler, c)
                a.set_timesteps(n), b.set_timesteps(n)
                assert torch.equal(a.timesteps, b.timesteps)
                T[f"timesteps/{spacing}/offset{offset}/n{n}"] = a.timesteps

    versions = {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__,
                "python": platform.python_version()}
    meta = {"seed": str(seed), **versions, "cases": json.dumps(cases), "tolerances": json.dumps(tolerances)}
    raw = safetensors.torch.save({k: v.contiguous() for k, v in T.items()}, meta)
    size = int.from_bytes(raw[:8], "little")  # the metadata come in a random order; sorted, equal runs give equal files
    header = json.loads(raw[8 : 8 + size])
    header = {"__metadata__": dict(sorted(header.pop("__metadata__").items())), **header}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    (out / "solvers.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + size :])
    print(len(cases), "runs", len(raw), "bytes")
    for q, t in sorted(tolerances.items()):
        print(f"{q:24s} diff {t['max_abs_diff']:.2e} largest {t['max_abs_value']:.2e}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.no_grad():
        main()

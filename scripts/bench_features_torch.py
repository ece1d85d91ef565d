#!/usr/bin/env python3
"""Times PyTorch on what BenchmarkFIDFeatures of experiments/metrics/features times: Inception v3 up to its 2048 features, of images of
512x512 pixels resized to 299, random weights, float32: python scripts/bench_features_torch.py [--threads N] [--runs N] [--batch N]

Prints images per second in NCHW and in channels_last, the best of the runs, and images per second of processor time.
"""

import argparse
import time

import torch
import torch.nn.functional as F
import torchvision


def features(net, x):
    x = 2 * F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) - 1
    for name, layer in net.named_children():
        if name == "avgpool":
            return layer(x)
        if name != "AuxLogits":
            x = layer(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    net = torchvision.models.inception_v3(weights=None, init_weights=False).eval()
    x = torch.rand(a.batch, 3, 512, 512)
    with torch.no_grad():
        for layout in (torch.contiguous_format, torch.channels_last):
            net, x = net.to(memory_format=layout), x.to(memory_format=layout)
            features(net, x)
            times, used = [], time.process_time()
            for _ in range(a.runs):
                begin = time.perf_counter()
                assert features(net, x).shape == (a.batch, 2048, 1, 1)
                times.append(time.perf_counter() - begin)
            used = time.process_time() - used
            print(f"{layout}: {a.batch / min(times):.2f} images/s, {a.batch * a.runs / used:.2f} images per processor-second", flush=True)


main()

"""Writes gen_resize.json beside it: pictures that Pillow resized, for resize_test.go.

    python gen_resize.py

The sources are a generator's bytes and not stored: state = 31·height + 17·width + channels; for each byte state = 1664525·state +
1013904223 mod 2³², byte = state >> 24. "black and white" sources have byte >> 7 times 255. Of the results the SHA-256 is stored.
The version of Pillow matters: 13 swapped the passes for some shapes.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

SIZES = [  # height, width → height, width
    ((1, 1), (5, 3)), ((7, 5), (1, 1)), ((5, 9), (9, 5)), ((40, 40), (17, 17)), ((33, 70), (12, 71)), ((70, 33), (71, 12)),
    ((64, 64), (64, 20)), ((64, 64), (20, 64)), ((13, 8), (200, 3)), ((8, 13), (3, 200)), ((100, 3), (2, 100)), ((61, 61), (61, 61)),
    ((90, 50), (9, 10)), ((89, 50), (9, 10)),  # either side of the rule for the order of the passes
    ((512, 512), (224, 224)), ((300, 260), (224, 224)), ((260, 300), (224, 224)), ((100, 150), (224, 224)), ((1000, 700), (366, 256)),
]


def source(height, width, channels, contrast):
    state = np.uint32(31 * height + 17 * width + channels)
    out = np.empty(height * width * channels, np.uint8)
    with np.errstate(over="ignore"):
        for i in range(out.size):
            state = np.uint32(state * np.uint32(1664525) + np.uint32(1013904223))
            out[i] = state >> np.uint32(24)
    if contrast:
        out = (out >> 7) * np.uint8(255)
    return out.reshape(height, width, channels)


def main():
    cases = []
    for size, to in SIZES:
        for channels in (1, 3):
            for contrast in (False, True):
                pix = source(*size, channels, contrast)
                image = Image.fromarray(pix if channels == 3 else pix[:, :, 0])
                for f in (Image.NEAREST, Image.LANCZOS, Image.BILINEAR, Image.BICUBIC, Image.BOX, Image.HAMMING):
                    digest = hashlib.sha256(np.asarray(image.resize(to[::-1], f)).tobytes()).hexdigest()
                    cases.append({"from": size, "to": to, "channels": channels, "black_and_white": contrast, "filter": int(f), "sha256": digest})
    lines = ",\n".join(json.dumps(c) for c in cases)
    head = json.dumps({"generator": Path(__file__).name, "pillow": PIL.__version__})[:-1]
    Path(__file__).with_suffix(".json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

"""Writes gen_box.json next to it: parts of images that Pillow resized, for resize_test.go.

    python gen_box.py

Sources as in gen_resize.py. Edges of boxes are multiples of 1/64, which single precision holds. Shapes for which Pillow
13 goes vertically first are left out: see ResizePart.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from gen_resize import source

CASES = [  # height, width; box x0, y0, x1, y1; height, width
    ((60, 80), (10, 5, 70, 55), (25, 30)), ((60, 80), (10.25, 5.5, 70.75, 55.0), (25, 30)), ((60, 80), (0, 0, 40.5, 30.25), (40, 50)),
    ((60, 80), (33.015625, 20.984375, 80, 60), (20, 24)), ((61, 67), (1, 1, 66, 60), (59, 65)), ((61, 67), (0.5, 0.5, 65.5, 59.5), (59, 65)),
    ((200, 210), (3.75, 7.125, 201.5, 190.25), (40, 43)), ((30, 30), (12.5, 12.5, 13.5, 13.5), (9, 9)),
]


def main():
    cases = []
    for size, box, to in CASES:
        for channels in (1, 3):
            pix = source(*size, channels, False)
            image = Image.fromarray(pix if channels == 3 else pix[:, :, 0])
            for f in (Image.LANCZOS, Image.BILINEAR, Image.BICUBIC, Image.BOX, Image.HAMMING):
                digest = hashlib.sha256(np.asarray(image.resize(to[::-1], f, box)).tobytes()).hexdigest()
                cases.append({"from": size, "box": box, "to": to, "channels": channels, "filter": int(f), "sha256": digest})
    lines = ",\n".join(json.dumps(c) for c in cases)
    head = json.dumps({"generator": Path(__file__).name, "pillow": PIL.__version__})[:-1]
    Path(__file__).with_suffix(".json").write_text(f'{head}, "cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()

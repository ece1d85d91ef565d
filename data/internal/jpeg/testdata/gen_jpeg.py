"""JPEG files and what Pillow (libjpeg-turbo) decodes from them: NAME.jpg, NAME.png; pictures and what it encodes: encode-*.

    python gen_jpeg.py          needs numpy and Pillow; written with Pillow 13.0.0, libjpeg-turbo 3.2.0
"""

import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).resolve().parent
r = np.random.RandomState(5)


def picture(w, h, noise=40):
    """Slow waves and noise: coefficients of all frequencies, colours that clip."""
    y, x = np.mgrid[0:h, 0:w]
    waves = [128 + 110 * np.sin(x / a + y / b + c) for a, b, c in ((5, 9, 0), (7, -4, 1), (-3, 6, 2))]
    return np.clip(np.stack(waves, -1) + r.randn(h, w, 3) * noise, 0, 255).astype(np.uint8)


def jpeg(image, **options):
    b = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(b, "JPEG", **options)
    return b.getvalue()


def keep(name, data):
    (OUT / f"{name}.jpg").write_bytes(data)
    Image.open(io.BytesIO(data)).convert("RGB").save(OUT / f"{name}.png", optimize=True)


def patch(data, sampling, width, height):
    """The same blocks under another frame header: Pillow can't write these samplings, but reads them."""
    at = data.index(b"\xff\xc0")
    b = bytearray(data)
    b[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    b[at + 11] = sampling
    return bytes(b)


for old in [*OUT.glob("*.jpg"), *OUT.glob("*.png")]:
    old.unlink()
for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
    for w, h in ((1, 1), (2, 3), (4, 4), (5, 6), (16, 16), (37, 29), (64, 19)):
        keep(f"{name}-{w}x{h}", jpeg(picture(w, h), quality=90, subsampling=subsampling))
    for quality in (1, 30, 100):
        keep(f"{name}-q{quality}", jpeg(picture(27, 35, 90), quality=quality, subsampling=subsampling))
    keep(f"{name}-progressive", jpeg(picture(43, 37), quality=85, subsampling=subsampling, progressive=True))
    keep(f"{name}-optimize", jpeg(picture(33, 41), quality=95, subsampling=subsampling, optimize=True))
    keep(f"{name}-restart", jpeg(picture(50, 45), quality=85, subsampling=subsampling, restart_marker_blocks=2))
    keep(f"{name}-progressive-restart", jpeg(picture(50, 45), quality=85, subsampling=subsampling, progressive=True, restart_marker_rows=1))
keep("grey", jpeg(picture(31, 23)[..., 0], quality=90))
keep("grey-progressive", jpeg(picture(31, 23)[..., 0], quality=90, progressive=True))
keep("rgb", jpeg(picture(31, 23), quality=90, keep_rgb=True))
cmyk = jpeg(Image.fromarray(np.concatenate([picture(31, 23), picture(31, 23)[..., :1]], -1), "CMYK"), quality=90)
keep("cmyk", cmyk)
at = cmyk.index(b"Adobe") + 11
keep("ycck", cmyk[:at] + b"\x02" + cmyk[at + 1 :])
keep("q16", jpeg(picture(31, 23), qtables=[[300 + 7 * i for i in range(64)], [260] * 64]))
keep("440", patch(jpeg(picture(40, 21), quality=90, subsampling=1), 0x12, 21, 40))
keep("440-1x3", patch(jpeg(picture(3, 1), quality=90, subsampling=1), 0x12, 1, 3))
keep("411", patch(jpeg(picture(60, 16), quality=90, subsampling=2), 0x41, 121, 8))
keep("114", patch(jpeg(picture(16, 60), quality=90, subsampling=2), 0x14, 8, 119))
keep("grey-2x2", patch(jpeg(picture(31, 23)[..., 0], quality=90), 0x22, 31, 23))

# What Pillow writes: the picture is NAME.source.png.
for name, subsampling in (("444", 0), ("420", 2)):
    for w, h, quality in ((1, 1, 75), (9, 7, 90), (16, 24, 100), (37, 29, 75), (50, 41, 20), (25, 17, 1)):
        image = picture(w, h)
        Image.fromarray(image).save(OUT / f"encode-{name}-{w}x{h}-q{quality}.source.png", optimize=True)
        keep(f"encode-{name}-{w}x{h}-q{quality}", jpeg(image, quality=quality, subsampling=subsampling))

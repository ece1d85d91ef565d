"""Colour profiles made of tables, NAME.icc, and what LittleCMS makes of the colours of input.bin with them, NAME.want.png.

    python gen_profiles.py      needs numpy and Pillow with LittleCMS; written with Pillow 13.0.0, LittleCMS 2.19

input.bin has 16×16 pixels of four values. A grey profile takes the first of each, one of RGB the first three. The conversion is Pillow's default,
perceptual with black point compensation, without the tables of 8-bit transforms in between: NOOPTIMIZE.
"""

import io
import struct
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

OUT = Path(__file__).resolve().parent
for old in [*OUT.glob("*.icc"), *OUT.glob("*.png")]:
    old.unlink()
r = np.random.RandomState(8)
colors = r.randint(0, 256, (16, 16, 4)).astype(np.uint8)
colors[0] = np.minimum(np.arange(16) * 17, 255)[:, None]  # greys
colors[1, :8] = [[255 * (i & 1), 255 * (i >> 1 & 1), 255 * (i >> 2), 0] for i in range(8)]  # corners
(OUT / "input.bin").write_bytes(colors.tobytes())

fixed = lambda *v: struct.pack(f">{len(v)}i", *[round(x * 65536) for x in v])


def profile(space, pcs, tags, version=2, cls=b"scnr", name=b"test"):
    desc = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79
    tags = {b"desc": desc, b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), b"cprt": b"text\0\0\0\0none\0\0\0\0"} | tags
    table, data, at = b"", b"", 132 + 12 * len(tags)
    for k, v in tags.items():
        v += b"\0" * (-len(v) % 4)
        table += k + struct.pack(">II", at + len(data), len(v))
        data += v
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sBBBB4s4s4s", 128 + len(body), b"none", version, 0x40 if version == 2 else 0x20, 0, 0, cls, space, pcs)
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249)
    return head + b"\0" * (128 - len(head)) + body


def lab(rgb, floor=0.0):  # Lab of a made-up device; floor: how much light black reflects
    lin = np.clip(rgb, 0, 1) ** 2.1 * (1 - floor) + floor
    m = np.array([[0.50, 0.33, 0.134], [0.26, 0.66, 0.08], [0.02, 0.10, 0.705]])
    xyz = lin @ m.T
    f = np.where(xyz / [0.9642, 1, 0.8249] > 216 / 24389, np.cbrt(xyz / [0.9642, 1, 0.8249]), (24389 / 27 * xyz / [0.9642, 1, 0.8249] + 16) / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1), xyz


def grid(n, channels):
    return np.stack(np.meshgrid(*[np.linspace(0, 1, n)] * channels, indexing="ij"), -1).reshape(-1, channels)


inks = lambda cmyk: (1 - 0.9 * cmyk[:, :3]) * (1 - 0.9 * cmyk[:, 3:])
lab8 = lambda v: np.round(np.stack([v[:, 0] * 2.55, v[:, 1] + 128, v[:, 2] + 128], -1)).clip(0, 255).astype(np.uint8).tobytes()
lab16v2 = lambda v: np.round(np.stack([v[:, 0] * 652.8, (v[:, 1] + 128) * 256, (v[:, 2] + 128) * 256], -1)).clip(0, 65535).astype(">u2").tobytes()
lab16v4 = lambda v: np.round(np.stack([v[:, 0] * 655.35, (v[:, 1] + 128) * 257, (v[:, 2] + 128) * 257], -1)).clip(0, 65535).astype(">u2").tobytes()
xyz16 = lambda v: np.round(v * 32768).clip(0, 65535).astype(">u2").tobytes()
MATRIX = fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)


def mft1(n, channels, nodes, curve=lambda x: x, matrix=MATRIX):
    table = np.round(255 * curve(np.arange(256) / 255)).astype(np.uint8).tobytes()
    return b"mft1\0\0\0\0" + bytes([channels, 3, n, 0]) + matrix + table * channels + nodes + bytes(range(256)) * 3


def mft2(n, channels, nodes, curve=lambda x: x, entries=2, out=lambda x: x, out_entries=2, matrix=MATRIX):
    table = lambda c, k: np.round(65535 * c(np.arange(k) / (k - 1))).astype(">u2").tobytes()
    return (b"mft2\0\0\0\0" + bytes([channels, 3, n, 0]) + matrix + struct.pack(">HH", entries, out_entries)
            + table(curve, entries) * channels + nodes + table(out, out_entries) * 3)


para = lambda kind, *v: b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*v)
curv = lambda *v: b"curv\0\0\0\0" + struct.pack(f">I{len(v)}H", len(v), *v) + b"\0\0" * (len(v) % 2)


def mab(channels, b, matrix=None, m=None, table=None, a=None):
    at, body, offsets = 32, b"", {}
    for key, data in (("b", b), ("matrix", matrix), ("m", m), ("table", table), ("a", a)):
        if data is not None:
            offsets[key] = at + len(body)
            body += data
    return b"mAB \0\0\0\0" + bytes([channels, 3, 0, 0]) + struct.pack(">5I", *[offsets.get(k, 0) for k in ("b", "matrix", "m", "table", "a")]) + body


def nodes(n, channels, precision, data):
    head = bytes([n] * channels + [0] * (16 - channels) + [precision, 0, 0, 0])
    return head + data + b"\0" * (-len(data) % 4)


g2 = lambda x: x ** 1.3
primaries = {b"rXYZ": (0.60974, 0.31111, 0.01947), b"gXYZ": (0.20528, 0.62567, 0.06087), b"bXYZ": (0.14919, 0.06322, 0.74457)}
shaper = {k: b"XYZ \0\0\0\0" + fixed(*v) for k, v in primaries.items()} | {k: curv(563) for k in (b"rTRC", b"gTRC", b"bTRC")}
three, four = grid(5, 3), grid(4, 4)
cases = {
    "lut8": profile(b"RGB ", b"Lab ", {b"A2B0": mft1(5, 3, lab8(lab(three)[0]), g2)}),
    "lut8-black": profile(b"RGB ", b"Lab ", {b"A2B0": mft1(5, 3, lab8(lab(three, 0.03)[0]))}),
    "lut8-pale-black": profile(b"RGB ", b"Lab ", {b"A2B0": mft1(5, 3, lab8(lab(three, 0.3)[0]))}),
    "lut8-matrix": profile(b"RGB ", b"Lab ", {b"A2B0": mft1(5, 3, lab8(lab(three)[0]), g2, fixed(0.9, 0.1, 0, 0.05, 0.9, 0.05, 0, 0, 1))}),
    "lut16": profile(b"RGB ", b"Lab ", {b"A2B0": mft2(5, 3, lab16v2(lab(three, 0.01)[0]), g2, 17, lambda x: x ** 1.02, 33)}),
    "lut16-xyz": profile(b"RGB ", b"XYZ ", {b"A2B0": mft2(5, 3, xyz16(lab(three)[1]), g2, 256)}),
    "lut16-and-matrix": profile(b"RGB ", b"XYZ ", shaper | {b"A2B0": mft2(5, 3, xyz16(lab(three)[1]))}),
    "lut16-version4": profile(b"RGB ", b"Lab ", {b"A2B0": mft2(5, 3, lab16v2(lab(three, 0.0034731)[0]))}, 4),
    "colorimetric-only": profile(b"RGB ", b"XYZ ", shaper | {b"A2B1": mft2(5, 3, xyz16(lab(three)[1]))}),
    "mab-lab": profile(b"RGB ", b"Lab ", {b"A2B0": mab(3, curv() * 3, a=para(3, 1.2, 0.95, 0.05, 0.9, 0.04) * 3, table=nodes(5, 3, 2, lab16v4(lab(three, 0.01)[0])))}, 4),
    "mab-8-bits": profile(b"RGB ", b"Lab ", {b"A2B0": mab(3, curv() * 3, a=curv(280) * 3, table=nodes(5, 3, 1, lab8(lab(three)[0])))}, 4),
    "mab-matrix": profile(b"RGB ", b"XYZ ", {b"A2B0": mab(3, curv() * 3, fixed(0.25, 0.16, 0.067, 0.13, 0.33, 0.04, 0.01, 0.05, 0.35, 0, 0.002, 0.001), curv(563) * 3)}, 4),
    "mab-whole": profile(b"RGB ", b"XYZ ", {b"A2B0": mab(3, para(0, 1.1) * 3, fixed(0.26, 0.16, 0.067, 0.13, 0.34, 0.04, 0.01, 0.05, 0.36, 0.001, 0, 0.002), curv(0, 9000, 30000, 65535) * 3, nodes(
        3, 3, 2, np.round(65535 * grid(3, 3) ** 1.1).astype(">u2").tobytes()), para(0, 1.2) * 3)}, 4),
    "grey-lab": profile(b"GRAY", b"Lab ", {b"kTRC": curv(330)}),
    "grey-lut": profile(b"GRAY", b"Lab ", {b"A2B0": mft2(9, 1, lab16v2(lab(np.repeat(grid(9, 1), 3, -1), 0.02)[0]))}),
    "matrix-black": profile(b"RGB ", b"XYZ ", shaper | {k: para(4, 2.2, 0.95, 0.05, 0.2, 0.02, 0.01, 0.01) for k in (b"rTRC", b"gTRC", b"bTRC")}, 4),
    "matrix-blue-black": profile(b"RGB ", b"XYZ ", shaper | {b"bTRC": para(4, 2.2, 0.95, 0.05, 0.2, 0.02, 0.05, 0.05)}),
    "cmyk-lut8": profile(b"CMYK", b"Lab ", {b"A2B0": mft1(4, 4, lab8(lab(inks(four))[0]))}, cls=b"prtr"),
    "cmyk-lut16": profile(b"CMYK", b"Lab ", {b"A2B0": mft2(4, 4, lab16v2(lab(inks(four))[0]), g2, 9)}, cls=b"prtr"),
    "cmyk-version4": profile(b"CMYK", b"Lab ", {b"A2B0": mab(4, curv() * 3, a=curv() * 4, table=nodes(4, 4, 1, lab8(lab(inks(four))[0])))}, 4, b"prtr"),
}
target = ImageCms.createProfile("sRGB")
for name, icc in cases.items():
    (OUT / f"{name}.icc").write_bytes(icc)
    mode = {b"GRAY": "L", b"RGB ": "RGB", b"CMYK": "CMYK"}[icc[16:20]]
    pixels = {"L": colors[..., 0], "RGB": colors[..., :3], "CMYK": colors}[mode]
    image = Image.fromarray(np.ascontiguousarray(pixels), mode)
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    exact, usual = [ImageCms.profileToProfile(image, source, target, outputMode="RGB", flags=f) for f in (ImageCms.Flags.NOOPTIMIZE, 0)]
    exact.save(OUT / f"{name}.want.png")
    d = np.abs(np.asarray(exact).astype(int) - np.asarray(usual).astype(int))
    print(f"{name}: Pillow's default differs by {d.max()}, in {(d > 1).sum()} of {d.size} values by more than 1")

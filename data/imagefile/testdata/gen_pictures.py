"""Picture files of several kinds and what Read must make of them: NAME.EXT and NAME.want.png.

    python gen_pictures.py      needs numpy, Pillow with LittleCMS, tifffile; written with Pillow 13.0.0
"""

import io
import struct
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, ImageCms

OUT = Path(__file__).resolve().parent
r = np.random.RandomState(3)
for old in OUT.iterdir():
    if old.suffix in (".png", ".jpg", ".tif", ".bmp"):
        old.unlink()


def waves(h, w, channels=3):
    y, x = np.mgrid[0:h, 0:w]
    return np.stack([127 + 120 * np.sin(x / (3 + c) + y / (5 - c) + c) for c in range(channels)], -1).astype(np.uint8)


def want(name, rgb):
    Image.fromarray(np.ascontiguousarray(rgb)).save(OUT / f"{name}.want.png")


rgb = waves(13, 17)
grey3 = lambda g: np.repeat(g[..., None], 3, -1)
Image.fromarray(rgb).save(OUT / "rgb.png"); want("rgb", rgb)
Image.fromarray(rgb).save(OUT / "rgb.bmp")
Image.fromarray(rgb[..., 0]).save(OUT / "grey.png"); want("grey", grey3(rgb[..., 0]))
bits = rgb[..., 1] > 128
Image.fromarray(bits).save(OUT / "bits.png"); want("bits", grey3(np.where(bits, 255, 0).astype(np.uint8)))
palette = Image.fromarray(rgb).quantize(20)
palette.save(OUT / "palette.png"); want("palette", np.asarray(palette.convert("RGB")))
wide = r.randint(0, 65536, (9, 11)).astype(np.uint16)
Image.fromarray(wide).save(OUT / "grey16.png"); want("grey16", grey3((wide >> 8).astype(np.uint8)))


def png(header, rows, chunks=b""):
    import zlib

    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))



# Orders and oddities of chunks that programs write and Pillow reads.
def chunk(kind, data, crc=None):
    import zlib
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) if crc is None else crc)


def odd(name, header, rows, before=b"", after=b"", end=chunk(b"IEND", b""), split=False):
    import zlib

    pixels = zlib.compress(rows)
    pixels = chunk(b"IDAT", pixels[:9]) + chunk(b"IDAT", b"") + chunk(b"IDAT", pixels[9:]) if split else chunk(b"IDAT", pixels)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + before + pixels + after + end
    (OUT / f"odd-{name}.png").write_bytes(data)
    try:
        image = Image.open(io.BytesIO(data)).convert("RGBA")
    except OSError:  # Pillow refuses wrong checksums before the pixels; libpng passes over what it needs not
        image = Image.open(io.BytesIO(data.replace(before, b"", 1))).convert("RGBA")
    image = np.asarray(image).astype(int)
    a = image[..., 3:]
    want(f"odd-{name}", ((image[..., :3] * a + 255 * (255 - a) + 127) // 255).astype(np.uint8))


lines = lambda v: b"".join(b"\0" + row.tobytes() for row in v)
truecolor, greys, indexed = (17, 13, 8, 2, 0, 0, 0), (17, 13, 8, 0, 0, 0, 0), (17, 13, 8, 3, 0, 0, 0)
key = struct.pack(">3H", *rgb[4, 5])
colours, alphas = bytes(range(60)), bytes([0, 128, 255, 40])
odd("trns-before-plte", truecolor, lines(rgb), chunk(b"tRNS", key) + chunk(b"PLTE", colours))
odd("palette-trns-before-plte", indexed, lines(rgb[..., 0] % 20), chunk(b"tRNS", alphas) + chunk(b"PLTE", colours))
odd("palette-long", (17, 13, 4, 3, 0, 0, 0), lines(np.packbits(np.unpackbits((np.pad(rgb[..., 0], ((0, 0), (0, 1))) % 16)[..., None], axis=-1)[..., 4:].reshape(13, -1), axis=-1)), chunk(b"PLTE", colours) + chunk(b"tRNS", bytes(range(0, 200, 10))))
odd("grey-trns", greys, lines(rgb[..., 0]), chunk(b"tRNS", struct.pack(">H", rgb[4, 5, 0])))
odd("grey-plte", greys, lines(rgb[..., 0]), chunk(b"PLTE", colours))
odd("alpha-trns", (17, 13, 8, 6, 0, 0, 0), lines(np.concatenate([rgb, np.full((13, 17, 1), 255, np.uint8)], -1)), chunk(b"tRNS", key))
odd("plte-after-idat", truecolor, lines(rgb), after=chunk(b"PLTE", colours))
odd("gamma-after-plte", truecolor, lines(rgb), chunk(b"PLTE", colours) + chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"sRGB", b"\0") + chunk(b"zzZz", b"?"))
odd("unknown-everywhere", truecolor, lines(rgb), chunk(b"abCd", b"1") + chunk(b"tIME", b"\0" * 7), chunk(b"efGh", b"2") + chunk(b"sRGB", b"\0"))
odd("wrong-checksum", truecolor, lines(rgb), chunk(b"tEXt", b"Comment\0damaged", 1) + chunk(b"eXIf", b"II*\0damaged", 2))
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
odd("interlaced", (17, 13, 8, 2, 0, 0, 1), b"".join(lines(rgb[y::dy, x::dx]) for x, y, dx, dy in ADAM7))
bits_of = lambda v, n: np.packbits(np.unpackbits((v >> (8 - n))[..., None], axis=-1)[..., 8 - n:].reshape(len(v), -1), axis=-1)
for n in (1, 2, 4):
    odd(f"grey{n}", (17, 13, n, 0, 0, 0, 0), lines(bits_of(rgb[..., 0], n)))
odd("split", truecolor, lines(rgb), split=True)
odd("garbage-at-the-end", truecolor, lines(rgb), end=chunk(b"IEND", b"") + b"garbage" * 9)
odd("no-end", truecolor, lines(rgb), end=b"")
odd("half-a-chunk-at-the-end", truecolor, lines(rgb), end=b"\0\0\0")

wide = r.randint(0, 65536, (9, 11, 3)).astype(">u2")
rows = b"".join(b"\0" + row.tobytes() for row in wide)
(OUT / "rgb16.png").write_bytes(png(struct.pack(">IIBBBBB", 11, 9, 16, 2, 0, 0, 0), rows))
assert (np.asarray(Image.open(OUT / "rgb16.png").convert("RGB")) == wide >> 8).all()  # Pillow too takes the high byte
want("rgb16", (wide >> 8).astype(np.uint8))

opaque = np.concatenate([rgb, np.full((13, 17, 1), 255, np.uint8)], -1)
Image.fromarray(opaque).save(OUT / "opaque.png"); want("opaque", rgb)
alpha = opaque.copy()
alpha[..., 3] = np.minimum(np.arange(17) * 17, 255)
Image.fromarray(alpha).save(OUT / "alpha.png")
a = alpha[..., 3:].astype(int)
want("alpha", ((alpha[..., :3] * a + 255 * (255 - a) + 127) // 255).astype(np.uint8))

for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(rgb)
    image.save(OUT / f"orientation{orientation}.png", exif=exif)
    from PIL import ImageOps
    want(f"orientation{orientation}", np.asarray(ImageOps.exif_transpose(Image.open(OUT / f"orientation{orientation}.png"))))
exif = Image.Exif()
exif[0x0112] = 6
Image.fromarray(rgb).save(OUT / "turned.jpg", exif=exif, quality=95)
want("turned", np.asarray(ImageOps.exif_transpose(Image.open(OUT / "turned.jpg"))))
Image.fromarray(rgb).save(OUT / "turned-tiff.tif", tiffinfo={0x0112: 8})
want("turned-tiff", np.rot90(rgb, 1))

for compression in (None, "lzw", "zlib", "packbits"):
    name = f"tiff-{compression or 'raw'}"
    tifffile.imwrite(OUT / f"{name}.tif", rgb, compression=compression, photometric="rgb", metadata=None,
                     predictor=2 if compression in ("lzw", "zlib") else None); want(name, rgb)
big = waves(40, 50)
tifffile.imwrite(OUT / "tiled.tif", big, tile=(16, 32), compression="zlib", photometric="rgb", metadata=None); want("tiled", big)
tifffile.imwrite(OUT / "big-endian.tif", rgb, byteorder=">", photometric="rgb", metadata=None); want("big-endian", rgb)
tifffile.imwrite(OUT / "grey16.tif", wide[..., 0].astype(np.uint16), photometric="minisblack", metadata=None)
want("grey16-tiff", grey3((wide[..., 0] >> 8).astype(np.uint8)))
(OUT / "grey16.tif").rename(OUT / "grey16-tiff.tif")
tifffile.imwrite(OUT / "pages.tif", np.stack([rgb, 255 - rgb]), photometric="rgb", metadata=None); want("pages", rgb)
tifffile.imwrite(OUT / "bigtiff.tif", rgb, bigtiff=True, photometric="rgb", metadata=None); want("bigtiff", rgb)


# Colour profiles: matrix and curves, made here, applied by LittleCMS with its default intent, perceptual. ../../internal/icc/testdata has tables. Version 2 gamma curves and tables, version 4 parametric curves.
def profile(primaries, curve, space=b"RGB ", version=b"\x02\x10\0\0", name=b"test", extra={}):
    fixed = lambda *v: struct.pack(f">{len(v)}i", *[round(x * 65536) for x in v])
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79,
            b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        for k, p in zip(b"rgb", primaries):
            tags[bytes([k]) + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*p)
            tags[bytes([k]) + b"TRC"] = curve
    tags |= extra
    table, data = b"", b""
    at = 128 + 4 + 12 * len(tags)
    for k, v in tags.items():
        v += b"\0" * (-len(v) % 4)
        table += k + struct.pack(">II", at + len(data), len(v))
        data += v
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4s4s4s4s4s", 128 + len(body), b"none", version, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249)
    return head + b"\0" * (128 - len(head)) + body


ADOBE = [(0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)]
P3 = [(0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)]
SRGB = [(0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410)]
gamma = lambda g: b"curv\0\0\0\0" + struct.pack(">IH", 1, round(g * 256))
table = lambda g, n=64: b"curv\0\0\0\0" + struct.pack(f">I{n}H", n, *[round(65535 * (i / (n - 1)) ** g) for i in range(n)])
para = lambda kind, *v: b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + struct.pack(f">{len(v)}i", *[round(x * 65536) for x in v])
srgb_curve = para(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
V4 = b"\x04\x20\0\0"
cases = {
    "adobe": profile(ADOBE, gamma(2.2), name=b"Adobe-like"),
    "p3": profile(P3, srgb_curve, version=V4, name=b"P3-like"),
    "table": profile(ADOBE, table(1.8), name=b"table"),
    "linear": profile(SRGB, b"curv\0\0\0\0\0\0\0\0", name=b"linear"),
    "para0": profile(P3, para(0, 1.9), version=V4),
    "para1": profile(P3, para(1, 2.0, 0.9, 0.1), version=V4),
    "para2": profile(P3, para(2, 2.0, 0.85, 0.05, 0.05), version=V4),
    "para4": profile(ADOBE, para(4, 2.2, 0.9, 0.06, 0.2, 0.05, 0.01, 0.0), version=V4),
}
colors = r.randint(0, 256, (16, 16, 3)).astype(np.uint8)
target = ImageCms.createProfile("sRGB")
for name, icc in cases.items():
    image = Image.fromarray(colors)
    image.save(OUT / f"icc-{name}.png", icc_profile=icc)
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    t = ImageCms.buildTransform(source, target, "RGB", "RGB", flags=ImageCms.Flags.HIGHRESPRECALC | ImageCms.Flags.NOOPTIMIZE)
    want(f"icc-{name}", np.asarray(ImageCms.applyTransform(image, t)))
Image.fromarray(colors).save(OUT / "srgb.png", icc_profile=target.tobytes() if hasattr(target, "tobytes") else ImageCms.ImageCmsProfile(target).tobytes())
want("srgb", colors)
Image.fromarray(colors).save(OUT / "nearly-srgb.png", icc_profile=profile(SRGB, srgb_curve, version=V4, name=b"unnamed")); want("nearly-srgb", colors)
grey_profile = profile(None, gamma(1.6), space=b"GRAY", name=b"grey 1.6")
Image.fromarray(colors[..., 0]).save(OUT / "icc-grey.png", icc_profile=grey_profile)
v = (np.arange(256) / 255) ** 1.6
v = np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)
want("icc-grey", grey3(np.round(255 * v).astype(np.uint8)[colors[..., 0]]))
Image.fromarray(rgb).save(OUT / "icc.jpg", icc_profile=cases["adobe"], quality=95)
t = ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(cases["adobe"])), target, "RGB", "RGB")
want("icc", np.asarray(ImageCms.applyTransform(Image.open(OUT / "icc.jpg"), t)))
# Profiles of tables, as scanners and presses embed: ../../internal/icc/testdata/gen_profiles.py makes them.
exact = lambda image, icc: np.asarray(ImageCms.profileToProfile(
    image, ImageCms.ImageCmsProfile(io.BytesIO(icc)), target, outputMode="RGB", flags=ImageCms.Flags.NOOPTIMIZE))
scanner, press, grey_scanner = [(OUT.parent.parent / "internal" / "icc" / "testdata" / f"{n}.icc").read_bytes() for n in ("lut8-black", "cmyk-lut16", "grey-lut")]
Image.fromarray(colors).save(OUT / "icc-scanner.png", icc_profile=scanner); want("icc-scanner", exact(Image.fromarray(colors), scanner))
Image.fromarray(colors[..., 0]).save(OUT / "icc-grey-scanner.png", icc_profile=grey_scanner)
want("icc-grey-scanner", exact(Image.fromarray(colors[..., 0]), grey_scanner))
Image.fromarray(np.concatenate([rgb, rgb[..., :1]], -1), "CMYK").save(OUT / "icc-press.jpg", quality=95, icc_profile=press)
want("icc-press", exact(Image.open(OUT / "icc-press.jpg"), press))
tables = {b"rXYZ": b"", b"A2B0": b"mft2" + b"\0" * 60}
Image.fromarray(rgb).save(OUT / "icc-tables.refused.png", icc_profile=profile(SRGB, gamma(2.2), name=b"scanner", extra=tables))
cmyk = Image.fromarray(np.concatenate([rgb, rgb[..., :1]], -1), "CMYK")
cmyk.save(OUT / "cmyk.jpg", quality=95); want("cmyk", np.asarray(Image.open(OUT / "cmyk.jpg").convert("RGB")))
cmyk.save(OUT / "cmyk-profile.refused.jpg", icc_profile=profile([], b"", space=b"CMYK", name=b"press"), quality=95)
cmyk.save(OUT / "cmyk-tiff.tif"); want("cmyk-tiff", np.asarray(cmyk.convert("RGB")))
Image.fromarray(rgb).save(OUT / "webp.refused.webp")

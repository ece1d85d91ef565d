"""TIFF files of many kinds and what must be read of them: WANT--VARIANT.tif and WANT.want.png; NAME.refused.tif.

    python gen_tiff.py      needs numpy, Pillow 11, tifffile, imagecodecs; written with Pillow 11.3.0, tifffile 2026.3.3, imagecodecs 2026.3.6

The files are put together here, tag by tag, since no writer has all variants. Each is opened with Pillow (libtiff) and tifffile; those that
can read it must agree with what is stored as wanted, and one of them must be able to, unless its line says why not (alone=...).
"""

import io
import struct
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

OUT = Path(__file__).resolve().parent
for old in OUT.iterdir():
    if old.suffix in (".png", ".tif"):
        old.unlink()

H, W = 29, 37
y, x = np.mgrid[0:H, 0:W]
noise = np.random.RandomState(5).randint(0, 9, (H, W, 5))
waves = lambda n: np.clip(np.stack([127 + 120 * np.sin(x / (4 + c) + y / (6 - c) + c) for c in range(n)], -1) + noise[..., :n], 0, 255).astype(np.uint8)
rgb = waves(3)
rgb16 = (rgb.astype(np.uint16) << 8) + (np.arange(H * W * 3) * 7 % 251).reshape(H, W, 3).astype(np.uint16)
grey = rgb[..., 0]

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SSHORT, SLONG, LONG8 = 1, 2, 3, 4, 5, 7, 8, 9, 16
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "I", UNDEFINED: "B", SSHORT: "h", SLONG: "i", LONG8: "Q"}


def layout(pages, order="<", big=False, subs=(), last=0):
    """A file of pages, each a dict: tags {id: (type, values)} and data [bytes]. subs[i] are pages that page i points to."""
    head = 16 if big else 8
    body = bytearray(head)
    inline = 8 if big else 4
    word = "Q" if big else "I"

    def place(page, sub_offsets=()):
        offsets = []
        for d in page["data"]:
            body.extend(b"\0" * (len(body) % 2))
            offsets.append(len(body) if d else 0)
            body.extend(d)
        tags = dict(page["tags"])
        at, counts = (324, 325) if 322 in tags else (273, 279)
        kind = LONG8 if big else LONG
        tags.setdefault(at, (kind, offsets))
        tags.setdefault(counts, (kind, [len(d) for d in page["data"]]))
        if sub_offsets:
            tags[330] = (kind, list(sub_offsets))
        tags = {k: v for k, v in tags.items() if v is not None}
        keys = sorted(tags) if not page.get("unsorted") else sorted(tags, reverse=True)
        entries = b""
        for k in keys:
            t, v = tags[k]
            v = v if isinstance(v, (list, tuple, bytes)) else [v]
            raw = struct.pack(f"{order}{len(v)}{CODES[t]}", *v)
            n = len(v) // (2 if t == RATIONAL else 1)
            if len(raw) > inline:
                body.extend(b"\0" * (len(body) % 2))
                value = struct.pack(order + word, len(body))
                body.extend(raw)
            else:
                value = raw.ljust(inline, b"\0")
            entries += struct.pack(order + "HH" + word, k, t, n) + value
        body.extend(b"\0" * (len(body) % 2))
        start = len(body)
        body.extend(struct.pack(order + ("Q" if big else "H"), len(keys)) + entries)
        next_at = len(body)
        body.extend(struct.pack(order + word, 0))
        return start, next_at

    link = 8 if big else 4
    for i, page in enumerate(pages):
        sub_offsets = [place(s)[0] for s in (subs[i] if i < len(subs) else ())]
        start, next_at = place(page, sub_offsets)
        struct.pack_into(order + word, body, link, start)
        link = next_at
    struct.pack_into(order + word, body, link, last)
    mark = b"II" if order == "<" else b"MM"
    first = bytes(body[8:16]) if big else bytes(body[4:8])
    body[:head] = mark + (struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)) + first
    return bytes(body)


def pack(a, bits, order):
    """Rows of samples [rows,n] of up to 16 bits as bytes."""
    if bits == 8:
        return a.astype(np.uint8).tobytes()
    if bits == 16:
        return a.astype(order + "u2").tobytes()
    digits = ((a[..., None].astype(np.uint32) >> np.arange(bits - 1, -1, -1)) & 1).reshape(a.shape[0], -1)
    return np.packbits(digits.astype(np.uint8), axis=1).tobytes()


def old_lzw(data):
    """LZW as before 1988: codes from the lowest bit on, which grow when they must."""
    out, n, acc = bytearray(), 0, 0

    def put(code, width):
        nonlocal n, acc
        acc |= code << n
        n += width
        while n >= 8:
            out.append(acc & 255)
            acc >>= 8
            n -= 8

    table, width = {bytes([i]): i for i in range(256)}, 9
    put(256, 9)
    following, word = 258, b""
    for byte in data:
        longer = word + bytes([byte])
        if longer in table:
            word = longer
            continue
        put(table[word], width)
        if following < 4095:
            table[longer] = following
            following += 1
            if following > 1 << width and width < 12:
                width += 1
        else:
            put(256, width)
            table, width, following = {bytes([i]): i for i in range(256)}, 9, 258
        word = bytes([byte])
    put(table[word], width)
    # The reader defines a code for the word just read before it reads the end.
    put(257, width + (following + 1 > 1 << width and width < 12))
    out.append(acc & 255)
    return bytes(out)


ENCODE = {
    1: lambda b: b,
    5: imagecodecs.lzw_encode,
    8: lambda b: imagecodecs.zlib_encode(b, level=9),
    32946: lambda b: imagecodecs.zlib_encode(b, level=9),
    32773: imagecodecs.packbits_encode,
    50000: lambda b: imagecodecs.zstd_encode(b, level=9),
}


def page(a, photometric, bits=8, compression=1, tile=None, rows=None, planar=False, predictor=1, order="<", extra=None, full=False, encode=None, **tags):
    """A page of samples [H,W,S] in strips of rows or in tiles (height, width). Tags beyond the usual are t123=(type, values)."""
    a = a if a.ndim == 3 else a[..., None]
    h, w, s = a.shape
    rows = rows or h
    data = []
    for plane in np.moveaxis(a, -1, 0)[..., None] if planar else [a]:
        if tile:
            th, tw = tile
            padded = np.pad(plane, ((0, -h % th), (0, -w % tw), (0, 0)), mode="edge")
            pieces = [padded[i:i + th, j:j + tw] for i in range(0, h, th) for j in range(0, w, tw)]
        else:
            pieces = [plane[i:i + rows] for i in range(0, h, rows)]
            if full:
                pieces = [np.pad(p, ((0, rows - len(p)), (0, 0), (0, 0))) for p in pieces]
        for p in pieces:
            if encode:
                data.append(encode(np.ascontiguousarray(p)))
                continue
            if predictor == 2:
                d = p.astype(np.int64)
                d[:, 1:] -= p[:, :-1].astype(np.int64)
                p = (d & (1 << bits) - 1)
            data.append(ENCODE[compression](pack(p.reshape(len(p), -1), bits, order)))
    t = {256: (LONG, w), 257: (LONG, h), 258: (SHORT, [bits] * s), 259: (SHORT, compression), 262: (SHORT, photometric), 277: (SHORT, s)}
    if tile:
        t |= {322: (LONG, tile[1]), 323: (LONG, tile[0])}
    else:
        t[278] = (LONG, rows)
    if planar:
        t[284] = (SHORT, 2)
    if predictor != 1:
        t[317] = (SHORT, predictor)
    if extra is not None:
        t[338] = (SHORT, extra)
    t |= {int(k[1:]): v for k, v in tags.items()}
    return {"tags": t, "data": data}


def want(name, a):
    Image.fromarray(np.ascontiguousarray(a)).save(OUT / f"{name}.want.png", optimize=True)
    WANT[name] = a


WANT = {}
warnings.simplefilter("ignore")


def pillow(raw):
    image = Image.open(io.BytesIO(raw))
    image.load()
    if image.mode == "P":
        image = image.convert("RGB")
    if image.mode in ("CMYK", "YCbCr"):
        image = image.convert("RGB")
    a = np.asarray(image)
    return np.where(a, 255, 0).astype(np.uint8) if a.dtype == bool else a


def store(name, raw, alone=""):
    """Writes a file and has the other readers confirm what is wanted. alone says why one that disagrees or fails may."""
    (OUT / f"{name}.tif").write_bytes(raw)
    wanted = WANT[name.split("--")[0]]
    agreed = []
    try:
        got = pillow(raw)
        if got.dtype == np.uint16:
            got = (got >> 8).astype(np.uint8)
        same = got.shape == wanted.shape and (got == wanted).all()
        agreed.append(f"Pillow {'agrees' if same else f'DIFFERS: {got.shape} {got.dtype} against {wanted.shape}'}")
    except Exception as e:
        agreed.append(f"Pillow: {type(e).__name__}")
    try:
        with tifffile.TiffFile(io.BytesIO(raw)) as f:
            got = f.pages[0].asarray()
            p = f.pages[0]
            if p.planarconfig == 2 and p.samplesperpixel > 1:
                got = np.moveaxis(got, 0, -1)
        if got.dtype == np.uint16 and p.bitspersample > 8:
            got = (got >> p.bitspersample - 8).astype(np.uint8)
        same = got.shape == wanted.shape and (got == wanted).all()
        agreed.append(f"tifffile {'agrees' if same else 'differs'}")
    except Exception as e:
        agreed.append(f"tifffile: {type(e).__name__}")
    text = ", ".join(agreed)
    if "agrees" not in text or "DIFFERS" in text:
        assert alone, f"{name}: {text}"
        text += f" ({alone})"
    print(f"{name}: {text}")


# RGB of 8 and 16 bits: strips and tiles, chunky and planar, every compression, predictor, byte order and offset size.
want("rgb", rgb)
TILE = (16, 16)
for compression, name in {1: "raw", 5: "lzw", 8: "deflate", 32946: "olddeflate", 32773: "packbits", 50000: "zstd"}.items():
    predictors = (1, 2) if compression in (5, 8, 50000) else (1,)
    for predictor in predictors:
        p = "-predictor" * (predictor - 1)
        kinds = [("strips", dict(rows=7)), ("tiles", dict(tile=TILE)), ("planar-strips", dict(rows=7, planar=True)), ("planar-tiles", dict(tile=TILE, planar=True))]
        if name in ("olddeflate", "packbits"):
            kinds = kinds[:1] + kinds[3:]
        for kind, options in kinds:
            store(f"rgb--{name}{p}-{kind}", layout([page(rgb, 2, compression=compression, predictor=predictor, **options)]))
want("rgb16", (rgb16 >> 8).astype(np.uint8))
for order, name in (("<", "little"), (">", "big")):
    store(f"rgb16--{name}-raw", layout([page(rgb16, 2, bits=16, rows=7, order=order)], order))
    store(f"rgb16--{name}-lzw-predictor", layout([page(rgb16, 2, bits=16, compression=5, predictor=2, rows=7, order=order)], order))
    store(f"rgb16--{name}-planar-deflate-predictor", layout([page(rgb16, 2, bits=16, compression=8, predictor=2, tile=TILE, planar=True, order=order)], order))
store("rgb--bigtiff", layout([page(rgb, 2, compression=8, rows=7)], big=True))
store("rgb--bigtiff-big-endian-tiles", layout([page(rgb, 2, compression=5, tile=TILE)], ">", big=True))
store("rgb--big-endian", layout([page(rgb, 2, rows=7)], ">"))
store("rgb--tile-larger-than-image", layout([page(rgb, 2, compression=8, tile=(64, 64), planar=True)]))
store("rgb--lzw-old", layout([page(rgb, 2, compression=5, rows=29, encode=lambda p: old_lzw(p.tobytes()))]))
store("rgb--lzw-reversed-bits", layout([page(rgb, 2, compression=5, rows=7, encode=lambda p: imagecodecs.bitorder_encode(imagecodecs.lzw_encode(p.tobytes())), t266=(SHORT, 2))]))

# Tags as writers get them wrong.
store("rgb--unsorted-tags", layout([page(rgb, 2, rows=7) | {"unsorted": True}]))
store("rgb--short-and-signed-tags", layout([page(rgb, 2, rows=7, t256=(SHORT, W), t257=(SLONG, H), t278=(SSHORT, 7), t277=(BYTE, 3), t262=(LONG, 2))]), alone="both expect certain types, libtiff takes any")
store("rgb--no-byte-counts", layout([page(rgb, 2, rows=7, t279=None)]))
store("rgb--no-byte-counts-deflate", layout([page(rgb, 2, compression=8, rows=29, t279=None)]))
store("rgb--zero-byte-counts-lzw", layout([page(rgb, 2, compression=5, rows=29, t279=(LONG, [0]))]))
store("rgb--no-rows-per-strip", layout([page(rgb, 2, t278=None)]))
store("rgb--huge-rows-per-strip", layout([page(rgb, 2, t278=(LONG, 0xFFFFFFFF))]))
store("rgb--last-strip-full", layout([page(rgb, 2, compression=8, rows=7, full=True)]))
store("rgb--one-depth-for-all", layout([page(rgb, 2, rows=7, t258=(SHORT, [8]))]))
store("rgb--strip-tags-for-tiles", layout([page(rgb, 2, tile=TILE)]).replace(struct.pack("<HH", 324, LONG), struct.pack("<HH", 273, LONG)).replace(struct.pack("<HH", 325, LONG), struct.pack("<HH", 279, LONG)))
store("rgb--undefined-sample-format", layout([page(rgb, 2, rows=7, t339=(SHORT, [4, 4, 4]))]))

# Grey, both ways, and depths.
want("grey", grey)
store("grey--black-is-zero", layout([page(grey, 1, rows=7)]))
store("grey--white-is-zero", layout([page(255 - grey, 0, compression=8, rows=7)]))
g16 = rgb16[..., 0]
want("grey16", (g16 >> 8).astype(np.uint8))
store("grey16--black-is-zero", layout([page(g16, 1, bits=16, rows=7)]))
store("grey16--white-is-zero-big", layout([page(65535 - g16, 0, bits=16, compression=5, predictor=2, rows=7, order=">")], ">"), alone="Pillow does not invert 16 bits; tifffile never inverts")
g12 = (g16 >> 4)
want("grey12", (g12 >> 4).astype(np.uint8))
store("grey12--raw", layout([page(g12, 1, bits=12, rows=7)]), alone="Pillow keeps values of 12 bits")
store("grey12--deflate-tiles", layout([page(g12, 1, bits=12, compression=8, tile=TILE)]), alone="Pillow keeps values of 12 bits")
for bits in (1, 2, 4):
    low = grey >> 8 - bits
    want(f"grey{bits}", low * np.uint8(255 // (2**bits - 1)))
    for photometric, name, values in ((1, "black-is-zero", low), (0, "white-is-zero", 2**bits - 1 - low)):
        store(f"grey{bits}--{name}", layout([page(values, photometric, bits=bits, compression=32773, rows=7)]))
want("grey10", (g16 >> 8).astype(np.uint8))
store("grey10--raw", layout([page(g16 >> 6, 1, bits=10, rows=7)]), alone="Pillow has no 10 bits")
rgb4 = rgb >> 4
want("rgb4", rgb4 * np.uint8(17))
store("rgb4--raw", layout([page(rgb4, 2, bits=4, rows=7)]), alone="nobody spreads them")

# Black and white: CCITT, as libtiff writes it.
bilevel = Image.fromarray(np.where(grey > 128, 255, 0).astype(np.uint8)).convert("1")
want("bilevel", np.where(np.asarray(bilevel), 255, 0).astype(np.uint8))
for name in ("group3", "group4"):
    b = io.BytesIO()
    bilevel.save(b, "TIFF", compression=name)
    store(f"bilevel--{name}", b.getvalue())
    b = io.BytesIO()
    bilevel.save(b, "TIFF", compression=name, tiffinfo={262: 0, 278: 9})
    store(f"bilevel--{name}-white-is-zero", b.getvalue())

# Palettes.
palette = Image.fromarray(rgb).quantize(16)
index, colours = np.asarray(palette), np.asarray(palette.getpalette()[:48]).reshape(-1, 3)
want("palette", np.asarray(palette.convert("RGB")))
for bits in (4, 8):
    table = np.zeros((2**bits, 3), int)
    table[:16] = colours
    store(f"palette--{bits}-bits", layout([page(index, 3, bits=bits, compression=5, rows=7, t320=(SHORT, (table.T.ravel() * 257).tolist()))]))
store("palette--8-bit-colours", layout([page(index, 3, rows=7, t320=(SHORT, table.T.ravel().tolist()))]), alone="Pillow takes the high byte, libtiff's tools do not")

# Inks.
cmyk = waves(4)
want("cmyk", np.asarray(Image.fromarray(cmyk, "CMYK").convert("RGB")))
store("cmyk--raw", layout([page(cmyk, 5, rows=7)]))
store("cmyk--planar-lzw", layout([page(cmyk, 5, compression=5, predictor=2, rows=7, planar=True)]))
store("cmyk--extra-sample", layout([page(waves(5), 5, compression=8, rows=7, extra=[0])]))
store("cmyk--16-bits", layout([page((cmyk.astype(np.uint16) << 8) + 77, 5, bits=16, rows=7)]))

# Alpha and samples of no meaning.
rgba = waves(4)
rgba[..., 3] = np.minimum(x * 8, 255)
want("rgba", rgba)
store("rgba--unassociated", layout([page(rgba, 2, compression=5, predictor=2, rows=7, extra=[2])]))
store("rgba--unassociated-planar", layout([page(rgba, 2, compression=8, tile=TILE, planar=True, extra=[2])]))
multiplied = (rgba.astype(int) * rgba[..., 3:] // 255).astype(np.uint8)
multiplied[..., 3] = rgba[..., 3]
want("premultiplied", multiplied)
store("premultiplied--associated", layout([page(multiplied, 2, compression=8, rows=7, extra=[1])]), alone="Pillow divides by alpha")
store("rgba--16-bits", layout([page((rgba.astype(np.uint16) << 8) + 5, 2, bits=16, rows=7, extra=[2])]))
store("rgb--fourth-sample-unspecified", layout([page(np.concatenate([rgb, rgba[..., 3:]], -1), 2, rows=7, extra=[0])]), alone="Pillow keeps a mode RGBX")
store("rgb--fourth-sample-untold", layout([page(np.concatenate([rgb, rgba[..., 3:]], -1), 2, compression=8, rows=7)]), alone="Pillow takes it for alpha")
store("rgb--fourth-and-fifth-planar", layout([page(np.concatenate([rgb, noise[..., :2].astype(np.uint8)], -1), 2, compression=8, rows=7, planar=True, extra=[0, 0])]), alone="tifffile returns all")
store("rgba--alpha-after-another", layout([page(np.concatenate([rgba[..., :3], noise[..., :1].astype(np.uint8), rgba[..., 3:]], -1), 2, compression=8, rows=7, extra=[0, 2])]), alone="neither looks further than the fourth")
la = rgba[..., [0, 3]]
want("grey-alpha", la)
store("grey-alpha--unassociated", layout([page(la, 1, rows=7, extra=[2])]))
store("grey-alpha--planar", layout([page(la, 1, compression=8, rows=7, planar=True, extra=[2])]), alone="Pillow mixes the planes up")
store("grey--second-sample-unspecified", layout([page(la, 1, rows=7, extra=[0])]), alone="Pillow keeps a mode LX")


# YCbCr without JPEG: libtiff's arithmetic.
def units(ycc, h, v):
    rows, columns, _ = ycc.shape
    p = np.pad(ycc, ((0, -rows % v), (0, -columns % h), (0, 0)), mode="edge")
    out = bytearray()
    for i in range(0, p.shape[0], v):
        for j in range(0, p.shape[1], h):
            out += p[i:i + v, j:j + h, 0].tobytes() + p[i, j, 1:].tobytes()
    return bytes(out)


ycc = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
RANGE = (RATIONAL, [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1])


def subsampled(h, v, compression, **options):
    return layout([page(ycc, 6, compression=compression, encode=lambda p: ENCODE[compression](units(p, h, v)), t530=(SHORT, [h, v]), **options)])


for h, v in ((1, 1), (2, 1), (2, 2), (4, 2)):
    raw = subsampled(h, v, 5, rows=8)
    want(f"ycbcr{h}{v}", pillow(raw))
    store(f"ycbcr{h}{v}--lzw-strips", raw)
    store(f"ycbcr{h}{v}--raw-strips", subsampled(h, v, 1, rows=8), alone="Pillow decodes them in libtiff alone, which it leaves out without compression")
store("ycbcr22--deflate-tiles", subsampled(2, 2, 8, tile=TILE))
store("ycbcr42--raw-tiles", subsampled(4, 2, 1, tile=TILE), alone="as above")
raw = layout([page(ycc, 6, compression=5, encode=lambda p: ENCODE[5](units(p, 2, 2)), rows=8, t532=RANGE, t529=(RATIONAL, [2126, 10000, 7152, 10000, 722, 10000]))])
want("ycbcr-coefficients", pillow(raw))
store("ycbcr-coefficients--lzw-strips", raw)


# JPEG: tables of its own and shared ones, RGB and YCbCr as the photometric tag says.
def abbreviated(jpeg):
    """Splits a file into tables and what is left."""
    tables, rest, at = b"\xff\xd8", b"\xff\xd8", 2
    while True:
        marker, length = jpeg[at + 1], struct.unpack(">H", jpeg[at + 2:at + 4])[0]
        segment = jpeg[at:at + 2 + length]
        if marker == 0xDA:
            return tables + b"\xff\xd9", rest + jpeg[at:]
        if marker in (0xDB, 0xC4):
            tables += segment
        elif marker not in (0xE0,):
            rest += segment
        at += 2 + length


def jpeg(p, level=90, adobe=None, tables=True, **options):
    p = p[..., 0] if p.shape[-1] == 1 else p
    data = imagecodecs.jpeg8_encode(p, level=level, **options)
    if adobe is not None:  # a marker that tells another colour space
        data = data[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([adobe]) + data[2:]
    return data if tables else abbreviated(data)[1]


shared = lambda p, **options: (UNDEFINED, abbreviated(imagecodecs.jpeg8_encode(p, level=90, **options))[0])
same = dict(colorspace="rgb", outcolorspace="rgb", subsampling="444")
cases = {
    "jpeg-rgb-strips": page(rgb, 2, compression=7, rows=16, encode=lambda p: jpeg(p, **same)),
    "jpeg-rgb-tiles-adobe-says-ycbcr": page(rgb, 2, compression=7, tile=TILE, encode=lambda p: jpeg(p, adobe=1, tables=False, **same), t347=shared(rgb, **same)),
    "jpeg-ycbcr-strips": page(rgb, 6, compression=7, rows=16, encode=lambda p: jpeg(p, colorspace="rgb", outcolorspace="ycbcr", subsampling="420"), t530=(SHORT, [2, 2])),
    "jpeg-ycbcr-tiles-adobe-says-rgb": page(rgb, 6, compression=7, tile=(32, 32), encode=lambda p: jpeg(p, adobe=0, tables=False, colorspace="rgb", outcolorspace="ycbcr", subsampling="422"),
                                            t347=shared(rgb, colorspace="rgb", outcolorspace="ycbcr", subsampling="422"), t530=(SHORT, [2, 1])),
    "jpeg-ycbcr-444": page(rgb, 6, compression=7, rows=29, encode=lambda p: jpeg(p, colorspace="rgb", outcolorspace="ycbcr", subsampling="444"), t530=(SHORT, [1, 1])),
    "jpeg-grey": page(grey, 1, compression=7, rows=16, encode=jpeg),
    "jpeg-white-is-zero": page(grey, 0, compression=7, rows=16, encode=jpeg),
    "jpeg-planar": page(rgb, 2, compression=7, rows=16, planar=True, encode=jpeg),
    "jpeg-cmyk": page(cmyk, 5, compression=7, rows=16, encode=lambda p: jpeg(p, colorspace="cmyk", outcolorspace="cmyk")),
}
for name, p in cases.items():
    raw = layout([p])
    want(name, pillow(raw))
    store(f"{name}--pillow", raw)

b = io.BytesIO()
Image.fromarray(rgb).save(b, "TIFF", compression="jpeg", quality=90)
want("jpeg-pillow", pillow(b.getvalue()))
store("jpeg-pillow--strip", b.getvalue())
b = io.BytesIO()
tifffile.imwrite(b, rgb, tile=(32, 32), compression="jpeg", photometric="rgb", metadata=None, software=False)
want("jpeg-tifffile", pillow(b.getvalue()))
store("jpeg-tifffile--tiles", b.getvalue())

# Pages and pyramids. Readers of single images must show the image of full resolution.
small = rgb[::2, ::2]
store("rgb--pages", layout([page(rgb, 2, rows=7), page(255 - rgb, 2, rows=7)]))
store("rgb--pyramid-pages", layout([page(rgb, 2, compression=8, tile=TILE), page(small, 2, compression=8, tile=TILE, t254=(LONG, 1))]))
store("rgb--pyramid-subifds", layout([page(rgb, 2, compression=8, tile=TILE)], subs=[[page(small, 2, compression=8, tile=TILE, t254=(LONG, 1))]], big=True))
store("rgb--thumbnail-first", layout([page(small, 2, rows=7, t254=(LONG, 1)), page(rgb, 2, rows=7, t254=(LONG, 0))]), alone="they show page 1")
store("rgb--old-thumbnail-first", layout([page(small, 2, rows=7, t255=(SHORT, 2)), page(rgb, 2, rows=7, t255=(SHORT, 1))]), alone="they show page 1")
store("rgb--full-in-subifd", layout([page(small, 2, rows=7, t254=(LONG, 1))], subs=[[page(rgb, 2, rows=7, t254=(LONG, 0))]]), alone="they show page 1")
store("rgb--mask-first", layout([page(grey >> 7, 4, bits=1, rows=7, t254=(LONG, 4)), page(rgb, 2, rows=7)]), alone="they show page 1")
looped = layout([page(rgb, 2, rows=7), page(255 - rgb, 2, rows=7)])
first = struct.unpack("<I", looped[4:8])[0]
store("rgb--loop", layout([page(rgb, 2, rows=7), page(255 - rgb, 2, rows=7)], last=first))
store("rgb--next-page-beyond-the-end", layout([page(rgb, 2, rows=7)], last=1 << 30))
left = page(rgb, 2, compression=8, tile=TILE)
left["data"][4] = b""
white = rgb.copy()
white[16:29, 16:32] = 255
want("left-out", white)
store("left-out--sparse-tiles", layout([left]), alone="Pillow fails, tifffile fills with black")
described = page(rgb, 2, compression=8, rows=7, t270=(ASCII, b"a slide\0"), t271=(ASCII, b"Maker\0"), t272=(ASCII, b"S60\0"), t274=(SHORT, 6),
                 t282=(RATIONAL, [20000, 1]), t283=(RATIONAL, [40000, 2]), t296=(SHORT, 3), t34675=(UNDEFINED, b"no profile"))
store("rgb--described", layout([described]), alone="Pillow turns it upright")


# What is refused.
def refused(name, raw):
    (OUT / f"{name}.refused.tif").write_bytes(raw)


for code, name in {2: "ccitt-rle", 6: "old-jpeg", 33003: "jpeg2000-aperio", 34712: "jpeg2000", 34887: "lerc", 34925: "lzma", 34934: "jpegxr", 50001: "webp", 50002: "jpegxl", 65000: "unknown-compression"}.items():
    refused(name, layout([page(rgb, 2, rows=29, t259=(SHORT, code))]))
floats = rgb.astype("<f4") / 255
refused("float32", layout([page(rgb, 2, rows=29, encode=lambda p: floats.tobytes(), t258=(SHORT, [32] * 3), t339=(SHORT, [3] * 3))]))
refused("float-predictor", layout([page(rgb, 2, compression=8, rows=29, t317=(SHORT, 3))]))
refused("uint32", layout([page(rgb, 2, rows=29, encode=lambda p: p.astype("<u4").tobytes(), t258=(SHORT, [32] * 3))]))
refused("int8", layout([page(rgb, 2, rows=29, t339=(SHORT, [2] * 3))]))
refused("lab", layout([page(rgb, 8, rows=29)]))
refused("mixed-depths", layout([page(rgb, 2, rows=29, t258=(SHORT, [5, 6, 5]))]))
refused("channels", layout([page(waves(5), 1, rows=29, extra=[0] * 4)]))
refused("other-inks", layout([page(cmyk, 5, rows=29, t332=(SHORT, 2))]))
refused("jpeg-12-bits", layout([page(rgb, 2, compression=7, rows=29, t258=(SHORT, [12] * 3), encode=lambda p: jpeg(p, **same))]))
refused("jpeg-other-components", layout([page(rgb, 2, compression=7, rows=29, encode=lambda p: jpeg(p[..., :1].copy()))]))
refused("predictor-4-bits", layout([page(rgb4, 2, bits=4, compression=8, predictor=2, rows=29)]))
refused("group3-2d", layout([page(grey >> 7, 1, bits=1, compression=3, rows=29, encode=lambda p: b"\0" * 50, t292=(LONG, 1))]))
b = io.BytesIO()
bilevel.save(b, "TIFF", compression="group3", tiffinfo={292: 4})
refused("group3-whole-bytes", b.getvalue())
refused("huge", layout([page(rgb[:4, :4], 2, rows=4, t256=(LONG, 100000), t257=(LONG, 100000), t278=(LONG, 100000))]))
refused("huge-deflate-tile", layout([page(rgb[:4, :4], 2, compression=8, tile=(16, 16), t256=(LONG, 16000), t257=(LONG, 16000), t322=(LONG, 16000), t323=(LONG, 16000))]))
refused("short-strip", layout([page(rgb, 2, rows=7, t279=(LONG, [7 * W * 3] * 4 + [10]))]))
refused("strip-beyond-the-end", layout([page(rgb, 2, compression=8, rows=29, t273=(LONG, [1 << 20]))]))
refused("too-few-strips", layout([page(rgb, 2, rows=7, t273=(LONG, [8, 9]))]))
refused("all-tiles-left-out", layout([page(rgb, 2, tile=TILE) | {"data": [b""] * 6}]))
refused("no-width", layout([page(rgb, 2, rows=29, t256=None)]))
refused("no-pages", b"II*\0\0\0\0\0")
refused("short-palette", layout([page(index, 3, rows=29, t320=(SHORT, [0] * 30))]))

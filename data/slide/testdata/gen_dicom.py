"""Makes dicom.dcm and dicom.want.png: a slide of 70×50 pixels in frames of 32×32, JPEG, and what Pillow decodes of it.

pip install pydicom==3.0.2 pillow==13.0.0 numpy; python gen_dicom.py
"""
import io

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

WIDTH, HEIGHT, SIDE = 70, 50, 32
y, x = np.mgrid[:64, :96]
picture = np.stack([200 + 40 * np.sin(x / 9), 120 + 60 * np.cos(y / 7), 160 + 50 * np.sin((x + y) / 11)], -1)
picture = picture.astype(np.uint8)

frames, want = [], np.zeros_like(picture)
for row in range(2):
    for column in range(3):
        part = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
        out = io.BytesIO()
        Image.fromarray(picture[part]).save(out, "JPEG", quality=90)
        frames.append(out.getvalue())
        want[part] = np.asarray(Image.open(out).convert("RGB"))

d = Dataset()
d.file_meta = FileMetaDataset()
d.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
d.file_meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
d.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
d.SOPClassUID, d.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, "1.2.3"
d.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
d.Manufacturer, d.ManufacturerModelName = "pydicom", "3.0.2"
d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration = 3, "YBR_FULL_422", 0
d.NumberOfFrames, d.Rows, d.Columns = len(frames), SIDE, SIDE
d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 8, 8, 7, 0
d.TotalPixelMatrixColumns, d.TotalPixelMatrixRows = WIDTH, HEIGHT
d.DimensionOrganizationType = "TILED_FULL"
path, measures, groups = Dataset(), Dataset(), Dataset()
path.ObjectiveLensPower = "40"
d.OpticalPathSequence = Sequence([path])
measures.PixelSpacing = ["0.00025", "0.00025"]
groups.PixelMeasuresSequence = Sequence([measures])
d.SharedFunctionalGroupsSequence = Sequence([groups])
d.PixelData = encapsulate(frames)
d["PixelData"].is_undefined_length = True
d.save_as("dicom.dcm", enforce_file_format=True)
Image.fromarray(want[:HEIGHT, :WIDTH]).save("dicom.want.png")

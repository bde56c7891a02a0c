"""Write small files in microscopes' formats, as their readers take them."""

import struct
from pathlib import Path

import numpy as np


def stack(planes=3, channels=2, rows=20, cols=30):
    """Return uint8 (planes, channels, rows, cols); the pixel at 0, 0 counts the images from 1."""
    ramp = np.arange(rows * cols).reshape(rows, cols) % 199
    counts = np.arange(planes * channels).reshape(planes, channels, 1, 1)
    return (ramp + counts + 1).astype(np.uint8)


def write_lif(path, stacks, um):
    """Write a LIF file, of which each stack is an image: blocks of XML and of pixels."""
    elements, blocks = "", []
    for number, pixels in enumerate(stacks):
        planes, channels, rows, cols = pixels.shape
        steps = zip("123", (cols, rows, planes), (1, cols, rows * cols * channels), strict=True)
        dimensions = "".join(
            f'<DimensionDescription DimID="{kind}" NumberOfElements="{n}" Origin="0" BitInc="0" '
            f'Length="{(n - 1) * um / 1e6}" Unit="m" BytesInc="{step}"/>'
            for kind, n, step in steps
        )
        described = "".join(
            f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" Min="0" Max="255" '
            'NameOfMeasuredQuantity="" Unit="" LUTName="Gray" IsLUTInverted="0" BitInc="0" '
            f'BytesInc="{channel * rows * cols}"/>'
            for channel in range(channels)
        )
        elements += (
            f'<Element Name="{number}"><Data><Image><ImageDescription><Channels>{described}'
            f"</Channels><Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
            f'<Memory Size="{pixels.size}" MemoryBlockID="MemBlock_{number}"/></Element>'
        )
        name = f"MemBlock_{number}"
        head = struct.pack("<BQBI", 0x2A, pixels.size, 0x2A, len(name)) + name.encode("utf-16le")
        blocks.append(struct.pack("<II", 0x70, len(head)) + head + pixels.tobytes())
    xml = (
        f'<LMSDataContainerHeader Version="2"><Element Name="x"><Children>{elements}</Children>'
        "</Element></LMSDataContainerHeader>"
    )
    head = struct.pack("<BI", 0x2A, len(xml)) + xml.encode("utf-16le")
    Path(path).write_bytes(struct.pack("<II", 0x70, len(head)) + head + b"".join(blocks))


def variant(value, name="variant"):
    """Return a value as ND2 writes it in XML."""
    if isinstance(value, dict):
        inner = "".join(variant(value, name) for name, value in value.items())
        return f'<{name} runtype="CLxListVariant">{inner}</{name}>'
    kind = {bool: "bool", int: "lx_uint32", float: "double"}[type(value)]
    return f'<{name} runtype="{kind}" value="{value}"/>'


def write_nd2(path, pixels, um):
    """Write an ND2 file of version 3: named chunks, and a map of them at the end."""
    planes, channels, rows, cols = pixels.shape
    places, content = {}, bytearray()

    def chunk(name, data, name_length=0):
        places[name] = len(content), len(data)
        padded = name.ljust(name_length, b"\0")
        content.extend(struct.pack("<IIQ", 0x0ABECEDA, len(padded), len(data)) + padded + data)

    spectra = {"m_ExcitationSpectrum": {"uiCount": 0}, "m_EmissionSpectrum": {"uiCount": 0}}
    channel = {"uiCompCount": 1, "pFluorescentProbe": spectra}
    facts = {
        "ImageAttributesLV!": {
            **{"uiBpcInMemory": 8, "uiBpcSignificant": 8, "uiComp": channels, "uiHeight": rows},
            **{"uiWidth": cols, "uiWidthBytes": cols * channels, "uiSequenceCount": planes},
        },
        "ImageMetadataSeqLV|0!": {
            **{"bCalibrated": True, "dCalibration": um},
            "sPicturePlanes": {
                "uiCount": channels,
                "sPlaneNew": {f"a{number}": channel for number in range(channels)},
            },
        },
        "ImageMetadataLV!": {"eType": 4, "uLoopPars": {"uiCount": planes, "dZStep": 1.0}},
    }
    chunk(b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0"))
    for name, fact in facts.items():
        chunk(name.encode(), variant(fact).encode())
    for number, plane in enumerate(pixels):
        data = struct.pack("<d", 0) + np.moveaxis(plane, 0, -1).tobytes()
        chunk(f"ImageDataSeq|{number}!".encode(), data, 4072)
    end = struct.pack("<Q", len(content))
    table = b"".join(name + struct.pack("<QQ", *place) for name, place in places.items())
    chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", table + b"ND2 CHUNK MAP SIGNATURE 0000001!" + end)
    Path(path).write_bytes(content)


def write_zarr(path, pixels, um, version, **packing):
    """Write an OME-Zarr folder of two levels: 0.4 for Zarr's version 2, in µm, 0.5 for 3, in nm."""
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=version)
    datasets, unit, size = [], "micrometer", um
    if version == 3:
        unit, size = "nanometer", 1000 * um
    for level in range(2):
        small = pixels[None, :, :, :: 2**level, :: 2**level]
        group.create_array(str(level), data=small, chunks=(1, 1, 1, 16, 16), **packing)
        scale = [1, 1, 1, size * 2**level, size * 2**level]
        steps = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    axes = [{"name": name, "type": "space", "unit": unit} for name in "tzcyx"]
    image = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    group.attrs.update(image if version == 2 else {"ome": {"version": "0.5", **image}})


def write_dm(path, pixels, um):
    """Write a DM3 or DM4 file, (rows, cols) or (planes, rows, cols), with its reader's library."""
    from nion.data import Calibration, DataAndMetadata
    from nionswift_plugin.DM_IO import dm3_image_utils

    along = [Calibration.Calibration(0, 1000 * um, "nm")] * pixels.ndim
    axes = DataAndMetadata.DataDescriptor(pixels.ndim == 3, 0, 2)
    image = DataAndMetadata.new_data_and_metadata(
        pixels, dimensional_calibrations=along, data_descriptor=axes
    )
    with open(path, "wb") as file:
        dm3_image_utils.save_image(image, file, int(path.suffix[-1]))


def write_mrc(path, pixels, um):
    """Write an MRC file, (rows, cols) or (planes, rows, cols), with its reader's library."""
    import mrcfile

    mrcfile.write(path, pixels, voxel_size=um * 1e4)

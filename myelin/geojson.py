"""Outlines as QuPath keeps them: GeoJSON, a fiber being a cell whose nucleus is the axon.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import json
import uuid

from myelin.drawing import AXON, COLOURS, FIBER
from myelin.files import replacing


def write_geojson(path, outlines, measurements, image):
    """Write outlines as a FeatureCollection, atomically.

    Parameters
    ----------
    path : path
    outlines : list of drawing.Outline
    measurements : dict of int to dict
        By fiber number: columns of `<id>_fibers.csv` with numbers.
    image : str
        The image's id: the same fiber of the same image gets the same UUID each time.
    """
    axons = {outline.number: outline for outline in outlines if outline.kind == AXON}
    features = []
    for outline in outlines:
        if outline.kind == AXON:
            continue
        feature = {
            "type": "Feature",
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{image}/{outline.name}")),
            "geometry": geometry(outline),
        }
        properties = {"objectType": "annotation", "name": outline.name}
        if outline.kind == FIBER:
            properties["objectType"] = "cell"
            if outline.number in axons:
                feature["nucleusGeometry"] = geometry(axons[outline.number])
            numbers = measurements.get(outline.number, {})
            properties["measurements"] = numbers | {
                # Counted from a pixel's centre in the table, from the corner in QuPath.
                name: numbers[name] + 0.5
                for name in ("x_px", "y_px")
                if name in numbers
            }
        properties["classification"] = {"name": outline.kind, "color": COLOURS[outline.kind]}
        features.append(feature | {"properties": properties})
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        # In one piece: json.dump, which writes bit by bit, takes four times as long.
        collection = {"type": "FeatureCollection", "features": features}
        file.write(json.dumps(collection, allow_nan=False, separators=(",", ":")))


def geometry(outline):
    """Return an outline as a GeoJSON Polygon, or MultiPolygon where it has several parts."""
    parts = [
        [[*ring.tolist(), ring[0].tolist()] for ring in polygon] for polygon in outline.polygons
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}

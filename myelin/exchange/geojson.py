"""Outlines as QuPath stores them: GeoJSON in which a fiber is a cell and its axon the nucleus.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import json
import uuid
from pathlib import Path

import numpy as np

from myelin.exchange.drawing import AXON, EXCLUDED, FIBER, Outline, kind_of
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

MAX_BYTES = 2**27  # of text; parsing takes ten times as much memory
MAX_COORDINATE = 1e9
WITHOUT_AREA = ("Point", "MultiPoint", "LineString", "MultiLineString")

# ---------------------------------------------------------------- writing


def write_geojson(path: Path, outlines: list[Outline], measurements: dict, image: str) -> None:
    """Write outlines as a FeatureCollection.

    `measurements` are columns of `<id>_fibers.csv` by fiber number. The image's id and the name of
    an outline determine the outline's UUID.
    """
    axons = {outline.number: outline for outline in outlines if outline.kind == AXON}
    features = [
        feature(outline, axons.get(outline.number), measurements.get(outline.number, {}), image)
        for outline in outlines
        if outline.kind != AXON
    ]
    collection = {"type": "FeatureCollection", "features": features}
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(collection, allow_nan=False, separators=(",", ":")), encoding="utf-8"
        )


def feature(outline: Outline, axon: Outline | None, numbers: dict, image: str) -> dict:
    """Return an outline as a GeoJSON feature: a fiber as a cell, others as annotations."""
    properties = {"objectType": "annotation", "name": outline.name}
    found = {
        "type": "Feature",
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{image}/{outline.name}")),
        "geometry": geometry(outline),
        "properties": properties,
    }
    label = f"{EXCLUDED} " * outline.excluded + outline.kind
    properties["classification"] = {"name": label, "color": outline.colour}
    if outline.kind == FIBER:
        # The origin is the centre of the first pixel in the table, its corner in QuPath.
        shifted = {name: numbers[name] + 0.5 for name in ("x_px", "y_px") if name in numbers}
        properties |= {"objectType": "cell", "measurements": numbers | shifted}
        if axon:
            found["nucleusGeometry"] = geometry(axon)
    return found


def geometry(outline: Outline) -> dict:
    """Return an outline as a GeoJSON Polygon, or MultiPolygon if it has several parts."""
    parts = [
        [[*ring.tolist(), ring[0].tolist()] for ring in polygon] for polygon in outline.polygons
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


# ---------------------------------------------------------------- reading


def read_geojson(path: Path) -> tuple[list[Outline], list[str]]:
    """Read outlines from GeoJSON as QuPath exports it: a collection, a list, or one feature.

    The second list has the names of lines and points.
    """
    remedy = "export the objects again from QuPath"
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise UserError(f"{path}: {size:,} bytes, the limit is {MAX_BYTES:,}; export fewer objects")
    outlines, without_area, number = [], [], 0
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        features = content.get("features", [content]) if isinstance(content, dict) else content
        for number, found in enumerate(features, start=1):  # noqa: B007
            own, name = read_feature(found)
            outlines += own
            without_area += [] if own else [name]
    except Exception as error:  # JSON can hold anything in place of a feature or a number
        where = f"feature {number}: " if number else ""
        why = f"{where}{type(error).__name__}: {error}"
        raise UserError(f"{path}: cannot be read as GeoJSON ({why}), {remedy}") from None
    if not outlines and not without_area:
        raise UserError(f"{path}: no outlines, {remedy}")
    return outlines, without_area


def read_feature(found: dict) -> tuple[list[Outline], str]:
    """Return the outlines of a feature, none if it encloses no area, and its name."""
    properties = found.get("properties") or {}
    label = properties.get("classification") or ""
    if isinstance(label, dict):
        label = label.get("name") or label.get("names") or ""
    name = str(properties.get("name") or label or "unnamed")
    kind = kind_of(label, name) or (FIBER if properties.get("objectType") == "cell" else "")
    polygons = polygons_of(found if "coordinates" in found else found["geometry"])
    outlines = [Outline(kind, name, polygons)] if polygons else []
    if found.get("nucleusGeometry"):
        outlines.append(Outline(AXON, name, polygons_of(found["nucleusGeometry"])))
    return outlines, name


def polygons_of(shape: dict) -> list[list[np.ndarray]]:
    """Return the polygons of a geometry; none for lines and points."""
    kind = shape["type"]
    if kind == "GeometryCollection":
        return [polygon for part in shape["geometries"] for polygon in polygons_of(part)]
    if kind in WITHOUT_AREA:
        return []
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a geometry of type {kind!r}")
    polygons = [shape["coordinates"]] if kind == "Polygon" else shape["coordinates"]
    return [[ring_of(ring) for ring in rings] for rings in polygons if rings]


def ring_of(points: list) -> np.ndarray:
    """Return a closed ring of coordinates, (points, 2), without its last point."""
    ring = np.array([point[:2] for point in points], np.float64)
    if ring.shape != (len(points), 2) or not (np.abs(ring) < MAX_COORDINATE).all():
        raise ValueError("a point is not two numbers")
    if len(ring) < 4 or (ring[0] != ring[-1]).any():
        raise ValueError("a ring is open or has fewer than 4 points")
    return ring[:-1]

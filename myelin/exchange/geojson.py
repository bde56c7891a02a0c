"""Outlines as QuPath keeps them: GeoJSON, a fiber being a cell whose nucleus is the axon.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
"""

import json
import uuid

import numpy as np

from myelin.exchange.drawing import AXON, COLOURS, FIBER, Outline, kind_of
from myelin.runtime.cli import UserError
from myelin.runtime.files import replacing

MAX_BYTES = 2**27  # of text, which takes ten times as much in memory
MAX_RING_POINTS = 100_000
MAX_COORDINATE = 1e9

# ---------------------------------------------------------------- writing


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


# ---------------------------------------------------------------- reading


class Damaged(ValueError):
    """What is wrong with a GeoJSON file."""


def read_geojson(path):
    """Read outlines from GeoJSON, as QuPath exports it: a collection, a list, or one feature.

    Parameters
    ----------
    path : Path

    Returns
    -------
    outlines : list of drawing.Outline
        Of a cell with a nucleus two.
    passed_over : list of str
        Names of lines and points, which enclose no area.

    Raises
    ------
    UserError
        Not GeoJSON, open rings, wrong types, more than a file of outlines can hold.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Damaged(f"{size:,} bytes, the limit is {MAX_BYTES:,}")
        content = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=refuse)
        features = content.get("features", [content]) if isinstance(content, dict) else content
        if not isinstance(features, list):
            raise Damaged(f"features are {kind_name(features)}, not a list")
        outlines, passed_over = [], []
        for number, feature in enumerate(features, start=1):
            try:
                found, name = from_feature(feature)
            except Damaged as error:
                raise Damaged(f"feature {number}: {error}") from None
            outlines += found
            passed_over += [] if found else [name]
    # Text that is no JSON, numbers beyond all bounds, lists nested without end.
    except (ValueError, OverflowError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else type(error).__name__
        raise UserError(
            f"{path}: cannot be read as GeoJSON ({why}), export it anew from QuPath"
        ) from None
    if not outlines and not passed_over:
        raise UserError(f"{path}: no outline in it, export the objects anew from QuPath")
    return outlines, passed_over


def refuse(constant):
    raise Damaged(f"{constant} is no number")


def kind_name(value):
    return {dict: "an object", list: "a list", str: "a text", type(None): "missing"}.get(
        type(value), f"a {type(value).__name__}"
    )


def from_feature(feature):
    """Return the outlines of a feature, none where it encloses no area, and its name."""
    if not isinstance(feature, dict):
        raise Damaged(f"{kind_name(feature)}, not an object")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise Damaged(f"properties are {kind_name(properties)}, not an object")
    label, name = properties.get("classification"), str(properties.get("name") or "")
    if isinstance(label, dict):
        label = label.get("name") or label.get("names") or ""
    kind = kind_of(label or "", name)
    name = name or str(label or "unnamed")
    polygons = polygons_of(feature if "coordinates" in feature else feature.get("geometry"))
    if properties.get("objectType") == "cell":
        kind = kind or FIBER
    found = [Outline(kind, name, polygons)] if polygons else []
    if feature.get("nucleusGeometry"):
        found.append(Outline(AXON, name, polygons_of(feature["nucleusGeometry"])))
    return found, name


def polygons_of(shape):
    """Return the polygons of a geometry, none of lines and points."""
    if not isinstance(shape, dict):
        raise Damaged(f"its geometry is {kind_name(shape)}, not an object")
    kind, parts = shape.get("type"), shape.get("coordinates")
    if kind == "GeometryCollection":
        parts = shape.get("geometries")
        if not isinstance(parts, list):
            raise Damaged(f"geometries are {kind_name(parts)}, not a list")
        if any(isinstance(part, dict) and part.get("type") == kind for part in parts):
            raise Damaged("a collection within a collection")
        return [polygon for part in parts for polygon in polygons_of(part)]
    if kind in ("Point", "MultiPoint", "LineString", "MultiLineString"):
        return []
    if kind not in ("Polygon", "MultiPolygon"):
        raise Damaged(f"its geometry is of type {kind!r}")
    polygons = [parts] if kind == "Polygon" else parts
    if not isinstance(polygons, list) or not all(isinstance(rings, list) for rings in polygons):
        raise Damaged("its coordinates are not lists of rings")
    return [[ring_of(ring) for ring in rings] for rings in polygons if rings]


def ring_of(points):
    """Return a closed ring of coordinates as an array (points, 2), without its last point."""
    if not isinstance(points, list) or len(points) < 4:
        raise Damaged("a ring has fewer than the four points of a closed one")
    if len(points) > MAX_RING_POINTS:
        raise Damaged(f"a ring of {len(points):,} points, the limit is {MAX_RING_POINTS:,}")
    try:
        ring = np.array([point[:2] for point in points], np.float64)
        whole = ring.shape == (len(points), 2) and (np.abs(ring) < MAX_COORDINATE).all()
    except (ValueError, TypeError, KeyError, OverflowError):
        whole = False
    if not whole or any(isinstance(value, str | bool) for point in points for value in point):
        raise Damaged("a point is not two numbers")
    if (ring[0] != ring[-1]).any():
        raise Damaged("a ring is open: its last point is not its first")
    return ring[:-1]

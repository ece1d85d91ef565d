// Areas as GeoJSON in pixels of the slide's full resolution, as QuPath writes and reads them.
import type { Point, SlideSize } from './viewer';

// An Area is one outline, without its last point, and the outlines of its holes.
export interface Area {
  name: string;
  rings: Point[][];
}

interface Geometry {
  type?: unknown;
  coordinates?: unknown;
  geometries?: unknown;
}

// readAreas returns the areas of a GeoJSON text. Errors are sentences for the user.
export function readAreas(text: string, slide: SlideSize): Area[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Error('This file is not GeoJSON. QuPath writes it with File → Export objects as GeoJSON.');
  }
  const areas: Area[] = [];
  const other = new Set<string>();
  for (const feature of features(parsed)) areas.push(...areasOf(feature, other));
  if (areas.length === 0) {
    const found = other.size > 0 ? `; it has ${[...other].join(', ')}` : '';
    throw new Error(`There are no areas in this file${found}. Regions are Polygons or MultiPolygons.`);
  }
  const outside = areas.filter((area) => !meets(area, slide));
  if (outside.length > 0) {
    throw new Error(
      `${outside.length === 1 ? 'An area lies' : `${outside.length} areas lie`} outside this slide. ` +
        `Coordinates have to be pixels of the full resolution, 0 to ${slide.width} and 0 to ${slide.height}.`,
    );
  }
  return areas;
}

function features(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(features);
  if (typeof value !== 'object' || value === null) return [];
  const object = value as Record<string, unknown>;
  if (Array.isArray(object.features)) return object.features.flatMap(features);
  if (object.type === 'Feature') return [object];
  return [{ type: 'Feature', geometry: object }];
}

function areasOf(feature: Record<string, unknown>, other: Set<string>): Area[] {
  const properties = (feature.properties ?? {}) as Record<string, unknown>;
  const classification = properties.classification as { name?: unknown } | undefined;
  const name = [properties.name, classification?.name].find((v) => typeof v === 'string' && v !== '') as
    string | undefined;
  const areas: Area[] = [];
  const visit = (geometry: Geometry | null | undefined): void => {
    if (!geometry) return;
    if (geometry.type === 'Polygon') areas.push({ name: name ?? '', rings: rings(geometry.coordinates) });
    else if (geometry.type === 'MultiPolygon' && Array.isArray(geometry.coordinates)) {
      for (const polygon of geometry.coordinates) areas.push({ name: name ?? '', rings: rings(polygon) });
    } else if (geometry.type === 'GeometryCollection' && Array.isArray(geometry.geometries)) {
      for (const part of geometry.geometries) visit(part as Geometry);
    } else if (typeof geometry.type === 'string') other.add(geometry.type);
  };
  visit(feature.geometry as Geometry | null);
  return areas;
}

function rings(coordinates: unknown): Point[][] {
  if (!Array.isArray(coordinates) || coordinates.length === 0) throw new Error('An area in this file has no outline.');
  return coordinates.map((ring: unknown) => {
    if (!Array.isArray(ring)) throw new Error('An area in this file has no outline.');
    const points = ring.map((position: unknown) => {
      const [x, y] = Array.isArray(position) ? (position as unknown[]) : [];
      if (typeof x !== 'number' || typeof y !== 'number' || !Number.isFinite(x) || !Number.isFinite(y)) {
        throw new Error('An area in this file has a point that is not two numbers.');
      }
      return { x, y };
    });
    const [first, last] = [points[0], points.at(-1)];
    if (points.length > 1 && first && last && first.x === last.x && first.y === last.y) points.pop();
    if (points.length < 3) throw new Error('An area in this file has fewer than three corners.');
    return points;
  });
}

function meets(area: Area, slide: SlideSize): boolean {
  const box = bounds(area);
  return box.x < slide.width && box.y < slide.height && box.x + box.width > 0 && box.y + box.height > 0;
}

export function bounds(area: Area): { x: number; y: number; width: number; height: number } {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of area.rings) {
    for (const { x, y } of ring) {
      left = Math.min(left, x);
      top = Math.min(top, y);
      right = Math.max(right, x);
      bottom = Math.max(bottom, y);
    }
  }
  return { x: left, y: top, width: right - left, height: bottom - top };
}

// size is the area in square pixels.
export function size(area: Area): number {
  const [outline, ...holes] = area.rings.map(ringSize);
  return Math.max(0, (outline ?? 0) - holes.reduce((sum, hole) => sum + hole, 0));
}

function ringSize(ring: Point[]): number {
  let twice = 0;
  ring.forEach((p, i) => {
    const q = ring[(i + 1) % ring.length] ?? p;
    twice += p.x * q.y - q.x * p.y;
  });
  return Math.abs(twice) / 2;
}

export function collection(areas: Area[]): unknown {
  return {
    type: 'FeatureCollection',
    features: areas.map((area) => ({
      type: 'Feature',
      geometry: {
        type: 'Polygon',
        coordinates: area.rings.map((ring) => [...ring, ...ring.slice(0, 1)].map(({ x, y }) => [x, y])),
      },
      properties: { objectType: 'annotation', name: area.name },
    })),
  };
}

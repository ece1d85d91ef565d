// Parts of the page that need no browser: what they read comes from servers and users.
import { expect, test } from '@playwright/test';
import { readAddress } from '../src/address';
import { parseEvents, sentence } from '../src/api';
import { area, length, timeLeft } from '../src/format';
import { collection, readAreas, size } from '../src/geojson';
import { roundLength } from '../src/scalebar';

const slide = { width: 1000, height: 800 };

function stream(...chunks: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
}

// Wherever a stream is cut into pieces, its events are the same.
test('events', async () => {
  const text =
    ': alive\n\nevent: job\nid: 1\ndata: {"a":\ndata: "é"}\n\nevent: job\r\ndata:2\r\n\r\ndata: 3\n\nevent: job\ndata: cut off';
  const want = [
    { name: 'job', data: '{"a":\n"é"}' },
    { name: 'job', data: '2' },
    { name: 'message', data: '3' },
  ];
  for (let cut = 0; cut <= text.length; cut++) {
    const got = [];
    for await (const event of parseEvents(stream(text.slice(0, cut), text.slice(cut)))) got.push(event);
    expect(got, `cut at ${cut}`).toEqual(want);
  }
});

test('areas as QuPath writes them', () => {
  const ring = [
    [10, 10],
    [110, 10],
    [110, 60],
    [10, 60],
    [10, 10],
  ];
  const hole = [
    [20, 20],
    [30, 20],
    [30, 30],
    [20, 30],
    [20, 20],
  ];
  const text = JSON.stringify({
    type: 'FeatureCollection',
    features: [
      { type: 'Feature', geometry: { type: 'Polygon', coordinates: [ring, hole] }, properties: { name: 'Tumour' } },
      { type: 'Feature', geometry: { type: 'MultiPolygon', coordinates: [[ring], [ring]] }, properties: {} },
      { type: 'Feature', geometry: { type: 'Point', coordinates: [1, 1] }, properties: {} },
    ],
  });
  const areas = readAreas(text, slide);
  expect(areas.map(({ name, rings }) => [name, rings.length])).toEqual([
    ['Tumour', 2],
    ['', 1],
    ['', 1],
  ]);
  expect(size(areas[0]!)).toBe(5000 - 100);
  expect(readAreas(JSON.stringify(collection(areas)), slide)).toEqual(areas);
});

for (const [what, text, message] of [
  ['no JSON', 'stain', /not GeoJSON/],
  ['no area', '{"type":"FeatureCollection","features":[]}', /no areas/],
  ['another kind', '{"type":"LineString","coordinates":[[0,0],[1,1]]}', /no areas.*LineString/],
  ['two corners', '{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,0]]]}', /fewer than three/],
  ['a text for a number', '{"type":"Polygon","coordinates":[[["0",0],[1,1],[2,0]]]}', /not two numbers/],
  ['elsewhere', '{"type":"Polygon","coordinates":[[[2000,0],[2001,1],[2002,0]]]}', /outside this slide/],
] as const) {
  test(`areas: ${what}`, () => expect(() => readAreas(text, slide)).toThrow(message));
}

test('numbers', () => {
  expect([0.3, 7, 49, 110, 999, 1200, 5000].map(roundLength)).toEqual([0.2, 5, 20, 100, 500, 1000, 5000]);
  expect([3.14159, 812.4, 1234, 23456].map(length)).toEqual(['3.1 µm', '812 µm', '1.23 mm', '23.5 mm']);
  expect([250_000, 12_345, 34_567_000].map(area)).toEqual(['0.25 mm²', '0.0123 mm²', '34.6 mm²']);
  expect([2, 42, 600, 9000].map(timeLeft)).toEqual([
    'a few seconds left',
    'about 45 s left',
    'about 10 min left',
    'about 2.5 h left',
  ]);
  expect(['the queue is full', 'No.', ' x '].map(sentence)).toEqual(['The queue is full.', 'No.', 'X.']);
});

test('addresses', () => {
  expect(readAddress('#slide=aB_-1&job=j&mode=curtain&at=10,20,300')).toEqual({
    slide: 'aB_-1',
    job: 'j',
    mode: 'curtain',
    place: { x: 10, y: 20, width: 300 },
  });
  expect(readAddress('#slide=../x&at=1,2&mode=')).toEqual({});
  expect(readAddress('#at=1,2,0')).toEqual({});
});

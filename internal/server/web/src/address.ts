// What is seen, in the fragment of the page's address, so that it can be kept and sent: the slide, the job, the
// arrangement, the place in the middle and the width of what is visible, in pixels of the slide.

export interface Place {
  x: number;
  y: number;
  width: number;
}

export interface Seen {
  slide?: string;
  job?: string;
  mode?: string;
  place?: Place;
}

export function readAddress(fragment = location.hash): Seen {
  const values = new URLSearchParams(fragment.replace(/^#/, ''));
  const seen: Seen = {};
  for (const key of ['slide', 'job', 'mode'] as const) {
    const value = values.get(key);
    if (value && /^[\w-]{1,64}$/.test(value)) seen[key] = value;
  }
  const [x, y, width] = (values.get('at') ?? '').split(',').map(Number);
  if (x !== undefined && y !== undefined && width !== undefined && [x, y, width].every(Number.isFinite) && width > 0) {
    seen.place = { x, y, width };
  }
  return seen;
}

export function writeAddress(seen: Seen): void {
  const parts: string[] = [];
  if (seen.slide) parts.push(`slide=${seen.slide}`);
  if (seen.job) parts.push(`job=${seen.job}`);
  if (seen.mode && seen.mode !== 'side') parts.push(`mode=${seen.mode}`);
  if (seen.place) {
    const { x, y, width } = seen.place;
    parts.push(`at=${Math.round(x)},${Math.round(y)},${Math.round(width)}`);
  }
  const fragment = parts.length > 0 ? `#${parts.join('&')}` : location.pathname + location.search;
  if (fragment !== location.hash) history.replaceState(null, '', fragment);
}

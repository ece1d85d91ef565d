// Numbers as people read them. Lengths are in micrometres, areas in square micrometres, times in seconds.

const digits = (value: number, fraction: number): string =>
  value.toLocaleString('en', { minimumFractionDigits: fraction, maximumFractionDigits: fraction });

export function length(um: number): string {
  if (um >= 10_000) return `${digits(um / 1000, 1)} mm`;
  if (um >= 1000) return `${digits(um / 1000, 2)} mm`;
  return `${digits(um, um < 100 ? 1 : 0)} µm`;
}

export function area(um2: number): string {
  const mm2 = um2 / 1e6;
  return `${digits(mm2, mm2 < 0.1 ? 4 : mm2 < 10 ? 2 : 1)} mm²`;
}

export function share(part: number): string {
  const percent = 100 * part;
  return digits(percent, percent < 10 ? 1 : 0);
}

export function whole(value: number): string {
  return digits(Math.round(value), 0);
}

export function plain(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 3 });
}

export function timeLeft(seconds: number): string {
  if (seconds < 5) return 'a few seconds left';
  if (seconds < 90) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `about ${minutes} min left`;
  return `about ${digits(seconds / 3600, 1)} h left`;
}

export function moment(time: string): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  const today = date.toDateString() === new Date().toDateString();
  return today
    ? date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : date.toLocaleDateString([], { day: 'numeric', month: 'short' });
}

export function moments(time: string): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}

export function count(n: number, one: string, many = `${one}s`): string {
  return n === 1 ? `1 ${one}` : `${whole(n)} ${many}`;
}

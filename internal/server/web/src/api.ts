// The server's interface (api/v1/openapi.json) as the page uses it: requests with the token, problems as sentences, and
// server-sent events over fetch, because EventSource can't send a token.

export interface Slide {
  id: string;
  name: string;
  width: number;
  height: number;
  mpp?: [number, number] | null;
  vendor?: string;
  magnification?: number;
  error?: string;
}

export interface Preset {
  name: string;
  calls?: number; // of the U-Net for each window
  settings?: string; // in words
}

export interface Model {
  id: string;
  name: string;
  marker: string;
  mpp?: number;
  presets: Preset[];
  default_preset?: string;
}

// A rectangle in pixels of the slide's full resolution.
export interface Rectangle {
  x: number;
  y: number;
  width: number;
  height: number;
}

export type State = 'queued' | 'running' | 'done' | 'failed' | 'cancelled';

export interface Progress {
  calls: number;
  of: number;
  regions?: number; // that are finished, and so in the thumbnail
  seconds_left?: number | null;
}

export interface Results {
  ome_tiff?: string;
  png?: string;
  geojson?: string;
  provenance?: string;
  thumbnail?: string;
  image?: string; // the id of the result among api/v1/images
  measurements?: string;
}

export interface Job {
  id: string;
  name?: string;
  slide: string;
  model: string;
  marker?: string;
  preset?: string;
  seed?: number;
  region?: Rectangle | null;
  placement?: Rectangle | null;
  thumbnail_placement?: Rectangle | null;
  state: State;
  cancelling?: boolean;
  created: string;
  started?: string | null;
  ended?: string | null;
  expires?: string | null;
  position?: number | null;
  progress?: Progress | null;
  error?: string | null;
  plan?: { windows?: number; calls?: number; tissue_px?: number } | null;
  results?: Results | null;
}

export interface Measurements {
  dab_positive_share?: number | null; // 0 to 1, as positive_share_nuclei
  h_score?: number | null;
  ki67_index?: number | null; // percent
  positive_share_nuclei?: number | null;
  nuclei?: number | null;
  area_mm2?: number | null;
  definitions?: string;
}

export interface JobRequest {
  slide: string;
  model: string;
  preset?: string;
  seed: number;
  region?: Rectangle;
  annotations?: unknown;
  tissue: string;
  outside: string;
  name?: string;
}

export const ended = (job: Job): boolean => job.state !== 'queued' && job.state !== 'running';

// A Problem is an answer other than 2xx, as RFC 9457 describes it.
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly request = '',
    readonly retryAfter = 0,
  ) {
    super(message);
  }

  static async of(response: Response): Promise<Problem> {
    let text = '';
    let request = response.headers.get('X-Request-Id') ?? '';
    try {
      const body: unknown = await response.json();
      if (typeof body === 'object' && body !== null) {
        const { title, detail, request_id } = body as Record<string, unknown>;
        text = String(detail ?? title ?? '');
        request = String(request_id ?? request);
      }
    } catch {
      // A proxy's answer, say: the status has to do.
    }
    const retryAfter = Number(response.headers.get('Retry-After')) || 0;
    return new Problem(response.status, sentence(text || meaning(response.status)), request, retryAfter);
  }
}

// Unreachable: no answer came at all.
export class Unreachable extends Error {
  constructor() {
    super('The server does not answer.');
  }
}

function meaning(status: number): string {
  switch (status) {
    case 401:
      return 'the server asks for a token';
    case 403:
      return 'the server refuses this';
    case 404:
      return 'this is no longer on the server';
    case 413:
      return 'this file is larger than the server takes';
    case 503:
      return 'the server is busy; try again later';
    default:
      return `the server answered ${status}`;
  }
}

export function sentence(text: string): string {
  const trimmed = text.trim();
  const first = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

export interface Listener {
  // askToken asks the user for a token; refused says that the one before was wrong.
  askToken(refused: boolean): Promise<string>;
  // reached is called with every answer (true) and every failure to get one (false).
  reached(answer: boolean): void;
  // tokenChanged is called when another token is in use.
  tokenChanged(): void;
}

const STORED = 'histdist-token';

export class Api {
  #token = sessionStorage.getItem(STORED) ?? '';
  #asking: Promise<void> | undefined;
  readonly #root = new URL('api/v1/', document.baseURI);

  constructor(private readonly listener: Listener) {}

  // address is that of a path below api/v1, or of a URL that the server gave.
  address(path: string): string {
    return new URL(path, this.#root).href;
  }

  headers(): Record<string, string> {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }

  hasToken(): boolean {
    return this.#token !== '';
  }

  async request(path: string, init: RequestInit = {}): Promise<Response> {
    for (;;) {
      const token = this.#token;
      let response: Response;
      try {
        response = await fetch(this.address(path), {
          ...init,
          headers: { ...this.headers(), ...(init.headers as Record<string, string> | undefined) },
        });
      } catch (error) {
        if (init.signal?.aborted) throw error;
        this.listener.reached(false);
        throw new Unreachable();
      }
      this.listener.reached(true);
      if (response.status === 401) {
        await response.body?.cancel();
        await this.#newToken(token);
        continue;
      }
      if (!response.ok) throw await Problem.of(response);
      return response;
    }
  }

  // One dialog serves all requests that were refused at the same time.
  async #newToken(refused: string): Promise<void> {
    if (refused !== this.#token) return; // another request has got one meanwhile
    this.#asking ??= (async () => {
      try {
        this.#token = await this.listener.askToken(refused !== '');
        sessionStorage.setItem(STORED, this.#token);
        this.listener.tokenChanged();
      } finally {
        this.#asking = undefined;
      }
    })();
    await this.#asking;
  }

  async json<T>(path: string, init?: RequestInit): Promise<T> {
    const response = await this.request(path, init);
    return (await response.json()) as T;
  }

  async blob(path: string, init?: RequestInit): Promise<Blob> {
    const response = await this.request(path, init);
    return response.blob();
  }

  async list<T>(path: string, key: string): Promise<T[]> {
    const body = await this.json<unknown>(path);
    if (Array.isArray(body)) return body as T[];
    const inside = (body as Record<string, unknown> | null)?.[key];
    return Array.isArray(inside) ? (inside as T[]) : [];
  }

  startJob(request: JobRequest, key: string): Promise<Job> {
    return this.json<Job>('jobs', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key },
      body: JSON.stringify(request),
    });
  }

  // jobEvents yields a job whenever it changes, until its last state or the end of the connection.
  async *jobEvents(id: string, signal: AbortSignal): AsyncGenerator<Job> {
    const response = await this.request(`jobs/${id}/events`, { signal, headers: { Accept: 'text/event-stream' } });
    if (!response.body) return;
    for await (const event of parseEvents(response.body)) {
      if (event.name === 'job') yield JSON.parse(event.data) as Job;
    }
  }
}

export interface ServerEvent {
  name: string;
  data: string;
}

// parseEvents reads a text/event-stream.
export async function* parseEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  let name = '';
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) yield { name: name || 'message', data: data.join('\n') };
          name = '';
          data = [];
          continue;
        }
        const colon = line.indexOf(':');
        if (colon === 0) continue; // a comment: the connection is alive
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') name = value;
        else if (field === 'data') data.push(value);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

// randomKey is an Idempotency-Key. crypto.randomUUID exists on secure origins only.
export function randomKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');
}

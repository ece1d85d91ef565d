// The list of jobs, and the one that is watched. Only that one has a stream of events, because a browser has six
// connections for a server that speaks HTTP/1.1; the list is asked for now and then while something runs.
import { type Api, type Job, Problem, Unreachable, ended } from './api';
import { byId, make } from './dom';
import * as format from './format';
import { fail } from './messages';

const PAUSE = 4000; // milliseconds between two looks at the list

const STATES: Record<Job['state'], string> = {
  queued: 'Waiting',
  running: 'Running',
  done: 'Done',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export class Jobs {
  #jobs: Job[] = [];
  #watched: string | undefined;
  #stop: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #list = byId('jobs', HTMLUListElement);

  constructor(
    private readonly api: Api,
    private readonly chosen: (job: Job) => void,
    private readonly changed: (job: Job) => void, // of the job that is watched
    private readonly slideName: (id: string) => string,
  ) {}

  get all(): Job[] {
    return this.#jobs;
  }

  find(id: string): Job | undefined {
    return this.#jobs.find((job) => job.id === id);
  }

  async refresh(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      this.#jobs = await this.api.list<Job>('jobs', 'jobs');
      this.#update();
    } finally {
      clearTimeout(this.#timer);
      if (this.#jobs.some((job) => !ended(job)))
        this.#timer = setTimeout(() => void this.refresh().catch(() => undefined), PAUSE);
    }
  }

  put(job: Job): void {
    const at = this.#jobs.findIndex((other) => other.id === job.id);
    if (at >= 0) this.#jobs[at] = job;
    else this.#jobs.unshift(job);
    this.#update();
  }

  remove(id: string): void {
    this.#jobs = this.#jobs.filter((job) => job.id !== id);
    this.#update();
  }

  // watch follows a job to its end, over restarts of the server.
  watch(id: string | undefined): void {
    if (id === this.#watched && !this.#stop?.signal.aborted) return;
    this.#stop?.abort();
    this.#watched = id;
    this.#update();
    if (!id) return;
    const stop = new AbortController();
    this.#stop = stop;
    void this.#follow(id, stop.signal).catch((error: unknown) => {
      stop.abort();
      fail(error);
    });
  }

  async #follow(id: string, signal: AbortSignal): Promise<void> {
    for (let pause = 500; !signal.aborted; pause = Math.min(2 * pause, 8000)) {
      try {
        const job = await this.api.json<Job>(`jobs/${id}`, { signal });
        this.#news(job, signal);
        if (ended(job)) return;
        for await (const news of this.api.jobEvents(id, signal)) {
          this.#news(news, signal);
          pause = 500;
          if (ended(news)) return;
        }
      } catch (error) {
        if (signal.aborted) return;
        // A connection that breaks while events arrive is a TypeError.
        const again =
          error instanceof Unreachable ||
          error instanceof TypeError ||
          (error instanceof Problem && error.status >= 500);
        if (!again) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  #news(job: Job, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.put(job);
    this.changed(job);
  }

  #update(): void {
    const focused = (document.activeElement as HTMLElement | null)?.dataset.job;
    this.#list.replaceChildren(...this.#jobs.map((job) => this.#item(job)));
    byId('jobs-empty', HTMLElement).hidden = this.#jobs.length > 0;
    if (focused) this.#list.querySelector<HTMLElement>(`[data-job="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(job: Job): HTMLLIElement {
    const slide = this.slideName(job.slide);
    const name = title(job, slide);
    const button = make(
      'button',
      { type: 'button', 'data-job': job.id, 'aria-current': String(job.id === this.#watched) },
      make('b', {}, name),
      make('span', { class: `state ${job.state}` }, stateOf(job)),
      make('small', {}, slide),
      make('small', {}, format.moment(job.created)),
    );
    if (job.state === 'running') button.append(bar(job, `Progress of ${name}`));
    button.addEventListener('click', () => this.chosen(job));
    return make('li', {}, button);
  }
}

// title is a job's name, if it has one of its own rather than its slide's, or what it makes.
export function title(job: Job, slideName: string): string {
  if (job.name && job.name !== slideName) return job.name;
  return [job.marker || 'Virtual stain', job.preset].filter(Boolean).join(' · ');
}

export function part(job: Job): number {
  const { progress } = job;
  return progress && progress.of > 0 ? Math.min(1, progress.calls / progress.of) : 0;
}

export function bar(job: Job, label: string): HTMLProgressElement {
  const progress = make('progress', { 'aria-label': label, max: '1' });
  progress.value = part(job);
  return progress;
}

export function stateOf(job: Job): string {
  if (job.state === 'running') return `${Math.floor(100 * part(job))} %`;
  if (job.state === 'queued' && job.position) return `Waiting (${job.position})`;
  return STATES[job.state];
}

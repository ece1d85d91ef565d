// The virtual stain of the job that is chosen, in its viewer: a thumbnail that fills up while the job runs, then tiles.
import { type Api, type Job, type Rectangle, ended } from './api';
import { byId } from './dom';
import { fail } from './messages';
import type { Overlay } from './overlay';
import type { Image, Point, SlideSize, Viewers } from './viewer';

export class Stain {
  #job = ''; // whose stain is shown
  #slide: SlideSize = { width: 1, height: 1 };
  #running = false;
  #shown = false; // its tiles
  #filled = ''; // the progress that the thumbnail shows
  #filling = false;
  readonly #label = byId('stain-label', HTMLElement);
  readonly #hint = byId('stain-hint', HTMLElement);

  constructor(
    private readonly api: Api,
    private readonly viewers: Viewers,
    private readonly overlay: Overlay,
  ) {}

  // show shows a job as it is now, of the slide that is open; undefined: that there is none.
  show(job: Job | undefined, slide: SlideSize): void {
    if (job?.id !== this.#job || slide !== this.#slide) this.#clear();
    this.#job = job?.id ?? '';
    this.#slide = slide;
    this.#running = job?.state === 'running' && !job.cancelling;
    this.#label.textContent = job?.marker ? `Virtual ${job.marker}` : 'Virtual stain';
    const region = job?.region;
    this.overlay.set(
      'translated',
      region ? [{ rings: [corners(region)], closed: true, style: 'translated', halo: true }] : [],
    );
    if (job?.state === 'done') void this.#tiles(job).catch(fail);
    else if (job && this.#running) void this.#fill(job).catch(() => undefined);
    else this.#clear();
    this.#advise(job);
  }

  #clear(): void {
    this.viewers.clearStain();
    this.#shown = false;
    this.#filled = '';
  }

  // #advise says what to do where there is no stain yet.
  #advise(job: Job | undefined): void {
    let text = '';
    if (!job || (job.state !== 'done' && ended(job))) {
      text = 'No virtual stain of this slide yet. Choose a marker and an area, and start it.';
    } else if (job.state === 'queued') text = 'This stain waits for its turn.';
    else if (job.state === 'running' && this.#filled === '') text = 'The stain appears here while it is made.';
    this.#hint.textContent = text;
  }

  async #fill(job: Job): Promise<void> {
    const address = job.results?.thumbnail;
    const { regions = 1, calls = 0 } = job.progress ?? {};
    const progress = `${regions} ${calls}`;
    if (!address || regions === 0 || this.#filling || progress === this.#filled) return;
    this.#filling = true;
    try {
      const blob = await this.api.blob(address);
      if (this.#job !== job.id || !this.#running) return;
      this.#filled = progress;
      this.viewers.fill(URL.createObjectURL(blob), job.thumbnail_placement ?? job.region ?? this.#placement(job));
      this.#advise(job);
    } finally {
      this.#filling = false;
    }
  }

  async #tiles(job: Job): Promise<void> {
    const id = job.results?.image;
    if (!id || this.#shown) return;
    this.#shown = true;
    try {
      const size = await this.#size(id);
      if (this.#job !== job.id) return;
      await this.viewers.showStain(deepZoom(this.api, id, size), this.#placement(job), job.region);
    } catch (error) {
      if (this.#job === job.id) this.#shown = false;
      throw error;
    }
  }

  #placement(job: Job): Rectangle {
    return job.placement ?? { x: 0, y: 0, width: this.#slide.width, height: this.#slide.height };
  }

  async #size(image: string): Promise<SlideSize> {
    const response = await this.api.request(`images/${image}.dzi`);
    const description = new DOMParser().parseFromString(await response.text(), 'application/xml');
    const size = description.getElementsByTagName('Size')[0];
    const [width, height] = [Number(size?.getAttribute('Width')), Number(size?.getAttribute('Height'))];
    if (!width || !height) throw new Error('The server’s description of the stain has no size.');
    return { width, height };
  }
}

// deepZoom is an image of the server as tiles.
export function deepZoom(api: Api, id: string, size: SlideSize): Image {
  return {
    width: size.width,
    height: size.height,
    tile: (level, x, y) => api.address(`images/${id}_files/${level}/${x}_${y}.jpg`),
  };
}

export function corners({ x, y, width, height }: Rectangle): Point[] {
  return [
    { x, y },
    { x: x + width, y },
    { x: x + width, y: y + height },
    { x, y: y + height },
  ];
}

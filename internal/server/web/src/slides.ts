// The list of slides, with thumbnails, and uploads.
import { type Api, type Slide, sentence } from './api';
import { byId, make } from './dom';
import * as format from './format';
import { announce, fail } from './messages';

// Uploads are not in the server's list: this tab remembers which are its own.
const STORED = 'histdist-uploads';

export class Slides {
  #slides: Slide[] = [];
  #uploaded: Slide[] = [];
  #open = '';
  readonly #thumbnails = new Map<string, Promise<string>>();
  readonly #box = byId('slides', HTMLElement);

  constructor(
    private readonly api: Api,
    private readonly chosen: (slide: Slide) => void,
  ) {
    const file = byId('upload', HTMLInputElement);
    file.addEventListener('change', () => {
      const [upload] = file.files ?? [];
      if (upload) void this.#upload(upload).catch(fail);
      file.value = '';
    });
  }

  get all(): Slide[] {
    return this.#slides;
  }

  find(id: string): Slide | undefined {
    return this.#slides.find((slide) => slide.id === id);
  }

  async refresh(): Promise<void> {
    const listed = await this.api.list<Slide>('slides', 'slides');
    await this.#remembered();
    const known = new Set(listed.map((slide) => slide.id));
    this.#slides = [...listed, ...this.#uploaded.filter((slide) => !known.has(slide.id))];
    this.#update();
  }

  async #remembered(): Promise<void> {
    const missing = storedUploads().filter((id) => !this.#uploaded.some((slide) => slide.id === id));
    for (const id of missing) {
      const slide = await this.api.json<Slide>(`slides/${id}`).catch(() => undefined); // it may have expired
      if (slide) this.#uploaded.push(slide);
    }
  }

  // get finds a slide that the list lacks, such as an upload of another tab.
  async get(id: string): Promise<Slide> {
    const found = this.find(id);
    if (found) return found;
    const slide = await this.api.json<Slide>(`slides/${id}`);
    this.#keep(slide);
    this.#slides.push(slide);
    this.#update();
    return slide;
  }

  #keep(slide: Slide): void {
    this.#uploaded.push(slide);
    sessionStorage.setItem(STORED, JSON.stringify([...storedUploads(), slide.id].slice(-50)));
  }

  markOpen(id: string): void {
    this.#open = id;
    for (const button of this.#box.querySelectorAll<HTMLButtonElement>('.slide')) {
      button.setAttribute('aria-current', String(button.dataset.id === id));
    }
  }

  // next is the slide so many after the open one.
  next(step: number): Slide | undefined {
    const usable = this.#slides.filter((slide) => !slide.error);
    const at = usable.findIndex((slide) => slide.id === this.#open);
    return usable[(at + step + usable.length) % Math.max(1, usable.length)];
  }

  thumbnail(slide: Slide): Promise<string> {
    const size = Math.max(slide.width, slide.height) > 264 ? '!264,264' : 'max';
    const path = `iiif/${slide.id}/full/${size}/0/default.jpg`;
    let address = this.#thumbnails.get(slide.id);
    if (!address) {
      address = this.api.blob(path).then((blob) => URL.createObjectURL(blob));
      address.catch(() => this.#thumbnails.delete(slide.id));
      this.#thumbnails.set(slide.id, address);
    }
    return address;
  }

  async #upload(file: File): Promise<void> {
    const label = document.querySelector('label[for="upload"]');
    const text = label?.lastChild;
    if (text) text.textContent = 'Uploading…';
    try {
      const slide = await this.api.json<Slide>(`uploads?name=${encodeURIComponent(file.name.slice(-200))}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/octet-stream' },
        body: file,
      });
      slide.name ||= file.name;
      this.#keep(slide);
      await this.refresh();
      announce(`${slide.name} uploaded.`);
      this.chosen(slide);
    } finally {
      if (text) text.textContent = 'Upload';
    }
  }

  #update(): void {
    if (this.#slides.length === 0) {
      this.#box.replaceChildren(
        make(
          'p',
          { class: 'empty' },
          'There are no slides. Put some into the folder that ',
          make('code', {}, 'histdist serve --slides'),
          ' names, and they appear here; or upload one.',
        ),
      );
      return;
    }
    const focused = (document.activeElement as HTMLElement | null)?.dataset.id;
    const list = make('div', { class: 'slides', role: 'list' });
    for (const slide of this.#slides) {
      const frame = make('span', { class: 'frame' });
      const button = make(
        'button',
        { type: 'button', class: 'slide', 'data-id': slide.id },
        frame,
        make('span', {}, make('b', {}, slide.name), ...this.#lines(slide).map((line) => make('small', {}, line))),
      );
      button.disabled = slide.error !== undefined && slide.error !== '';
      button.addEventListener('click', () => this.chosen(slide));
      if (!button.disabled) void this.#frame(slide, frame);
      list.append(make('div', { role: 'listitem' }, button));
    }
    this.#box.replaceChildren(list);
    this.markOpen(this.#open);
    if (focused) this.#box.querySelector<HTMLElement>(`[data-id="${CSS.escape(focused)}"]`)?.focus();
  }

  #lines(slide: Slide): string[] {
    if (slide.error) return [sentence(slide.error)];
    const mpp = slide.mpp?.[0];
    const lines = [`${format.whole(slide.width)} × ${format.whole(slide.height)} px`];
    if (mpp)
      lines.unshift(`${format.length(slide.width * mpp)} × ${format.length(slide.height * (slide.mpp?.[1] ?? mpp))}`);
    return lines;
  }

  async #frame(slide: Slide, frame: Element): Promise<void> {
    try {
      frame.append(make('img', { src: await this.thumbnail(slide), alt: '', loading: 'lazy' }));
    } catch {
      // The name is enough.
    }
  }
}

function storedUploads(): string[] {
  try {
    const ids: unknown = JSON.parse(sessionStorage.getItem(STORED) ?? '[]');
    return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
  } catch {
    return [];
  }
}

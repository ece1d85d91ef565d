// The overview: the whole slide, small, with what is visible. Pressing a place goes there.
import { byId } from './dom';
import type { SlideSize, Viewers } from './viewer';

const SIDE = 132; // of the longer side, in pixels

export class Overview {
  readonly #box = byId('overview', HTMLElement);
  readonly #image = this.#box.querySelector('img');
  readonly #frame = this.#box.querySelector('div');
  #slide: SlideSize | undefined;

  constructor(private readonly viewers: Viewers) {
    const go = (event: PointerEvent): void => {
      if (!this.#slide) return;
      const box = this.#box.getBoundingClientRect();
      this.viewers.show({
        x: ((event.clientX - box.left) / box.width) * this.#slide.width,
        y: ((event.clientY - box.top) / box.height) * this.#slide.height,
        width: this.viewers.visible().width,
      });
    };
    this.#box.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.#box.setPointerCapture(event.pointerId);
      event.preventDefault();
      go(event);
    });
    this.#box.addEventListener('pointermove', (event) => {
      if (this.#box.hasPointerCapture(event.pointerId)) go(event);
    });
  }

  open(slide: SlideSize, thumbnail: string): void {
    this.#slide = slide;
    const scale = SIDE / Math.max(slide.width, slide.height);
    this.#box.style.width = `${Math.max(20, slide.width * scale)}px`;
    this.#box.style.height = `${Math.max(20, slide.height * scale)}px`;
    if (this.#image) this.#image.src = thumbnail;
    this.update();
  }

  update(): void {
    if (!this.#slide || !this.#frame || !this.viewers.slide) return;
    const { x, y, width, height } = this.viewers.visible();
    const { width: w, height: h } = this.#slide;
    const all = x <= 0 && y <= 0 && x + width >= w && y + height >= h;
    this.#box.hidden = all; // it would show nothing new
    const left = Math.max(0, x / w);
    const top = Math.max(0, y / h);
    this.#frame.style.left = `${100 * left}%`;
    this.#frame.style.top = `${100 * top}%`;
    this.#frame.style.width = `${100 * (Math.min(1, (x + width) / w) - left)}%`;
    this.#frame.style.height = `${100 * (Math.min(1, (y + height) / h) - top)}%`;
  }
}

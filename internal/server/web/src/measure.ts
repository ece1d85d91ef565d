// Lengths between two points.
import { byId } from './dom';
import * as format from './format';
import { announce } from './messages';
import type { Overlay, Shape } from './overlay';
import type { Point } from './viewer';

export class Measurements {
  #lines: [Point, Point][] = [];
  readonly #clear = byId('clear-measurements', HTMLButtonElement);

  // mpp is how many micrometres a pixel is wide and high.
  constructor(
    private readonly overlay: Overlay,
    private readonly mpp: () => [number, number] | undefined,
  ) {
    this.#clear.addEventListener('click', () => this.clear());
  }

  add(a: Point, b: Point): void {
    this.#lines.push([a, b]);
    this.#update();
    announce(`Length: ${this.text(a, b)}.`);
  }

  removeLast(): boolean {
    if (this.#lines.pop() === undefined) return false;
    this.#update();
    return true;
  }

  clear(): void {
    this.#lines = [];
    this.#update();
  }

  text(a: Point, b: Point): string {
    const mpp = this.mpp();
    if (!mpp) return `${format.whole(Math.hypot(b.x - a.x, b.y - a.y))} px`;
    return format.length(Math.hypot((b.x - a.x) * mpp[0], (b.y - a.y) * mpp[1]));
  }

  shape(a: Point, b: Point, style = 'measure'): Shape {
    return { rings: [[a, b]], closed: false, halo: true, style, label: { text: this.text(a, b), at: b } };
  }

  #update(): void {
    this.overlay.set(
      'measure',
      this.#lines.map(([a, b]) => this.shape(a, b)),
    );
    this.#clear.hidden = this.#lines.length === 0;
  }
}

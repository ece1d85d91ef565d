// The scale bar: a round length, about a hundred pixels of the screen wide.
import { byId } from './dom';
import * as format from './format';

export class ScaleBar {
  readonly #bar = byId('scalebar', HTMLElement);
  readonly #line = this.#bar.querySelector('span') ?? this.#bar;
  readonly #text = document.createTextNode('');

  constructor() {
    this.#bar.prepend(this.#text);
  }

  // show takes how many micrometres one pixel of the screen is; undefined if nobody knows.
  show(umPerPixel: number | undefined): void {
    this.#bar.hidden = !umPerPixel;
    if (!umPerPixel) return;
    const um = roundLength(110 * umPerPixel);
    this.#line.style.width = `${um / umPerPixel}px`;
    this.#text.data = um >= 1000 ? `${um / 1000} mm` : `${um} µm`;
    this.#bar.setAttribute('aria-label', `Scale bar: ${format.length(um)}`);
  }
}

// roundLength is the largest 1, 2 or 5 times a power of ten that is not above the length.
export function roundLength(um: number): number {
  const power = 10 ** Math.floor(Math.log10(um));
  const digit = um / power;
  const rounded = (digit >= 5 ? 5 : digit >= 2 ? 2 : 1) * power;
  return Number(rounded.toPrecision(1));
}

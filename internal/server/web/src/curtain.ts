// The curtain: the stain lies over the H&E, to the right of a divider that pointer and keys move.
import { byId } from './dom';

export class Curtain {
  readonly #divider = byId('curtain', HTMLElement);
  #part = 0.5;
  #on = false;

  constructor(
    private readonly stage: HTMLElement,
    private readonly stain: HTMLElement,
  ) {
    this.#divider.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      this.#divider.setPointerCapture(event.pointerId);
      event.preventDefault();
      this.#divider.focus();
    });
    this.#divider.addEventListener('pointermove', (event) => {
      if (!this.#divider.hasPointerCapture(event.pointerId)) return;
      const box = this.stage.getBoundingClientRect();
      this.move((event.clientX - box.left) / box.width);
    });
    this.#divider.addEventListener('keydown', (event) => {
      const step = event.shiftKey ? 0.1 : 0.02;
      const to: Record<string, number> = {
        ArrowLeft: this.#part - step,
        ArrowDown: this.#part - step,
        ArrowRight: this.#part + step,
        ArrowUp: this.#part + step,
        PageDown: this.#part - 0.1,
        PageUp: this.#part + 0.1,
        Home: 0,
        End: 1,
      };
      const part = to[event.key];
      if (part === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      this.move(part);
    });
  }

  get on(): boolean {
    return this.#on;
  }

  set on(on: boolean) {
    this.#on = on;
    this.#divider.hidden = !on;
    this.#apply();
  }

  get part(): number {
    return this.#part;
  }

  // move sets the part of the width that shows the H&E, 0 to 1.
  move(part: number): void {
    this.#part = Math.min(1, Math.max(0, part));
    this.#apply();
  }

  #apply(): void {
    const percent = 100 * this.#part;
    this.#divider.style.left = `${percent}%`;
    this.stain.style.clipPath = this.#on ? `inset(0 0 0 ${percent}%)` : '';
    this.#divider.setAttribute('aria-valuenow', String(Math.round(percent)));
    this.#divider.setAttribute(
      'aria-valuetext',
      `${Math.round(percent)} % H&E, ${100 - Math.round(percent)} % virtual stain`,
    );
  }
}

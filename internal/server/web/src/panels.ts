// The panels at both sides. In a narrow window they lie over the viewer, one at a time, and begin closed.
import { byId } from './dom';

export class Panel {
  readonly #panel: HTMLElement;
  readonly #button: HTMLButtonElement;

  constructor(
    panel: string,
    button: string,
    private readonly changed: () => void,
  ) {
    this.#panel = byId(panel, HTMLElement);
    this.#button = byId(button, HTMLButtonElement);
    this.#button.addEventListener('click', () => this.toggle());
    this.#panel.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && narrow()) {
        this.show(false);
        this.#button.focus();
      }
    });
  }

  toggle(): void {
    this.show(this.#panel.classList.contains('closed'));
  }

  show(open: boolean): void {
    this.#panel.classList.toggle('closed', !open);
    this.#button.setAttribute('aria-expanded', String(open));
    this.changed();
  }

  get open(): boolean {
    return !this.#panel.classList.contains('closed');
  }
}

export function narrow(): boolean {
  return window.matchMedia('(max-width: 1000px)').matches;
}

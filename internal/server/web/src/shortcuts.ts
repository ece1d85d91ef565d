// Keys, and the list of them. Those without Ctrl, Alt or Cmd can be switched off: speech input types letters.
import { byId, make } from './dom';

export interface Shortcut {
  keys: string[]; // as KeyboardEvent.key has them; letters in lower case
  shown?: string[]; // how the list shows them, if otherwise
  does: string;
  // run returns false if the key is none of its business now.
  run(event: KeyboardEvent): boolean | void;
  stage?: boolean; // only where the focus is on the slide, or nowhere
}

const STORED = 'histdist-shortcuts';

export class Shortcuts {
  readonly #dialog = byId('shortcuts-dialog', HTMLDialogElement);
  readonly #on = byId('shortcuts-on', HTMLInputElement);

  constructor(
    private readonly stage: HTMLElement,
    private readonly shortcuts: Shortcut[],
  ) {
    this.#on.checked = localStorage.getItem(STORED) !== 'off';
    this.#on.addEventListener('change', () => {
      if (this.#on.checked) localStorage.removeItem(STORED);
      else localStorage.setItem(STORED, 'off');
    });
    const list = byId('shortcuts', HTMLElement);
    for (const { keys, shown, does } of shortcuts) {
      list.append(
        make('dt', {}, ...(shown ?? keys).map((key) => make('kbd', {}, key.length === 1 ? key.toUpperCase() : key))),
        make('dd', {}, does),
      );
    }
    byId('help', HTMLButtonElement).addEventListener('click', () => this.show());
    document.addEventListener('keydown', (event) => this.#pressed(event));
  }

  show(): void {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  #pressed(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !this.#on.checked) return;
    if (document.querySelector('dialog[open]')) return;
    const target = event.target as Element;
    if (target.closest('input, select, textarea, [contenteditable]')) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const onStage = target === document.body || this.stage.contains(target);
    for (const shortcut of this.shortcuts) {
      if (!shortcut.keys.includes(key) || (shortcut.stage && !onStage)) continue;
      if (shortcut.run(event) === false) continue;
      event.preventDefault();
      return;
    }
  }
}

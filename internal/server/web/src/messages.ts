// Messages to the user: errors stay until they are dismissed, notes leave by themselves.
import { Problem, Unreachable } from './api';
import { byId, icon, make } from './dom';

export function note(text: string): void {
  show(text, '', false);
}

// fail shows what went wrong. That the server does not answer is shown elsewhere, once.
export function fail(error: unknown): void {
  if (error instanceof Unreachable || (error instanceof DOMException && error.name === 'AbortError')) return;
  const text = error instanceof Error ? error.message : String(error);
  const small = error instanceof Problem && error.request && error.status >= 500 ? `Request ${error.request}` : '';
  show(text, small, true);
}

function show(text: string, small: string, error: boolean): void {
  const list = byId('messages', HTMLElement);
  for (const old of list.children) {
    if (old.getAttribute('data-text') === text) old.remove();
  }
  const close = make('button', { type: 'button', class: 'icon', 'aria-label': 'Dismiss' }, icon('remove'));
  const message = make(
    'div',
    { class: error ? 'message error' : 'message', 'data-text': text },
    make('p', {}, text, small && make('small', {}, small)),
    close,
  );
  close.addEventListener('click', () => message.remove());
  list.append(message);
  while (list.children.length > 4) list.firstElementChild?.remove();
  if (!error) setTimeout(() => message.remove(), 6000);
}

// announce says something to screen readers alone.
export function announce(text: string): void {
  byId('announcement', HTMLElement).textContent = text;
}

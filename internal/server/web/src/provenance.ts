// How a virtual stain was made, in full.
import type { Api } from './api';
import { byId, make } from './dom';
import { downloadLink } from './download';
import { note } from './messages';

export async function showProvenance(api: Api, address: string, name: string): Promise<void> {
  const provenance = await api.json<unknown>(address);
  const rows = make('tbody');
  for (const [path, value] of leaves(provenance)) {
    rows.append(make('tr', {}, make('th', { scope: 'row' }, path), make('td', {}, value)));
  }
  byId('provenance', HTMLElement).replaceChildren(make('table', {}, rows));
  const dialog = byId('provenance-dialog', HTMLDialogElement);
  const copy = byId('provenance-copy', HTMLButtonElement);
  copy.onclick = () => {
    void navigator.clipboard.writeText(JSON.stringify(provenance, null, 2)).then(
      () => note('Copied.'),
      () => note('This browser does not let the page copy. The download has the same text.'),
    );
  };
  copy.parentElement?.querySelector('a')?.remove();
  copy.after(downloadLink(api, address, name, 'Download'));
  dialog.showModal();
}

// leaves lists the values of a JSON text with their paths.
function* leaves(value: unknown, path = ''): Generator<[string, string]> {
  if (Array.isArray(value) && value.some((item) => typeof item === 'object' && item !== null)) {
    for (const [i, item] of value.entries()) yield* leaves(item, `${path}[${i}]`);
  } else if (Array.isArray(value)) {
    yield [path, value.join(', ')];
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) yield* leaves(item, path ? `${path}.${key}` : key);
  } else {
    yield [path, value === null || value === undefined ? '–' : String(value)];
  }
}

// Downloads. Without a token they are links; with one they are fetched, because a link can't send it: to a file as they
// arrive where the browser can do that, else through memory.
import type { Api } from './api';
import { make } from './dom';
import { fail } from './messages';

interface SaveTarget {
  createWritable(): Promise<WritableStream<Uint8Array>>;
}
type SavePicker = (options: { suggestedName: string }) => Promise<SaveTarget>;

export function downloadLink(api: Api, address: string, name: string, text: string): HTMLAnchorElement {
  const link = make('a', { class: 'button', href: api.address(address), download: name }, text);
  link.addEventListener('click', (event) => {
    if (!api.hasToken()) return;
    event.preventDefault();
    void fetchFile(api, address, name).catch(fail);
  });
  return link;
}

async function fetchFile(api: Api, address: string, name: string): Promise<void> {
  const pick = (window as { showSaveFilePicker?: SavePicker }).showSaveFilePicker;
  if (pick) {
    const target = await pick({ suggestedName: name });
    const [writable, response] = await Promise.all([target.createWritable(), api.request(address)]);
    await response.body?.pipeTo(writable);
    return;
  }
  save(await api.blob(address), name);
}

// save hands a blob to the browser as a file.
export function save(blob: Blob, name: string): void {
  const address = URL.createObjectURL(blob);
  const link = make('a', { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

// The dialog that asks for a token when the server wants one.
import { byId } from './dom';

export function askToken(refused: boolean): Promise<string> {
  const dialog = byId('token-dialog', HTMLDialogElement);
  const form = byId('token-form', HTMLFormElement);
  const input = byId('token', HTMLInputElement);
  byId('token-refused', HTMLElement).hidden = !refused;
  input.value = '';
  return new Promise((resolve) => {
    const stay = (event: Event): void => event.preventDefault(); // nothing works without a token
    dialog.addEventListener('cancel', stay);
    form.addEventListener('submit', function submitted(event) {
      event.preventDefault();
      const token = input.value.trim();
      if (token === '') return;
      form.removeEventListener('submit', submitted);
      dialog.removeEventListener('cancel', stay);
      dialog.close();
      resolve(token);
    });
    if (!dialog.open) dialog.showModal();
    input.focus();
  });
}

// Light or dark: as the system, or as the switch says.
import { byId } from './dom';

const STORED = 'histdist-theme';
const NEXT: Record<string, string> = { '': 'light', light: 'dark', dark: '' };
const SAID: Record<string, string> = { '': 'as the system', light: 'light', dark: 'dark' };

export function startTheme(): void {
  const button = byId('theme', HTMLButtonElement);
  const apply = (theme: string): void => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    const label = `Colours: ${SAID[theme]}`;
    button.setAttribute('aria-label', label);
    button.title = label;
  };
  let theme = localStorage.getItem(STORED) ?? '';
  if (!(theme in NEXT)) theme = '';
  apply(theme);
  button.addEventListener('click', () => {
    theme = NEXT[theme] ?? '';
    if (theme) localStorage.setItem(STORED, theme);
    else localStorage.removeItem(STORED);
    apply(theme);
  });
}

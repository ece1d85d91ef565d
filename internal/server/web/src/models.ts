// The choice of a marker, which is a model, and of a preset.
import type { Api, Model } from './api';
import { byId, make } from './dom';
import * as format from './format';

export class Models {
  #models: Model[] = [];
  readonly #select = byId('model', HTMLSelectElement);
  readonly #presets = byId('presets', HTMLFieldSetElement);

  constructor(
    private readonly api: Api,
    private readonly changed: () => void,
  ) {
    this.#select.addEventListener('change', () => this.#showPresets());
  }

  async refresh(): Promise<void> {
    this.#models = await this.api.list<Model>('models', 'models');
    const chosen = this.#select.value;
    this.#select.replaceChildren(
      ...this.#models.map((model) => make('option', { value: model.id }, this.title(model))),
    );
    if (this.find(chosen)) this.#select.value = chosen;
    const none = byId('no-models', HTMLElement);
    none.hidden = this.#models.length > 0;
    if (this.#models.length === 0) {
      none.replaceChildren(
        'This server has no model. Start it with ',
        make('code', {}, 'histdist serve --model FOLDER'),
        ', once for each marker.',
      );
    }
    this.#showPresets();
  }

  // title is the marker, and the model's name where that says more or two models have the same marker.
  title(model: Model): string {
    const marker = model.marker || model.name;
    const twice = this.#models.filter((other) => other.marker === model.marker).length > 1;
    return twice && model.name ? `${marker} (${model.name})` : marker;
  }

  find(id: string): Model | undefined {
    return this.#models.find((model) => model.id === id);
  }

  get chosen(): Model | undefined {
    return this.find(this.#select.value);
  }

  get preset(): string | undefined {
    return this.#presets.querySelector<HTMLInputElement>('input:checked')?.value;
  }

  #showPresets(): void {
    const before = this.preset;
    const presets = this.chosen?.presets ?? [];
    const wanted =
      presets.find((preset) => preset.name === before)?.name ?? this.chosen?.default_preset ?? presets[0]?.name;
    this.#presets.querySelectorAll('label').forEach((label) => label.remove());
    for (const preset of presets) {
      const input = make('input', { type: 'radio', name: 'preset', value: preset.name });
      input.checked = preset.name === wanted;
      const calls = preset.calls ? `${format.count(preset.calls, 'step')}` : '';
      this.#presets.append(
        make(
          'label',
          { class: 'choice', title: preset.settings ?? '' },
          input,
          make('span', {}, preset.name.charAt(0).toUpperCase() + preset.name.slice(1)),
          make('span', { class: 'aside' }, calls),
        ),
      );
    }
    this.#presets.hidden = presets.length === 0;
    this.changed();
  }
}

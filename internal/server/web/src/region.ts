// The regions that are to be translated: drawn, imported, listed, exported.
import type { Rectangle } from './api';
import { append, byId, icon, make, press } from './dom';
import { save } from './download';
import * as format from './format';
import { type Area, bounds, collection, readAreas, size } from './geojson';
import { announce, fail } from './messages';
import type { Overlay } from './overlay';
import type { Point, Viewers } from './viewer';

interface Region extends Area {
  rectangle: boolean;
}

export class Regions {
  #regions: Region[] = [];
  #chosen: Region | undefined;
  #made = 0;
  readonly #kept = new Map<string, Region[]>(); // of the slides that were open before
  #slideId = '';
  readonly #list = byId('regions', HTMLUListElement);
  readonly #drawn = byId('area-regions', HTMLInputElement);
  readonly #whole = byId('area-whole', HTMLInputElement);

  constructor(
    private readonly viewers: Viewers,
    private readonly overlay: Overlay,
    private readonly um2: () => number | undefined, // square micrometres of a pixel
    private readonly slideName: () => string,
  ) {
    byId('region-visible', HTMLButtonElement).addEventListener('click', () => this.addVisible());
    byId('region-export', HTMLButtonElement).addEventListener('click', () => this.#export());
    const file = byId('region-import', HTMLInputElement);
    file.addEventListener('change', () => {
      const [chosen] = file.files ?? [];
      if (chosen)
        void chosen
          .text()
          .then((text) => this.importText(text))
          .catch(fail);
      file.value = '';
    });
    this.#update();
  }

  // open changes to another slide. Its regions come back if it was open before.
  open(slideId: string): void {
    this.#kept.set(this.#slideId, this.#regions);
    this.#slideId = slideId;
    this.#regions = this.#kept.get(slideId) ?? [];
    this.#chosen = undefined;
    this.#drawn.checked = this.#regions.length > 0;
    this.#whole.checked = !this.#drawn.checked;
    this.#update();
  }

  get empty(): boolean {
    return this.#regions.length === 0;
  }

  get wanted(): boolean {
    return this.#drawn.checked;
  }

  addRectangle(a: Point, b: Point): void {
    const slide = this.viewers.slide;
    if (!slide) return;
    const within = (value: number, most: number): number => Math.round(Math.min(most, Math.max(0, value)));
    const [left, right] = [within(Math.min(a.x, b.x), slide.width), within(Math.max(a.x, b.x), slide.width)];
    const [top, bottom] = [within(Math.min(a.y, b.y), slide.height), within(Math.max(a.y, b.y), slide.height)];
    if (right - left < 8 || bottom - top < 8) return; // a slip of the hand
    const corners = [
      { x: left, y: top },
      { x: right, y: top },
      { x: right, y: bottom },
      { x: left, y: bottom },
    ];
    this.#add('Rectangle', [corners], true);
  }

  addPolygon(points: Point[]): void {
    const slide = this.viewers.slide;
    if (!slide || points.length < 3) return;
    const corners = points.map(({ x, y }) => ({
      x: Math.round(Math.min(slide.width, Math.max(0, x))),
      y: Math.round(Math.min(slide.height, Math.max(0, y))),
    }));
    if (size({ name: '', rings: [corners] }) < 64) return;
    this.#add('Polygon', [corners], false);
  }

  addVisible(): void {
    if (!this.viewers.slide) return;
    const { x, y, width, height } = this.viewers.visible();
    this.addRectangle({ x, y }, { x: x + width, y: y + height });
  }

  importText(text: string): void {
    const slide = this.viewers.slide;
    if (!slide) throw new Error('Open a slide first: regions belong to one.');
    const areas = readAreas(text, slide);
    for (const { name, rings } of areas) this.#add(name || 'Imported', rings, false, name !== '');
    announce(`${format.count(areas.length, 'region')} imported.`);
  }

  #add(name: string, rings: Point[][], rectangle: boolean, named = false): void {
    const region = { name: named ? name : `${name} ${++this.#made}`, rings, rectangle };
    this.#regions.push(region);
    this.#chosen = region;
    this.#drawn.checked = true;
    this.#update();
    announce(`${region.name} added, ${this.#sizeOf(region)}.`);
  }

  removeChosen(): boolean {
    if (!this.#chosen) return false;
    this.#remove(this.#chosen);
    return true;
  }

  #remove(region: Region): void {
    const at = this.#regions.indexOf(region);
    this.#regions.splice(at, 1);
    this.#chosen = this.#regions[Math.min(at, this.#regions.length - 1)];
    if (this.#regions.length === 0) this.#whole.checked = true;
    this.#update();
    announce(`${region.name} removed.`);
  }

  #export(): void {
    const text = JSON.stringify(collection(this.#regions), null, 1);
    save(
      new Blob([text], { type: 'application/geo+json' }),
      `${this.slideName().replace(/\.[^.]*$/, '')}-regions.geojson`,
    );
  }

  // request is the part of a job's request that says where: one rectangle, or areas; nothing for the whole slide.
  request(): { region?: Rectangle; annotations?: unknown } {
    const [first] = this.#regions;
    if (!this.wanted || !first) return {};
    if (this.#regions.length === 1 && first.rectangle) return { region: bounds(first) };
    return { annotations: collection(this.#regions) };
  }

  summary(): string {
    const [first] = this.#regions;
    if (!this.wanted || !first) return 'Whole slide';
    return this.#regions.length === 1 ? first.name : format.count(this.#regions.length, 'region');
  }

  #sizeOf(...regions: Region[]): string {
    const pixels = regions.reduce((sum, region) => sum + size(region), 0);
    const um2 = this.um2();
    return um2 ? format.area(pixels * um2) : `${format.whole(pixels)} px`;
  }

  #update(): void {
    this.overlay.set(
      'region',
      this.#regions.map((region) => ({
        rings: region.rings,
        closed: true,
        halo: true,
        style: region === this.#chosen ? 'region chosen' : 'region',
      })),
    );
    this.#list.replaceChildren(
      ...this.#regions.map((region) => {
        const show = make(
          'button',
          { type: 'button', title: 'Show' },
          region.name,
          make('small', {}, this.#sizeOf(region)),
        );
        press(show, region === this.#chosen);
        show.addEventListener('click', () => {
          this.#chosen = region;
          this.#update();
          this.viewers.showRectangle(bounds(region));
        });
        const remove = make(
          'button',
          { type: 'button', class: 'icon', 'aria-label': `Remove ${region.name}`, title: 'Remove (Del)' },
          icon('remove'),
        );
        remove.addEventListener('click', () => this.#remove(region));
        const item = make('li');
        append(item, show, remove);
        return item;
      }),
    );
    byId('regions-empty', HTMLElement).hidden = !this.empty;
    byId('regions-total', HTMLElement).textContent = this.empty ? '' : this.#sizeOf(...this.#regions);
    byId('region-export', HTMLButtonElement).disabled = this.empty;
    this.#drawn.disabled = this.empty;
  }

  // refresh shows sizes anew, of another slide, say.
  refresh(): void {
    this.#update();
  }
}

// The page of `histdist serve`: what is open, and how the parts work together. Each part is a module of its own:
//
//	api.ts         requests, problems, events          slides.ts   list of slides, uploads
//	viewer.ts      the two viewers                     models.ts   marker and preset
//	overlay.ts     shapes over them                    region.ts   regions; geojson.ts reads and writes them
//	curtain.ts     the curtain                         jobs.ts     list of jobs, the one that is watched
//	tools.ts       what the pointer does               results.ts  progress and results of one job
//	stain.ts       the stain of the chosen job
//	measure.ts     lengths; scalebar.ts, overview.ts   provenance.ts, download.ts, address.ts, shortcuts.ts, …
import { type Seen, readAddress, writeAddress } from './address';
import { Api, type Job, Problem, type Rectangle, type Slide, ended, randomKey } from './api';
import { Connection } from './connection';
import { Curtain } from './curtain';
import { byId, make, press } from './dom';
import * as format from './format';
import { readAreas } from './geojson';
import { Jobs } from './jobs';
import { Measurements } from './measure';
import { announce, fail } from './messages';
import { Models } from './models';
import { Overlay } from './overlay';
import { Overview } from './overview';
import { Panel, narrow } from './panels';
import { Regions } from './region';
import { JobPanel } from './results';
import { ScaleBar } from './scalebar';
import { Shortcuts } from './shortcuts';
import { Slides } from './slides';
import { Stain, corners, deepZoom } from './stain';
import { startTheme } from './theme';
import { askToken } from './token';
import { Tools } from './tools';
import { Viewers } from './viewer';

type Mode = 'side' | 'curtain';

class Page {
  #slide: Slide | undefined;
  #job: Job | undefined;
  #mode: Mode = 'side';
  #tissue = false;
  #asked = false; // why a tile could not be had
  #addressTimer: ReturnType<typeof setTimeout> | undefined;

  readonly #stage = byId('stage', HTMLElement);
  readonly #start = byId('start', HTMLButtonElement);
  readonly #connection = new Connection(
    () => this.#api.request('health'),
    () => this.#back(),
  );
  readonly #api: Api = new Api({
    askToken,
    reached: (answer) => this.#connection.reached(answer),
    tokenChanged: () => this.#viewers.setHeaders(this.#api.headers()),
  });
  readonly #viewers = new Viewers(canvas('pane-he'), canvas('pane-stain'), this.#api.headers(), {
    moved: () => this.#moved(),
    failed: () => this.#tileFailed(),
  });
  readonly #overlay = new Overlay(this.#viewers);
  readonly #stain = new Stain(this.#api, this.#viewers, this.#overlay);
  readonly #curtain = new Curtain(this.#stage, byId('pane-stain', HTMLElement));
  readonly #scalebar = new ScaleBar();
  readonly #overview = new Overview(this.#viewers);
  readonly #slideName = (id: string): string => this.#slides.find(id)?.name ?? '';
  readonly #slides = new Slides(this.#api, (slide) => {
    if (slide.id !== this.#slide?.id) void this.openSlide(slide).catch(fail);
    else if (narrow()) this.#slidesPanel.show(false);
  });
  readonly #models = new Models(this.#api, () => this.#updateStart());
  readonly #regions = new Regions(
    this.#viewers,
    this.#overlay,
    () => this.#um2(),
    () => this.#slide?.name ?? 'slide',
  );
  readonly #measurements = new Measurements(this.#overlay, () => this.#mpp());
  readonly #tools = new Tools(this.#stage, this.#viewers, this.#overlay, this.#regions, this.#measurements);
  readonly #jobs = new Jobs(
    this.#api,
    (job) => void this.openJob(job).catch(fail),
    (job) => this.#news(job),
    this.#slideName,
  );
  readonly #panel = new JobPanel(this.#api, (job) => this.#remove(job), this.#slideName);
  readonly #slidesPanel: Panel = new Panel('slides-panel', 'toggle-slides', () =>
    this.#onePanel(this.#workPanel, this.#slidesPanel),
  );
  readonly #workPanel: Panel = new Panel('work-panel', 'toggle-work', () =>
    this.#onePanel(this.#slidesPanel, this.#workPanel),
  );

  async run(): Promise<void> {
    startTheme();
    this.#buttons();
    this.#keys();
    if (narrow()) {
      this.#slidesPanel.show(false);
      this.#workPanel.show(false);
    }
    const seen = readAddress();
    this.#setMode(seen.mode === 'curtain' ? 'curtain' : 'side');
    this.#welcome('Loading…', '');
    const loaded = await Promise.allSettled([this.#slides.refresh(), this.#models.refresh(), this.#jobs.refresh()]);
    for (const result of loaded) if (result.status === 'rejected') fail(result.reason);
    await this.#restore(seen).catch(fail);
    window.addEventListener('hashchange', () => void this.#restore(readAddress()).catch(fail));
    if (!this.#slide) {
      this.#welcomeChoose();
      if (narrow()) this.#slidesPanel.show(true);
    }
    this.#updateStart();
  }

  // #tileFailed finds out why: viewers ask for tiles themselves, and don't know about tokens and restarts.
  #tileFailed(): void {
    if (this.#asked) return;
    this.#asked = true;
    setTimeout(() => (this.#asked = false), 5000);
    const slide = this.#slide;
    void this.#api.request(slide ? `slides/${slide.id}` : 'version').catch(fail);
  }

  // #restore shows what an address says.
  async #restore(seen: Seen): Promise<void> {
    if (seen.mode) this.#setMode(seen.mode === 'curtain' ? 'curtain' : 'side');
    const first = this.#slides.all.filter((slide) => !slide.error);
    let slide: Slide | undefined;
    if (seen.slide) {
      try {
        slide = await this.#slides.get(seen.slide);
      } catch (error) {
        fail(
          error instanceof Problem && error.status === 404
            ? new Error('The slide of this address is no longer on the server.')
            : error,
        );
      }
    } else if (first.length === 1) slide = first[0]; // nothing to choose
    if (!slide) return;
    const job = seen.job ? this.#jobs.find(seen.job) : undefined;
    if (slide.id !== this.#slide?.id) await this.openSlide(slide, { ...seen, ...(job ? { job: job.id } : {}) });
    else if (seen.place) this.#viewers.show(seen.place);
  }

  #back(): void {
    this.#viewers.reload();
    void Promise.allSettled([this.#slides.refresh(), this.#models.refresh(), this.#jobs.refresh()]).then(() => {
      if (!this.#slide) void this.#restore(readAddress()).catch(fail);
      this.#updateStart();
    });
  }

  #mpp(): [number, number] | undefined {
    const [x, y] = this.#slide?.mpp ?? [];
    return x && y ? [x, y] : undefined;
  }

  #um2(): number | undefined {
    const mpp = this.#mpp();
    return mpp ? mpp[0] * mpp[1] : undefined;
  }

  async openSlide(slide: Slide, seen: Seen = {}): Promise<void> {
    if (slide.error) return;
    this.#slide = slide;
    this.#job = undefined;
    this.#jobs.watch(undefined);
    this.#panel.show(undefined);
    this.#slides.markOpen(slide.id);
    byId('slide-title', HTMLElement).textContent = slide.name;
    document.title = `${slide.name} – HistDiST`;
    this.#tools.choose('move');
    this.#measurements.clear();
    this.#overlay.set('tissue', []);
    if (narrow()) this.#slidesPanel.show(false);
    this.#stain.show(undefined, slide);
    await this.#viewers.open(slide, deepZoom(this.#api, slide.id, slide), seen.place);
    if (this.#slide !== slide) return;
    byId('welcome', HTMLElement).hidden = true;
    this.#regions.open(slide.id);
    void this.#slides.thumbnail(slide).then(
      (thumbnail) => {
        if (this.#slide === slide) this.#overview.open(slide, thumbnail);
      },
      () => undefined,
    );
    this.#showMpp(slide);
    if (this.#tissue) void this.#showTissue(true).catch(fail);
    // The stain that was made last of this slide is what one wants to see again.
    const of = this.#jobs.all.filter((job) => job.slide === slide.id);
    const job =
      (seen.job && of.find((j) => j.id === seen.job)) ||
      of.find((j) => !ended(j)) ||
      of.find((j) => j.state === 'done');
    if (job) await this.openJob(job);
    this.#updateStart();
    this.#moved();
  }

  async openJob(job: Job): Promise<void> {
    if (job.slide !== this.#slide?.id) {
      await this.openSlide(await this.#slides.get(job.slide), { job: job.id });
      return;
    }
    this.#job = job;
    this.#jobs.watch(job.id);
    this.#news(job);
    byId('job', HTMLElement).scrollIntoView({ block: 'nearest' });
    this.#keepAddress();
  }

  // #news shows the chosen job as it is now.
  #news(job: Job): void {
    if (job.id !== this.#job?.id) return;
    const before = this.#job.state;
    this.#job = job;
    this.#panel.show(job);
    if (this.#slide) this.#stain.show(job, this.#slide);
    if (before !== job.state) {
      if (ended(job)) announce(job.state === 'done' ? 'The virtual stain is finished.' : `The job ${job.state}.`);
      void this.#jobs.refresh().catch(() => undefined);
    }
  }

  #whole(): Rectangle {
    return { x: 0, y: 0, width: this.#slide?.width ?? 1, height: this.#slide?.height ?? 1 };
  }

  async #startJob(): Promise<void> {
    const model = this.#models.chosen;
    const slide = this.#slide;
    if (!model || !slide) return;
    this.#start.disabled = true;
    try {
      const name = byId('name', HTMLInputElement).value.trim();
      const preset = this.#models.preset;
      const job = await this.#api.startJob(
        {
          slide: slide.id,
          model: model.id,
          ...(preset ? { preset } : {}),
          seed: Math.max(0, Math.floor(Number(byId('seed', HTMLInputElement).value) || 0)),
          tissue: byId('tissue-choice', HTMLSelectElement).value,
          outside: byId('outside', HTMLSelectElement).value,
          ...(name ? { name } : {}),
          ...this.#regions.request(),
        },
        randomKey(),
      );
      byId('name', HTMLInputElement).value = '';
      this.#jobs.put(job);
      announce('Started.');
      await this.openJob(job);
      await this.#jobs.refresh();
    } catch (error) {
      if (error instanceof Problem && error.status === 503 && error.retryAfter > 0) {
        throw new Error(
          `${error.message} It may have room again in ${format
            .timeLeft(error.retryAfter)
            .replace(/^about /, '')
            .replace(' left', '')}.`,
          { cause: error },
        );
      }
      throw error;
    } finally {
      this.#updateStart();
    }
  }

  async #remove(job: Job): Promise<void> {
    try {
      await this.#api.request(`jobs/${job.id}`, { method: 'DELETE' });
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
    }
    if (ended(job)) {
      this.#jobs.remove(job.id);
      if (this.#job?.id === job.id) {
        this.#job = undefined;
        this.#jobs.watch(undefined);
        this.#panel.show(undefined);
        if (this.#slide) this.#stain.show(undefined, this.#slide);
      }
    }
    await this.#jobs.refresh();
    const now = this.#jobs.find(job.id);
    if (now) this.#news(now);
    this.#keepAddress();
  }

  #updateStart(): void {
    const slide = this.#slide;
    let text = '';
    if (!slide) text = 'Open a slide first.';
    else if (!this.#models.chosen) text = 'There is no model to translate with.';
    else if (!slide.mpp) text = 'The slide’s file does not say how large a pixel is, so it can’t be translated.';
    this.#start.disabled = text !== '';
    this.#start.textContent = this.#models.chosen
      ? `Make the virtual ${this.#models.chosen.marker || 'stain'}`
      : 'Make the virtual stain';
    byId('start-hint', HTMLElement).textContent = text;
  }

  async #showTissue(on: boolean): Promise<void> {
    this.#tissue = on;
    const button = byId('tissue', HTMLButtonElement);
    press(button, on);
    const slide = this.#slide;
    if (!on || !slide) {
      this.#overlay.set('tissue', []);
      return;
    }
    button.setAttribute('aria-busy', 'true');
    try {
      const text = await (await this.#api.request(`slides/${slide.id}/tissue`)).text();
      if (this.#slide !== slide || !this.#tissue) return;
      const none = /"features"\s*:\s*(\[\s*\]|null)/.test(text) || /"coordinates"\s*:\s*\[\s*\]/.test(text);
      const areas = none ? [] : readAreas(text, slide);
      // What is no tissue is shaded: the tissue keeps its colours.
      const rings = [corners(this.#whole()), ...areas.flatMap((area) => area.rings)];
      this.#overlay.set('tissue', [{ rings, closed: true, style: 'tissue' }]);
      announce(areas.length > 0 ? 'The outline of the tissue is shown.' : 'No tissue was found.');
    } catch (error) {
      this.#tissue = false;
      press(button, false);
      throw error;
    } finally {
      button.removeAttribute('aria-busy');
    }
  }

  #setMode(mode: Mode): void {
    this.#mode = mode;
    this.#stage.dataset.mode = mode;
    this.#curtain.on = mode === 'curtain';
    press(byId('mode-side', HTMLButtonElement), mode === 'side');
    press(byId('mode-curtain', HTMLButtonElement), mode === 'curtain');
    this.#keepAddress();
  }

  #onePanel(other: Panel | undefined, opened: Panel | undefined): void {
    if (narrow() && opened?.open && other?.open) other.show(false);
  }

  // #moved follows the viewers.
  #moved(): void {
    const slide = this.#slide;
    if (!slide || !this.#viewers?.slide) return;
    this.#overlay.update();
    this.#overview.update();
    const scale = this.#viewers.scale;
    const mpp = this.#mpp();
    this.#scalebar.show(mpp ? mpp[0] / scale : undefined);
    const zoom = scale >= 1 ? `${format.plain(scale)} : 1` : `1 : ${format.plain(1 / scale)}`;
    // An objective of 40× gives 0.25 µm a pixel, as scanners count.
    byId('status-zoom', HTMLElement).textContent = mpp ? `${format.plain((10 / mpp[0]) * scale)}× (${zoom})` : zoom;
    this.#keepAddress();
  }

  #showMpp(slide: Slide): void {
    const mpp = this.#mpp();
    const parts = [`${format.whole(slide.width)} × ${format.whole(slide.height)} px`];
    parts.push(mpp ? `${format.plain(mpp[0])} µm per pixel` : 'size of a pixel unknown');
    if (slide.vendor) parts.push(slide.vendor);
    byId('status-mpp', HTMLElement).textContent = parts.join(' · ');
  }

  #keepAddress(): void {
    clearTimeout(this.#addressTimer);
    this.#addressTimer = setTimeout(() => {
      if (!this.#slide || !this.#viewers.slide) return;
      writeAddress({
        slide: this.#slide.id,
        ...(this.#job ? { job: this.#job.id } : {}),
        mode: this.#mode,
        place: this.#viewers.place(),
      });
    }, 250);
  }

  #welcome(heading: string, ...text: (Node | string)[]): void {
    byId('welcome', HTMLElement).replaceChildren(make('h2', {}, heading), make('p', { class: 'empty' }, ...text));
  }

  #welcomeChoose(): void {
    if (this.#slides.all.length === 0) {
      this.#welcome(
        'No slides yet',
        'Put slides into the folder that ',
        make('code', {}, 'histdist serve --slides'),
        ' names, or upload one with the button at the top left.',
      );
    } else {
      this.#welcome(
        'Choose a slide',
        'The list is at the left. Then choose a marker at the right, ' +
          'draw a region or take the whole slide, and watch the virtual stain appear next to the H&E.',
      );
    }
  }

  #buttons(): void {
    const on = (id: string, run: () => void): void => byId(id, HTMLElement).addEventListener('click', run);
    on('mode-side', () => this.#setMode('side'));
    on('mode-curtain', () => this.#setMode('curtain'));
    on('zoom-in', () => this.#viewers.zoom(1.5));
    on('zoom-out', () => this.#viewers.zoom(1 / 1.5));
    on('zoom-fit', () => this.#viewers.fit());
    on('zoom-full', () => this.#viewers.zoomTo(1 / window.devicePixelRatio));
    on('tissue', () => void this.#showTissue(!this.#tissue).catch(fail));
    byId('translate', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#startJob().catch(fail);
    });
    for (const pane of this.#viewers.panes) {
      pane.element.addEventListener('pointermove', (event) => {
        if (!this.#viewers.slide) return;
        const box = pane.element.getBoundingClientRect();
        const { x, y } = this.#viewers.toSlide(pane, { x: event.clientX - box.left, y: event.clientY - box.top });
        const mpp = this.#mpp();
        byId('status-place', HTMLElement).textContent = mpp
          ? `${format.length(x * mpp[0])}, ${format.length(y * mpp[1])}`
          : `${format.whole(x)}, ${format.whole(y)} px`;
      });
    }
  }

  #keys(): void {
    const step = 0.2;
    const key = (
      keys: string[],
      does: string,
      run: (event: KeyboardEvent) => boolean | void,
      more: { shown?: string[]; stage?: boolean } = {},
    ) => ({ keys, does, run, ...more });
    new Shortcuts(this.#stage, [
      key(
        ['ArrowLeft', 'ArrowRight', 'ArrowUp', 'ArrowDown'],
        'Move',
        (event) => {
          const [x, y] = (
            { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] } as Record<
              string,
              [number, number]
            >
          )[event.key] ?? [0, 0];
          this.#viewers.move(x, y);
        },
        { shown: ['←', '→', '↑', '↓'], stage: true },
      ),
      key(['+', '='], 'Zoom in', () => this.#viewers.zoom(1.5), { shown: ['+'] }),
      key(['-', '_'], 'Zoom out', () => this.#viewers.zoom(1 / 1.5), { shown: ['−'] }),
      key(['0'], 'Show the whole slide', () => this.#viewers.fit()),
      key(['1'], 'One pixel of the slide is one of the screen', () =>
        this.#viewers.zoomTo(1 / window.devicePixelRatio),
      ),
      key(['s'], 'Side by side', () => this.#setMode('side')),
      key(['c'], 'Curtain', () => this.#setMode('curtain')),
      key(
        [',', '.'],
        'Move the curtain',
        (event) => this.#curtain.on && this.#curtain.move(this.#curtain.part + (event.key === '.' ? 0.05 : -0.05)),
      ),
      key(['t'], 'Outline of the tissue', () => void this.#showTissue(!this.#tissue).catch(fail)),
      key(['v'], 'Tool: move', () => this.#tools.choose('move')),
      key(['r'], 'Tool: rectangle', () => this.#tools.choose('rectangle')),
      key(['p'], 'Tool: polygon', () => this.#tools.choose('polygon')),
      key(['m'], 'Tool: measure', () => this.#tools.choose('measure')),
      key(['a'], 'Add the visible area as a region', () => this.#regions.addVisible()),
      key(['Enter'], 'Close the polygon', () => this.#tools.finish(), { stage: true }),
      key(
        ['Backspace', 'Delete'],
        'Take back a corner or a length; remove the chosen region',
        () =>
          this.#tools.back() ||
          (this.#tools.tool === 'measure' && this.#measurements.removeLast()) ||
          this.#regions.removeChosen(),
        { shown: ['Del'], stage: true },
      ),
      key(['Escape'], 'Leave out what is being drawn; leave the tool', () => this.#tools.escape(), { shown: ['Esc'] }),
      key(['g'], 'Start the virtual stain', () => this.#start.click()),
      key(['[', ']'], 'Slide before, after', (event) => {
        const slide = this.#slides.next(event.key === ']' ? 1 : -1);
        if (slide) void this.openSlide(slide).catch(fail);
      }),
      key(['l'], 'Show or hide the slides', () => this.#slidesPanel.toggle()),
      key(['k'], 'Show or hide the translation', () => this.#workPanel.toggle()),
      key(['?'], 'This list', () => byId('help', HTMLButtonElement).click()),
    ]);
  }
}

function canvas(pane: string): HTMLElement {
  const element = byId(pane, HTMLElement).querySelector<HTMLElement>('.canvas');
  if (!element) throw new Error(`#${pane} has no canvas`);
  return element;
}

void new Page().run();

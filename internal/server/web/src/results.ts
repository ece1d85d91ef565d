// The job that is chosen: its progress or its results.
import { type Api, type Job, type Measurements, ended, sentence } from './api';
import { append, byId, make } from './dom';
import { downloadLink } from './download';
import * as format from './format';
import { bar, part, stateOf, title } from './jobs';
import { fail } from './messages';
import { showProvenance } from './provenance';

export class JobPanel {
  #shown = ''; // what the panel was made of, to leave it alone if nothing has changed
  readonly #section = byId('job', HTMLElement);
  readonly #body = byId('job-body', HTMLElement);
  readonly #measured = new Map<string, Promise<Measurements>>();

  constructor(
    private readonly api: Api,
    private readonly remove: (job: Job) => Promise<void>, // cancels or deletes
    private readonly slideName: (id: string) => string,
  ) {}

  show(job: Job | undefined): void {
    this.#section.hidden = !job;
    const made = JSON.stringify(job ?? null);
    if (made === this.#shown) return;
    const before = this.#shown ? (JSON.parse(this.#shown) as Job | null) : null;
    this.#shown = made;
    if (!job) return;
    byId('job-heading', HTMLElement).textContent = title(job, this.slideName(job.slide));
    if (before?.id === job.id && before.state === job.state && job.state === 'running') {
      this.#progress(job); // the button keeps the focus
      return;
    }
    const body: (Node | string | undefined)[] = [];
    if (!ended(job)) {
      body.push(make('div', { class: 'going' }), this.#removal(job, 'Cancel'));
    } else if (job.state === 'done') {
      body.push(...this.#results(job), this.#facts(job), this.#removal(job, 'Delete with its results'));
    } else {
      if (job.state === 'failed')
        body.push(make('p', { class: 'failure', role: 'alert' }, sentence(job.error || 'the translation failed')));
      else body.push(make('p', { class: 'empty' }, 'This job was cancelled.'));
      body.push(this.#facts(job), this.#removal(job, 'Remove from the list'));
    }
    this.#body.replaceChildren();
    append(this.#body, ...body);
    if (!ended(job)) this.#progress(job);
  }

  #progress(job: Job): void {
    const box = this.#body.querySelector('.going');
    if (!box) return;
    const cancel = this.#body.querySelector<HTMLButtonElement>('.danger');
    if (job.cancelling && cancel) {
      cancel.disabled = true;
      cancel.textContent = 'Cancelling…';
    }
    if (job.state === 'queued') {
      const before =
        job.position && job.position > 1
          ? `${format.count(job.position - 1, 'job')} before this one.`
          : 'It starts as soon as the device is free.';
      box.replaceChildren(make('p', {}, make('span', {}, 'Waiting'), make('span', {}, before)));
      return;
    }
    const left = job.progress?.seconds_left;
    const text = typeof left === 'number' && left >= 0 && part(job) > 0 ? format.timeLeft(left) : 'starting';
    box.replaceChildren(bar(job, 'Progress'), make('p', {}, make('span', {}, stateOf(job)), make('span', {}, text)));
  }

  #results(job: Job): Node[] {
    const results = job.results ?? {};
    const nodes: Node[] = [];
    if (results.measurements) {
      const figures = make('div');
      figures.append(make('p', { class: 'empty' }, 'Measuring…'));
      nodes.push(figures);
      let measured = this.#measured.get(job.id);
      if (!measured) {
        measured = this.api.json<Measurements>(results.measurements);
        measured.catch(() => this.#measured.delete(job.id));
        this.#measured.set(job.id, measured);
      }
      measured.then(
        (m) => figures.replaceChildren(...figuresOf(m)),
        (error: unknown) => {
          figures.replaceChildren();
          fail(error);
        },
      );
    }
    const slide = this.slideName(job.slide).replace(/(\.ome)?\.[^.]*$/, '') || 'slide';
    const name = `${slide}-${(job.marker || 'stain').toLowerCase()}`;
    const downloads = make('div', { class: 'downloads', role: 'group', 'aria-label': 'Downloads' });
    if (results.ome_tiff) downloads.append(downloadLink(this.api, results.ome_tiff, `${name}.ome.tiff`, 'OME-TIFF'));
    if (results.png) downloads.append(downloadLink(this.api, results.png, `${name}.png`, 'PNG'));
    if (results.geojson) downloads.append(downloadLink(this.api, results.geojson, `${name}.geojson`, 'GeoJSON'));
    if (results.provenance) {
      const address = results.provenance;
      const button = make('button', { type: 'button' }, 'Provenance');
      button.addEventListener(
        'click',
        () => void showProvenance(this.api, address, `${name}-provenance.json`).catch(fail),
      );
      downloads.append(button);
    }
    if (downloads.childElementCount > 0) nodes.push(downloads);
    return nodes;
  }

  #facts(job: Job): Node {
    const facts: [string, string | undefined][] = [
      ['Slide', this.slideName(job.slide)],
      ['Preset', job.preset],
      ['Seed', job.seed === undefined ? undefined : String(job.seed)],
      ['Made', job.ended ? format.moments(job.ended) : undefined],
      ['Kept until', job.expires ? format.moments(job.expires) : undefined],
    ];
    const list = make('dl', { class: 'facts' });
    for (const [name, value] of facts) {
      if (value) append(list, make('dt', {}, name), make('dd', {}, value));
    }
    return list;
  }

  #removal(job: Job, text: string): Node {
    const button = make('button', { type: 'button', class: 'quiet danger' }, text);
    button.addEventListener('click', () => {
      // Results take long to make: the second press deletes them.
      if (job.state === 'done' && !button.dataset.sure) {
        button.dataset.sure = 'yes';
        button.textContent = 'Delete: press again';
        setTimeout(() => {
          delete button.dataset.sure;
          button.textContent = text;
        }, 4000);
        return;
      }
      button.disabled = true;
      this.remove(job).catch((error: unknown) => {
        button.disabled = false;
        fail(error);
      });
    });
    return button;
  }
}

function figuresOf(m: Measurements): Node[] {
  const list = make('dl', { class: 'figures' });
  const add = (name: string, value: string, unit: string): void => {
    list.append(make('div', {}, make('dt', {}, name), make('dd', {}, value, make('small', {}, ` ${unit}`))));
  };
  const is = (value: number | null | undefined): value is number => typeof value === 'number';
  if (is(m.dab_positive_share)) add('DAB-positive area', format.share(m.dab_positive_share), '%');
  if (is(m.h_score)) add('H-score', format.whole(m.h_score), '/ 300');
  if (is(m.ki67_index)) add('Ki67 index', format.share(m.ki67_index / 100), '%');
  if (is(m.positive_share_nuclei)) add('Positive nuclei', format.share(m.positive_share_nuclei), '%');
  if (is(m.nuclei)) add('Nuclei', format.whole(m.nuclei), '');
  if (is(m.area_mm2)) add('Area', format.area(m.area_mm2 * 1e6).replace(' mm²', ''), 'mm²');
  const said = make('p', { class: 'empty' }, 'Of the virtual stain: no measurement of the tissue.');
  if (m.definitions && /^https?:/.test(new URL(m.definitions, document.baseURI).protocol)) {
    said.append(' ', make('a', { href: m.definitions, target: '_blank', rel: 'noreferrer' }, 'Definitions'));
  }
  return [list, said];
}

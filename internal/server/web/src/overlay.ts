// Shapes over both viewers, in pixels of the slide: tissue, regions, what is being drawn, lengths.
import type { Pane, Point, Viewers } from './viewer';
import { makeSVG } from './dom';

export interface Shape {
  rings: Point[][];
  closed: boolean;
  style: string;
  halo?: boolean;
  label?: { text: string; at: Point };
}

// Layers lie over each other in this order.
const LAYERS = ['tissue', 'translated', 'region', 'measure', 'draft'] as const;
export type Layer = (typeof LAYERS)[number];

interface Drawn {
  pane: Pane;
  moved: SVGGElement;
  layers: Map<Layer, SVGGElement>;
  texts: SVGGElement;
}

export class Overlay {
  readonly #drawn: Drawn[] = [];
  readonly #shapes = new Map<Layer, Shape[]>();

  constructor(private readonly viewers: Viewers) {
    for (const pane of viewers.panes) {
      const svg = makeSVG('svg', { class: 'shapes', 'aria-hidden': 'true' });
      const moved = makeSVG('g');
      const texts = makeSVG('g');
      const layers = new Map<Layer, SVGGElement>();
      for (const layer of LAYERS) {
        const group = makeSVG('g');
        layers.set(layer, group);
        moved.append(group);
      }
      svg.append(moved, texts);
      pane.element.append(svg);
      this.#drawn.push({ pane, moved, layers, texts });
    }
  }

  set(layer: Layer, shapes: Shape[]): void {
    this.#shapes.set(layer, shapes);
    for (const { layers } of this.#drawn) {
      const group = layers.get(layer);
      group?.replaceChildren(...shapes.flatMap(draw));
    }
    this.update();
  }

  // update follows the viewers.
  update(): void {
    const scale = this.viewers.scale;
    for (const { pane, moved, texts } of this.#drawn) {
      if (!pane.ready) continue;
      const { x, y } = this.viewers.origin(pane);
      moved.setAttribute('transform', `matrix(${scale} 0 0 ${scale} ${x} ${y})`);
      const labels: SVGTextElement[] = [];
      for (const shapes of this.#shapes.values()) {
        for (const { label } of shapes) {
          if (!label) continue;
          const text = makeSVG('text', {
            x: String(x + label.at.x * scale + 8),
            y: String(y + label.at.y * scale - 8),
          });
          text.textContent = label.text;
          labels.push(text);
        }
      }
      texts.replaceChildren(...labels);
    }
  }
}

function draw(shape: Shape): SVGPathElement[] {
  const d = shape.rings
    .filter((ring) => ring.length > 0)
    .map((ring) => `M${ring.map((p) => `${round(p.x)} ${round(p.y)}`).join('L')}${shape.closed ? 'Z' : ''}`)
    .join('');
  const line = makeSVG('path', { class: shape.style, d });
  return shape.halo ? [makeSVG('path', { class: 'halo', d }), line] : [line];
}

const round = (value: number): number => Math.round(value * 10) / 10;

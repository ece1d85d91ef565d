// The tools of the toolbar: what a pointer over the slide does. Wheel and pinch zoom with every tool.
import { byId, press } from './dom';
import type { Measurements } from './measure';
import type { Overlay } from './overlay';
import type { Regions } from './region';
import type { Pane, Point, Viewers } from './viewer';

export type Tool = 'move' | 'rectangle' | 'polygon' | 'measure';
const TOOLS: Tool[] = ['move', 'rectangle', 'polygon', 'measure'];

const SAID: Record<Tool, string> = {
  move: '',
  rectangle: 'Drag from one corner of the rectangle to the other. Esc ends drawing.',
  polygon: 'Click the corners; double-click, Enter, or the first corner closes the polygon.',
  measure: 'Drag, or click both ends, to measure. Esc ends measuring.',
};

// What OpenSeadragon's events of the canvas have in common.
interface CanvasEvent {
  position: { x: number; y: number };
  quick?: boolean;
  preventDefaultAction?: boolean;
}

const CLOSE = 14; // pixels of the screen: as near to a corner as a finger hits

export class Tools {
  #tool: Tool = 'move';
  #points: Point[] = [];
  #pressed: Point | undefined; // where a drag began
  #pressedAt: Point | undefined; // the same on the screen
  #hover: Point | undefined;
  #dragged = false;

  constructor(
    private readonly stage: HTMLElement,
    private readonly viewers: Viewers,
    private readonly overlay: Overlay,
    private readonly regions: Regions,
    private readonly measurements: Measurements,
  ) {
    for (const tool of TOOLS) {
      byId(`tool-${tool}`, HTMLButtonElement).addEventListener('click', () => this.choose(tool));
    }
    for (const pane of viewers.panes) this.#listen(pane);
    this.choose('move');
  }

  get tool(): Tool {
    return this.#tool;
  }

  choose(tool: Tool): void {
    this.#tool = tool;
    this.#reset();
    this.stage.dataset.tool = tool;
    for (const other of TOOLS) press(byId(`tool-${other}`, HTMLButtonElement), other === tool);
    const said = byId('drawing', HTMLElement);
    said.textContent = SAID[tool];
    said.hidden = tool === 'move';
  }

  // escape leaves out what is being drawn, or the tool.
  escape(): void {
    if (this.#points.length > 0) this.#reset();
    else this.choose('move');
  }

  // finish closes the polygon that is being drawn, and reports whether there was one.
  finish(): boolean {
    if (this.#tool !== 'polygon' || this.#points.length < 3) return false;
    this.regions.addPolygon(this.#points);
    this.choose('move');
    return true;
  }

  // back takes back the last corner of a polygon, and reports whether there was one.
  back(): boolean {
    if (this.#points.pop() === undefined) return false;
    this.#draft();
    return true;
  }

  #reset(): void {
    this.#points = [];
    this.#pressed = this.#pressedAt = this.#hover = undefined;
    this.#dragged = false;
    this.overlay.set('draft', []);
  }

  #listen(pane: Pane): void {
    const on = (name: string, handle: (event: CanvasEvent) => void): void => {
      pane.viewer.addHandler(name as 'canvas-drag', (event: unknown) => {
        if (this.#tool !== 'move' && this.viewers.slide) handle(event as CanvasEvent);
      });
    };
    const at = (event: CanvasEvent): Point => this.viewers.toSlide(pane, event.position);

    on('canvas-press', (event) => {
      this.#pressedAt = { x: event.position.x, y: event.position.y };
      this.#pressed = at(event);
      this.#dragged = false;
    });
    on('canvas-drag', (event) => {
      event.preventDefaultAction = true;
      if (!this.#pressed) return;
      this.#hover = at(event);
      if (this.#tool === 'polygon') return;
      if (!this.#dragged && this.#near(this.#pressedAt, event.position, 4)) return;
      this.#dragged = true;
      this.#points = [this.#pressed];
      this.#draft();
    });
    on('canvas-drag-end', (event) => {
      event.preventDefaultAction = true; // no flick
      const from = this.#pressed;
      if (!from || !this.#dragged) return;
      this.#end(from, at(event));
    });
    on('canvas-click', (event) => {
      event.preventDefaultAction = true;
      if (!event.quick || this.#dragged) return;
      this.#click(pane, at(event));
    });
    on('canvas-double-click', (event) => {
      event.preventDefaultAction = true;
      this.finish();
    });
    on('canvas-pinch', () => {
      if (this.#tool !== 'polygon') this.#reset();
    });
    pane.element.addEventListener('pointermove', (event) => {
      if (this.#points.length === 0 || event.buttons !== 0) return;
      const box = pane.element.getBoundingClientRect();
      this.#hover = this.viewers.toSlide(pane, { x: event.clientX - box.left, y: event.clientY - box.top });
      this.#draft();
    });
  }

  #near(a: Point | undefined, b: Point, pixels: number): boolean {
    return a !== undefined && Math.hypot(a.x - b.x, a.y - b.y) < pixels;
  }

  #click(pane: Pane, point: Point): void {
    const [first] = this.#points;
    const near = CLOSE / this.viewers.scale;
    switch (this.#tool) {
      case 'polygon': {
        const last = this.#points.at(-1);
        if (this.#points.length >= 3 && this.#near(first, point, near)) {
          this.finish();
          return;
        }
        if (this.#near(last, point, 3 / this.viewers.scale)) return; // the second click of a double click
        this.#points.push(point);
        this.#hover = point;
        this.#draft();
        return;
      }
      case 'rectangle':
      case 'measure':
        if (first) this.#end(first, point);
        else {
          this.#points = [point];
          this.#hover = point;
          this.#draft();
        }
        return;
      default:
        pane.viewer.canvas.focus();
    }
  }

  #end(a: Point, b: Point): void {
    if (this.#tool === 'rectangle') {
      this.regions.addRectangle(a, b);
      this.choose('move');
    } else if (this.#tool === 'measure') {
      this.measurements.add(a, b);
      this.#reset();
    }
  }

  #draft(): void {
    const [first] = this.#points;
    if (!first) {
      this.overlay.set('draft', []);
      return;
    }
    const hover = this.#hover ?? first;
    if (this.#tool === 'measure') {
      this.overlay.set('draft', [this.measurements.shape(first, hover, 'draft')]);
      return;
    }
    const ring =
      this.#tool === 'rectangle'
        ? [first, { x: hover.x, y: first.y }, hover, { x: first.x, y: hover.y }]
        : [...this.#points, hover];
    this.overlay.set('draft', [{ rings: [ring], closed: true, halo: true, style: 'draft' }]);
  }
}

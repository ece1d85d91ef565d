// Two viewers, the H&E and the virtual stain, that always show the same place at the same magnification. The page's
// coordinates are pixels of the slide's full resolution; OpenSeadragon's have the slide's width as 1.
import OpenSeadragon from 'openseadragon';
import type { Rectangle } from './api';
import type { Place } from './address';

export interface Point {
  x: number;
  y: number;
}

// An Image is a Deep Zoom image of the server. place is where it lies on the slide; all of it without.
export interface Image {
  width: number;
  height: number;
  tile(level: number, x: number, y: number): string;
}

const TILE = 256;

function source(image: Image): OpenSeadragon.TileSource {
  const levels = Math.ceil(Math.log2(Math.max(image.width, image.height, 2)));
  return new OpenSeadragon.TileSource({
    width: image.width,
    height: image.height,
    tileSize: TILE,
    tileOverlap: 0,
    minLevel: Math.min(levels, Math.log2(TILE)), // one tile has all of the image there
    maxLevel: levels,
    getTileUrl: (level: number, x: number, y: number) => image.tile(level, x, y),
  } as OpenSeadragon.TileSourceOptions);
}

// OpenSeadragon adds an inline style sheet for touch screens, which the page's policy refuses with an error in the
// console, unless it finds one that is already there. This one is found, but it is no style sheet.
function withoutInlineStyle(): void {
  const mark = document.createElementNS('urn:histdist', 'style');
  mark.setAttribute('data-openseadragon-mobile-css', 'true');
  document.head.append(mark);
}

// A Pane is one of the two viewers.
export class Pane {
  readonly viewer: OpenSeadragon.Viewer;
  readonly element: HTMLElement;

  constructor(element: HTMLElement, label: string, headers: Record<string, string>) {
    this.element = element;
    const gestures = { clickToZoom: false, dblClickToZoom: true, flickEnabled: true, pinchRotate: false };
    this.viewer = new OpenSeadragon.Viewer({
      element,
      drawer: 'canvas',
      showNavigationControl: false,
      showNavigator: false,
      animationTime: matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 0.35,
      springStiffness: 9,
      minZoomImageRatio: 0.5,
      maxZoomPixelRatio: 8,
      visibilityRatio: 0.25,
      preserveImageSizeOnResize: true,
      zoomPerScroll: 1.25,
      gestureSettingsMouse: gestures,
      gestureSettingsTouch: gestures,
      gestureSettingsPen: gestures,
      gestureSettingsUnknown: gestures,
      loadTilesWithAjax: true, // only requests of scripts can carry a token
      ajaxHeaders: headers,
      imageLoaderLimit: 4, // HTTP/1.1 has six connections, and events need one
      tileRetryMax: 2,
      tileRetryDelay: 1500,
    } as OpenSeadragon.Options);
    // Keys are the page's (shortcuts.ts), the same wherever the focus is.
    this.viewer.addHandler('canvas-key', (event) => {
      const key = event as {
        preventDefaultAction: boolean;
        preventVerticalPan: boolean;
        preventHorizontalPan: boolean;
      };
      key.preventDefaultAction = key.preventVerticalPan = key.preventHorizontalPan = true;
    });
    const canvas = this.viewer.canvas as HTMLElement;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-label', `${label}: arrow keys move, plus and minus zoom`);
  }

  get ready(): boolean {
    return this.viewer.world.getItemCount() > 0;
  }

  add(
    image: Image,
    on: Rectangle,
    slideWidth: number,
    options: { opacity?: number },
  ): Promise<OpenSeadragon.TiledImage> {
    return new Promise((resolve, reject) => {
      this.viewer.addTiledImage({
        tileSource: source(image),
        x: on.x / slideWidth,
        y: on.y / slideWidth,
        width: on.width / slideWidth,
        ...options,
        success: (event: unknown) => resolve((event as { item: OpenSeadragon.TiledImage }).item),
        error: (event: unknown) => reject(new Error((event as { message?: string }).message ?? 'no image')),
      } as OpenSeadragon.TileSourceSpecifier);
    });
  }
}

export interface SlideSize {
  width: number;
  height: number;
}

export class Viewers {
  readonly he: Pane;
  readonly stain: Pane;
  #slide: SlideSize | undefined;
  #leader: Pane;
  #opening = 0;
  #result: OpenSeadragon.TiledImage | undefined;
  #resultOf = 0;
  #filling: HTMLImageElement | undefined;

  // listener.moved is called whenever another place may be seen, failed when a tile can't be had.
  constructor(
    he: HTMLElement,
    stain: HTMLElement,
    headers: Record<string, string>,
    private readonly listener: { moved(): void; failed(): void },
  ) {
    withoutInlineStyle();
    this.he = new Pane(he, 'H&E', headers);
    this.stain = new Pane(stain, 'Virtual stain', headers);
    this.#leader = this.he;
    for (const pane of this.panes) {
      // Who is touched leads; the other one follows at once, without an animation of its own.
      const lead = (): void => {
        this.#leader = pane;
      };
      for (const type of ['pointerdown', 'wheel'] as const)
        pane.element.addEventListener(type, lead, { capture: true, passive: true });
      pane.viewer.addHandler('viewport-change', () => {
        if (pane === this.#leader) this.#follow();
        this.listener.moved();
      });
      pane.viewer.addHandler('tile-load-failed', () => this.listener.failed());
      pane.viewer.addHandler('resize', () =>
        setTimeout(() => {
          this.#follow();
          this.listener.moved();
        }),
      );
    }
  }

  get panes(): [Pane, Pane] {
    return [this.he, this.stain];
  }

  get slide(): SlideSize | undefined {
    return this.he.ready ? this.#slide : undefined;
  }

  setHeaders(headers: Record<string, string>): void {
    for (const pane of this.panes) pane.viewer.setAjaxHeaders(headers, true);
    this.reload();
  }

  // reload asks again for tiles that could not be had.
  reload(): void {
    for (const pane of this.panes) pane.viewer.world.resetItems();
  }

  async open(slide: SlideSize, image: Image, place?: Place): Promise<void> {
    const opening = ++this.#opening;
    this.#slide = slide;
    this.clearStain();
    for (const pane of this.panes) pane.viewer.world.removeAll();
    const all = { x: 0, y: 0, ...slide };
    await Promise.all([
      this.he.add(image, all, slide.width, {}),
      this.stain.add(image, all, slide.width, { opacity: 0.22 }), // for orientation, where there is no stain
    ]);
    if (opening !== this.#opening) return;
    if (place) this.show(place, true);
    else this.fit(true);
  }

  // #follow moves the other pane to where the leader is.
  #follow(): void {
    const leader = this.#leader;
    const follower = leader === this.he ? this.stain : this.he;
    if (!leader.ready || !follower.ready) return;
    const from = leader.viewer.viewport;
    const to = follower.viewer.viewport;
    const zoom = (from.getZoom(true) * from.getContainerSize().x) / Math.max(1, to.getContainerSize().x);
    const center = from.getCenter(true);
    const old = to.getCenter(true);
    const near = 1e-9;
    if (
      Math.abs(zoom / to.getZoom(true) - 1) < near &&
      Math.abs(old.x - center.x) < near &&
      Math.abs(old.y - center.y) < near
    )
      return;
    to.zoomTo(zoom, undefined, true);
    to.panTo(center, true);
  }

  // scale is how many pixels of the screen one of the slide has.
  get scale(): number {
    if (!this.#slide) return 1;
    const viewport = this.he.viewer.viewport;
    return (viewport.getZoom(true) * viewport.getContainerSize().x) / this.#slide.width;
  }

  // toSlide is the pixel of the slide at a point of a pane.
  toSlide(pane: Pane, at: Point): Point {
    const width = this.#slide?.width ?? 1;
    const point = pane.viewer.viewport.pointFromPixel(new OpenSeadragon.Point(at.x, at.y), true);
    return { x: point.x * width, y: point.y * width };
  }

  // origin is where the slide's first pixel is in a pane.
  origin(pane: Pane): Point {
    const point = pane.viewer.viewport.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    return { x: point.x, y: point.y };
  }

  // visible is what the H&E's pane shows, in pixels of the slide; it may go beyond it.
  visible(): Rectangle {
    const width = this.#slide?.width ?? 1;
    const bounds = this.he.viewer.viewport.getBounds(true);
    return { x: bounds.x * width, y: bounds.y * width, width: bounds.width * width, height: bounds.height * width };
  }

  place(): Place {
    const { x, y, width, height } = this.visible();
    return { x: x + width / 2, y: y + height / 2, width };
  }

  show(place: Place, immediately = false): void {
    if (!this.#slide) return;
    this.#leader = this.he;
    const viewport = this.he.viewer.viewport;
    viewport.zoomTo(this.#slide.width / place.width, undefined, immediately);
    viewport.panTo(new OpenSeadragon.Point(place.x / this.#slide.width, place.y / this.#slide.width), immediately);
    viewport.applyConstraints(immediately);
  }

  showRectangle(on: Rectangle): void {
    const { width, height } = this.visible();
    const ratio = Math.max(on.width / width, on.height / height) * 1.15;
    this.show({ x: on.x + on.width / 2, y: on.y + on.height / 2, width: width * ratio });
  }

  fit(immediately = false): void {
    this.#leader = this.he;
    this.he.viewer.viewport.goHome(immediately);
  }

  zoom(factor: number): void {
    this.#leader = this.he;
    this.he.viewer.viewport.zoomBy(factor);
    this.he.viewer.viewport.applyConstraints();
  }

  // zoomTo shows a pixel of the slide on so many of the screen.
  zoomTo(scale: number): void {
    this.zoom(scale / this.scale);
  }

  // move moves by parts of what is visible.
  move(x: number, y: number): void {
    this.#leader = this.he;
    const viewport = this.he.viewer.viewport;
    const bounds = viewport.getBounds();
    viewport.panBy(new OpenSeadragon.Point(x * bounds.width, y * bounds.height));
    viewport.applyConstraints();
  }

  // fill shows a thumbnail of a stain that is being made, an image of a rectangle of the slide.
  fill(address: string, on: Rectangle): void {
    const width = this.#slide?.width ?? 1;
    if (this.#filling) {
      const old = this.#filling.src;
      this.#filling.src = address;
      if (old.startsWith('blob:')) URL.revokeObjectURL(old);
      return;
    }
    const image = document.createElement('img');
    image.className = 'filling';
    image.alt = '';
    image.src = address;
    this.#filling = image;
    this.stain.viewer.addOverlay({
      element: image,
      location: new OpenSeadragon.Rect(on.x / width, on.y / width, on.width / width, on.height / width),
    });
  }

  #clearFilling(): void {
    if (!this.#filling) return;
    this.stain.viewer.removeOverlay(this.#filling);
    if (this.#filling.src.startsWith('blob:')) URL.revokeObjectURL(this.#filling.src);
    this.#filling = undefined;
  }

  clearStain(): void {
    this.#resultOf++;
    this.#clearFilling();
    if (this.#result) this.stain.viewer.world.removeItem(this.#result);
    this.#result = undefined;
  }

  // showStain shows a finished stain. Of it only what is in the rectangle clip is seen.
  async showStain(image: Image, on: Rectangle, clip?: Rectangle | null): Promise<void> {
    const of = ++this.#resultOf;
    const item = await this.stain.add(image, on, this.#slide?.width ?? 1, {});
    if (of !== this.#resultOf) {
      this.stain.viewer.world.removeItem(item);
      return;
    }
    if (this.#result) this.stain.viewer.world.removeItem(this.#result);
    this.#result = item;
    if (clip) {
      const scale = image.width / on.width;
      item.setClip(
        new OpenSeadragon.Rect(
          (clip.x - on.x) * scale,
          (clip.y - on.y) * scale,
          clip.width * scale,
          clip.height * scale,
        ),
      );
    }
    const loaded = (): void => {
      if (of === this.#resultOf) this.#clearFilling();
    };
    if (item.getFullyLoaded()) loaded();
    else item.addOnceHandler('fully-loaded-change', loaded);
  }

  get hasStain(): boolean {
    return this.#result !== undefined;
  }
}

// Pixels in a browser page, to compare images of the server.
import type { Page } from '@playwright/test';

export interface Shift {
  x: number;
  y: number;
  likeness: number;
}

// shiftOf finds the shift, of up to 6 pixels in each direction, at which two images of the same size are most alike, by
// the correlation of how dark they are. The landmarks are nuclei, which are dark in the H&E and in the stain.
export async function shiftOf(page: Page, address: [string, string]): Promise<Shift> {
  return page.evaluate(async ([first, second]) => {
    const dark = async (address: string): Promise<{ width: number; height: number; values: Float64Array }> => {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`${address}: ${response.status}`);
      const bitmap = await createImageBitmap(await response.blob());
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      const context = canvas.getContext('2d');
      if (!context) throw new Error('no canvas');
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      const raw = new Float64Array(bitmap.width * bitmap.height);
      for (let i = 0; i < raw.length; i++)
        raw[i] = 765 - (data[4 * i] ?? 0) - (data[4 * i + 1] ?? 0) - (data[4 * i + 2] ?? 0);
      return { width: bitmap.width, height: bitmap.height, values: raw };
    };
    const [a, b] = [await dark(first), await dark(second)];
    if (a.width !== b.width || a.height !== b.height)
      throw new Error(`${a.width}×${a.height} and ${b.width}×${b.height}`);
    const most = 6;
    let best = { x: 0, y: 0, likeness: -2 };
    for (let dy = -most; dy <= most; dy++) {
      for (let dx = -most; dx <= most; dx++) {
        let [n, sa, sb, saa, sbb, sab] = [0, 0, 0, 0, 0, 0];
        for (let y = most; y < a.height - most; y++) {
          for (let x = most; x < a.width - most; x++) {
            const va = a.values[y * a.width + x] ?? 0;
            const vb = b.values[(y + dy) * a.width + x + dx] ?? 0;
            n++;
            sa += va;
            sb += vb;
            saa += va * va;
            sbb += vb * vb;
            sab += va * vb;
          }
        }
        const likeness = (n * sab - sa * sb) / Math.sqrt((n * saa - sa * sa) * (n * sbb - sb * sb) || 1);
        if (likeness > best.likeness) best = { x: dx, y: dy, likeness };
      }
    }
    return best;
  }, address);
}

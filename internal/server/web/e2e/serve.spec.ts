// What a pathologist does, in a browser, with the program and the model in it. The page's own policy is in force, so
// inline scripts and styles would be errors in the console, which fail every test.
import { type Locator, type Page, expect, test as base } from '@playwright/test';
import axe from 'axe-core';
import { readFile } from 'node:fs/promises';
import { shiftOf } from './pixels';
import { Server, TOKEN } from './server';

interface Job {
  id: string;
  state: string;
  region: { x: number; y: number; width: number; height: number };
  results: { image: string };
}

// allowed matches errors that a test causes on purpose.
const test = base.extend<{ allowed: RegExp | undefined }, { server: Server }>({
  allowed: [undefined, { option: true }],
  server: [
    async ({}, use) => {
      const server = await Server.start();
      await use(server);
      await server.remove();
    },
    { scope: 'worker' },
  ],
  page: async ({ page, allowed }, use) => {
    const errors: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(`${message.text()} ${message.location().url}`);
    });
    page.on('pageerror', (error) => errors.push(String(error)));
    await use(page);
    expect(
      errors.filter((text) => !allowed?.test(text)),
      'errors in the console',
    ).toEqual([]);
  },
});

// serious lists what axe finds serious or worse.
async function serious(page: Page): Promise<string[]> {
  await page.evaluate(axe.source); // as the debugger does: the page's policy stays in force
  const { violations } = await page.evaluate(() => (window as unknown as { axe: typeof axe }).axe.run(document));
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

async function open(page: Page, server: Server): Promise<void> {
  await page.goto(server.address);
  await page
    .locator('#slides')
    .getByRole('button', { name: /breast/ })
    .click();
  await expect(page.locator('#welcome')).toBeHidden();
  await expect(page.locator('#scalebar')).toBeVisible();
}

// drag draws from one place of the H&E's pane to another, in parts of its size.
async function drag(page: Page, from: [number, number], to: [number, number]): Promise<void> {
  const box = await boxOf(page.locator('#pane-he'));
  const at = ([x, y]: [number, number]): [number, number] => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at([(from[0] + to[0]) / 2, (from[1] + to[1]) / 2]), { steps: 4 });
  await page.mouse.move(...at(to), { steps: 4 });
  await page.mouse.up();
}

async function boxOf(locator: Locator): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await locator.boundingBox();
  if (!box) throw new Error('not visible');
  return box;
}

// A pane's colours, from a screenshot of it: how much of it is brown or blue rather than the H&E's pink, say.
async function colours(locator: Locator): Promise<string> {
  return (await locator.screenshot()).toString('base64');
}

async function state(page: Page, server: Server): Promise<Job> {
  const jobs = (await (await page.request.get(`${server.address}api/v1/jobs`)).json()) as Job[];
  const [newest] = jobs;
  if (!newest) throw new Error('no job');
  return newest;
}

test('from the slide to the stain and its download', async ({ page, server }) => {
  await open(page, server);
  await expect(page.locator('#notice')).toHaveText('Research use only. Not for diagnosis.');
  await expect(page.locator('#status-mpp')).toContainText('768 × 640 px · 0.5 µm per pixel');
  expect(await serious(page)).toEqual([]);

  // A region of the middle.
  await page.keyboard.press('r');
  await drag(page, [0.3, 0.4], [0.7, 0.6]);
  await expect(page.locator('#regions li')).toHaveCount(1);
  await expect(page.locator('#area-regions')).toBeChecked();
  await expect(page.locator('#regions-total')).toContainText('mm²');

  // Its stain.
  const empty = await colours(page.locator('#pane-stain .canvas'));
  await page.getByRole('radio', { name: /fast/i }).check();
  await page.getByRole('button', { name: /^Make the virtual/ }).click();
  await expect(page.locator('#job')).toBeVisible();
  await expect(page.locator('#jobs .state')).toHaveText('Done', { timeout: 600_000 });
  await expect(page.locator('.figures')).toContainText('DAB-positive area');
  await expect(page.locator('.figures')).toContainText('H-score');
  await expect(page.locator('#stain-hint')).toBeHidden();
  await expect
    .poll(() => colours(page.locator('#pane-stain .canvas')), { message: 'the stain appears' })
    .not.toBe(empty);
  expect(await serious(page)).toEqual([]);

  // The curtain, with pointer and keys.
  await page.keyboard.press('c');
  const curtain = page.getByRole('slider', { name: /Curtain/ });
  await expect(curtain).toHaveAttribute('aria-valuenow', '50');
  await curtain.press('ArrowLeft');
  await expect(curtain).toHaveAttribute('aria-valuenow', '48');
  await curtain.press('End');
  await expect(curtain).toHaveAttribute('aria-valuenow', '100');
  const handle = await boxOf(curtain);
  const stage = await boxOf(page.locator('#stage'));
  await page.mouse.move(stage.x + stage.width - 2, handle.y + 200);
  await page.mouse.down();
  await page.mouse.move(stage.x + 0.25 * stage.width, handle.y + 200, { steps: 5 });
  await page.mouse.up();
  await expect(curtain).toHaveAttribute('aria-valuenow', '25');
  expect(await serious(page)).toEqual([]);

  // The download has the slide's size, and what is dark in it is where the H&E is dark.
  const job = await state(page, server);
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'OME-TIFF' }).click(),
  ]);
  expect(download.suggestedFilename()).toMatch(/\.ome\.tiff$/);
  const file = await readFile(await download.path());
  const upload = await page.request.post(`${server.address}api/v1/uploads`, {
    data: file,
    headers: { 'Content-Type': 'application/octet-stream' },
  });
  expect(upload.status(), await upload.text()).toBe(201);
  const uploaded = (await upload.json()) as { id: string; width: number; height: number; mpp: [number, number] };
  expect([uploaded.width, uploaded.height]).toEqual([768, 640]);
  expect(uploaded.mpp[0]).toBeCloseTo(0.5, 3);
  const slide = new URLSearchParams(new URL(page.url()).hash.slice(1)).get('slide') ?? '';
  const { x, y, width, height } = job.region;
  const part = (id: string): string =>
    `${server.address}api/v1/iiif/${id}/${x},${y},${width},${height}/max/0/default.jpg`;
  const shift = await shiftOf(page, [part(slide), part(uploaded.id)]);
  expect(shift, 'the stain lies on the H&E').toMatchObject({ x: 0, y: 0 });
  expect(shift.likeness).toBeGreaterThan(0.3);

  // Where it came from.
  await page.getByRole('button', { name: 'Provenance' }).click();
  await expect(page.locator('#provenance')).toContainText('virtual stain, research use only');
  expect(await serious(page)).toEqual([]);
  await page.keyboard.press('Escape');

  // The address leads back to what was seen.
  await expect.poll(() => page.url()).toContain('job=');
  await page.reload();
  await expect(page.locator('#job-heading')).toBeVisible();
  await expect(page.locator('#stage')).toHaveAttribute('data-mode', 'curtain');
});

test('both viewers show the same place', async ({ page, server }) => {
  await open(page, server);
  const places = (): Promise<(string | null)[]> =>
    page.locator('.shapes > g:first-child').evaluateAll((groups) => groups.map((g) => g.getAttribute('transform')));
  const before = await places();
  for (const pane of ['#pane-he', '#pane-stain']) {
    const box = await boxOf(page.locator(pane));
    await page.mouse.move(box.x + box.width / 3, box.y + box.height / 2);
    await page.mouse.wheel(0, -300);
    await expect
      .poll(async () => {
        const [he, stain] = await places();
        return he !== before[0] && he === stain;
      })
      .toBe(true);
  }
});

test('regions: polygon, export, import, removal; lengths; tissue', async ({ page, server }) => {
  await open(page, server);
  const box = await boxOf(page.locator('#pane-he'));
  const click = (x: number, y: number): Promise<void> =>
    page.mouse.click(box.x + x * box.width, box.y + y * box.height);
  await page.getByRole('button', { name: 'Draw a polygon' }).click();
  await click(0.3, 0.35);
  await click(0.7, 0.4);
  await click(0.5, 0.65);
  await page.keyboard.press('Enter');
  await expect(page.locator('#regions li')).toHaveCount(1);

  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Export' }).click(),
  ]);
  const exported = await readFile(await download.path());
  const { features } = JSON.parse(exported.toString()) as {
    features: { geometry: { type: string; coordinates: number[][][] } }[];
  };
  expect(features[0]?.geometry.type).toBe('Polygon');
  expect(features[0]?.geometry.coordinates[0]).toHaveLength(4);

  await page
    .locator('#region-import')
    .setInputFiles({ name: 'again.geojson', mimeType: 'application/geo+json', buffer: exported });
  await expect(page.locator('#regions li')).toHaveCount(2);
  await page.locator('#region-import').setInputFiles({
    name: 'line.geojson',
    mimeType: 'application/geo+json',
    buffer: Buffer.from('{"type":"LineString","coordinates":[[1,1],[5,5]]}'),
  });
  await expect(page.locator('.message.error')).toContainText('There are no areas in this file; it has LineString.');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await page
    .getByRole('button', { name: /^Remove/ })
    .first()
    .click();
  await expect(page.locator('#regions li')).toHaveCount(1);

  // A length that is known: the slide's width fills the pane after "0", less a margin.
  await page.keyboard.press('m');
  await drag(page, [0.2, 0.5], [0.8, 0.5]);
  await expect(page.locator('.shapes text').first()).toHaveText(/^\d+(\.\d)? µm$/);
  const um = parseFloat((await page.locator('.shapes text').first().textContent()) ?? '');
  const bar = await boxOf(page.locator('#scalebar span'));
  const scale = parseFloat((await page.locator('#scalebar').textContent()) ?? '') / bar.width;
  expect(Math.abs(um - 0.6 * box.width * scale)).toBeLessThan(0.03 * um);

  await page.keyboard.press('Escape');
  await page.keyboard.press('t');
  await expect(page.locator('.shapes path.tissue').first()).toBeAttached();
  await expect(page.locator('.shapes path.tissue').first()).toHaveAttribute('d', /^M/);

  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Keyboard shortcuts' })).toBeVisible();
  expect(await serious(page)).toEqual([]);
});

test.describe('a job that is stopped', () => {
  test.use({ allowed: /Failed to load resource|ERR_|Tile .* failed to load/i });

  test('goes on after a restart of the server, and can be cancelled', async ({ page, server }) => {
    await open(page, server);
    await page.locator('#area-whole').check();
    await page.getByRole('radio', { name: /paper/i }).check();
    await page.getByRole('button', { name: /^Make the virtual/ }).click();
    await expect(page.locator('#job .going')).toBeVisible();
    await server.kill();
    await expect(page.locator('#offline')).toBeVisible();
    await server.run();
    await expect(page.locator('#offline')).toBeHidden();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await expect(page.locator('#jobs .state').first()).toHaveText('Cancelled');
    await expect(page.locator('#job-body')).toContainText('cancelled');
  });
});

test.describe('with a token', () => {
  test.use({ allowed: /401/ });

  test('the page asks for it, and again if it is wrong', async ({ page }) => {
    const server = await Server.start({ token: true });
    try {
      await page.goto(server.address);
      const dialog = page.getByRole('dialog', { name: /token/ });
      await dialog.getByLabel('Token').fill('wrong');
      await dialog.getByRole('button', { name: 'Go on' }).click();
      await expect(dialog.getByRole('alert')).toBeVisible();
      await dialog.getByLabel('Token').fill(TOKEN);
      await dialog.getByRole('button', { name: 'Go on' }).click();
      await expect(dialog).toBeHidden();
      await expect(page.locator('#scalebar')).toBeVisible(); // the only slide opens by itself
      await expect(page.locator('.slide img')).toBeVisible();
      expect(page.url()).not.toContain(TOKEN);
      await page.goto('about:blank'); // tiles may still be on their way, and the server ends
    } finally {
      await server.remove();
    }
  });
});

test('a tablet: panels open over the viewer, targets are large', async ({ browser, server }) => {
  const context = await browser.newContext({
    viewport: { width: 820, height: 1180 },
    hasTouch: true,
    isMobile: true,
    colorScheme: 'dark',
  });
  const page = await context.newPage();
  await page.goto(server.address);
  await expect(page.locator('#notice')).toBeInViewport();
  await page.getByRole('button', { name: 'Slides', exact: true }).tap();
  await page
    .locator('#slides')
    .getByRole('button', { name: /breast/ })
    .tap();
  await expect(page.locator('#scalebar')).toBeVisible();
  await page.getByRole('button', { name: 'Translation', exact: true }).tap();
  const small = await page
    .locator('button:visible, .button:visible, select:visible, summary:visible')
    .evaluateAll((elements) =>
      elements
        .filter((element) => {
          const { width, height } = element.getBoundingClientRect();
          return width > 1 && height < 43.5;
        })
        .map((element) => element.outerHTML),
    );
  expect(small, 'targets below 44 px').toEqual([]);
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth)).toBe(true);
  expect(await serious(page)).toEqual([]);
  await context.close();
});

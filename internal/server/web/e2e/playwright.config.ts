import { defineConfig } from '@playwright/test';

// One browser, one server, one test after another: they share two cores with the model. Times are for a machine that does
// much else: translations run at the lowest priority.
export default defineConfig({
  testDir: '.',
  outputDir: process.env.HISTDIST_WEB_RESULTS ?? 'results',
  workers: 1,
  fullyParallel: false,
  timeout: 900_000,
  expect: { timeout: 120_000 },
  reporter: [['list']],
  use: {
    browserName: 'chromium',
    viewport: { width: 1366, height: 820 },
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      ...(process.env.CHROMIUM ? { executablePath: process.env.CHROMIUM } : {}),
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
    },
  },
});

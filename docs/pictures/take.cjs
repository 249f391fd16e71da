// Plays the demo as Ada and Grace would, and takes a picture of its own page where a reader should look.
// Usage: node take.cjs ATTACHE FOLDER, with playwright-core on NODE_PATH.
const { spawn } = require('node:child_process');
const path = require('node:path');
const { createInterface } = require('node:readline');
const { chromium } = require('playwright-core');

const [attache, folder] = process.argv.slice(2);
const WIDE = { width: 960, height: 720 };

async function main() {
  const demo = spawn(attache, ['demo', '--listen', '127.0.0.1:8080'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  try {
    await play(browser, await address(demo));
  } finally {
    await browser.close();
    demo.kill('SIGINT');
  }
}

/** The demo's page, from the first line it prints. */
async function address(demo) {
  for await (const line of createInterface({ input: demo.stdout })) {
    const url = line.match(/^Open (\S+) /)?.[1];
    if (url) {
      demo.stdout.resume();
      return url;
    }
  }
  throw new Error('the demo ended before it began');
}

async function play(browser, stage) {
  const ada = await person(browser);
  const page = await ada.newPage();
  await page.goto(stage);
  await page.getByRole('button', { name: /Ada's assistant asks/ }).click();
  await picture(page, 'demo-not-connected');

  const tab = await opened(page, () => page.getByRole('link', { name: 'Open the connect page' }).click());
  await tab.getByRole('button', { name: 'Sign in as Ada' }).click();
  await tab.waitForURL('**/connect/notes');
  await approve(tab, 'Ada');

  const grace = await person(browser);
  const hers = await grace.newPage();
  await hers.goto(await page.getByRole('link', { name: 'Connect as Grace' }).getAttribute('href'));
  await hers.getByRole('button', { name: 'Sign in as Grace' }).click();
  await hers.waitForURL('**/connect/notes');
  await approve(hers, 'Grace');

  await page.goto(stage);
  await page.getByRole('button', { name: /Ada's assistant asks/ }).click();
  await page.getByRole('button', { name: /Grace's assistant asks/ }).click();
  await picture(page, 'demo');
}

function person(browser) {
  return browser.newContext({ viewport: WIDE, deviceScaleFactor: 1.5, colorScheme: 'light', reducedMotion: 'reduce' });
}

async function approve(tab, name) {
  await tab.getByRole('button', { name: /^Continue to/ }).click();
  await tab.getByRole('button', { name: `Allow as ${name}` }).click();
  await tab.waitForURL('**credential_connected=1');
}

async function opened(page, act) {
  const [tab] = await Promise.all([page.waitForEvent('popup'), act()]);
  return tab;
}

async function picture(page, name) {
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});

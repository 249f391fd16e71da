// People in a real browser, and what is wrong with the pages they are shown: in light and dark, on a desk and
// on a phone, for whoever cannot see them (WCAG 2.2 AA, by axe-core) and for whoever has only a keyboard.
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] };
const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
/** Each layout and each scheme once: no rule of ours depends on both. */
const LOOKS = [{ colorScheme: 'light', size: DESK }, { colorScheme: 'dark', size: PHONE }];
/** How a reader of the documentation sees a page, by the end of the picture's name. */
const PICTURES = {
  '': { colorScheme: 'light', size: { width: 960, height: 720 } },
  '-dark': { colorScheme: 'dark', size: { width: 960, height: 720 } },
  '-phone': { colorScheme: 'light', size: PHONE },
};
/** For anything at all, on a machine that is busy with everything else. */
const PATIENCE = 20_000;
/** Longer than any page of ours has things to stop at. */
const MOST_TABS = 60;

/** A browser program with a context for each person. `pictures`: a folder for them. */
export class Chromium {
  #browser;

  static async launch({ gateway, pictures }) {
    if (!existsSync(EXECUTABLE)) {
      throw new Error(`there is no Chromium at ${EXECUTABLE}: apt-get install chromium, or say where it is in CHROMIUM`);
    }
    const made = new Chromium();
    made.#browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox'], timeout: PATIENCE });
    return Object.assign(made, { gateway, pictures, seen: [], wrong: [] });
  }

  /** Somebody with cookies of their own. */
  async person() {
    const context = await this.#browser.newContext({ reducedMotion: 'reduce', deviceScaleFactor: this.pictures ? 1.5 : 1 });
    context.setDefaultTimeout(PATIENCE);
    return new Person(this, context, await context.newPage());
  }

  close() {
    return this.#browser.close();
  }
}

class Person {
  #of;

  constructor(of, context, page) {
    Object.assign(this, { context, page });
    this.#of = of;
    const complain = (words) => of.wrong.push(`${page.url()}: ${words}`);
    page.on('pageerror', (error) => complain(error.message));
    page.on('console', (message) => {
      const { url } = message.location();
      // What others' pages complain of is theirs; a status that a page has itself is told here, too.
      const ours = !url || url.startsWith(of.gateway);
      const ofThePage = message.text().startsWith('Failed to load resource') && url === page.url();
      if (message.type() === 'error' && ours && !ofThePage) complain(message.text());
    });
  }

  async open(path) {
    await this.page.goto(new URL(path, this.#of.gateway).href);
  }

  /** Presses a button or follows a link, and waits for where that leads. */
  async press(name, role = 'button') {
    const target = this.page.getByRole(role, { name, exact: true });
    await Promise.all([this.page.waitForEvent('load'), target.click()]);
  }

  /** With nothing but the keyboard: Tab until it is there, and Enter. */
  async key(name, { by = 'Tab', leads = true } = {}) {
    await this.tabTo(name, by);
    const pressed = this.page.keyboard.press('Enter');
    await (leads ? Promise.all([this.page.waitForEvent('load'), pressed]) : pressed);
  }

  async tabTo(name, by) {
    for (let count = 0; count < MOST_TABS; count += 1) {
      await this.page.keyboard.press(by);
      const { label, marked } = await this.page.evaluate(focused);
      if (name instanceof RegExp ? !name.test(label) : name !== label) continue;
      if (!marked) this.#of.wrong.push(`${this.page.url()}: nobody sees that ${label} has the focus`);
      return;
    }
    throw new Error(`no Tab leads to ${name} at ${this.page.url()}`);
  }

  /** Looks at the page it is at in every way, and takes the pictures that `pictures` names. */
  async look(name, pictures = []) {
    const { page } = this;
    for (const { colorScheme, size } of LOOKS) {
      await this.#in({ colorScheme, size });
      const wrong = await this.#judge();
      this.#of.wrong.push(...wrong.map((words) => `${name}, ${colorScheme}, ${size.width} wide: ${words}`));
    }
    this.#of.seen.push(name);
    for (const picture of this.#of.pictures ? pictures : []) {
      await this.#in(PICTURES[picture]);
      await page.screenshot({ path: join(this.#of.pictures, `${name}${picture}.png`), fullPage: true });
    }
    await this.#in(LOOKS[0]);
  }

  async #in({ colorScheme, size }) {
    await this.page.emulateMedia({ colorScheme });
    await this.page.setViewportSize(size);
  }

  async #judge() {
    // By the debugger, which no content policy stops; all that axe would fetch is left out.
    if (!await this.page.evaluate(() => 'axe' in window)) await this.page.evaluate(AXE);
    const { violations, overflow } = await this.page.evaluate(async (rules) => ({
      ...(await axe.run(document, { runOnly: rules, resultTypes: ['violations'], preload: false })),
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    }), RULES);
    const said = violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
    return overflow > 0 ? [...said, `${overflow} pixels wider than the screen`] : said;
  }
}

/** Runs in the page: what has the focus, and whether that shows. */
function focused() {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const labels = [...(element.labels ?? [])].map((label) => label.innerText);
  const label = (element.getAttribute('aria-label') ?? (labels.join(' ') || element.innerText) ?? '').trim();
  return { label, marked: outlineStyle !== 'none' && parseFloat(outlineWidth) > 0 };
}

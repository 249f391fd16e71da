// A person's browser without a screen: it keeps cookies, follows redirects, fills in forms.

/** Redirects and forms in a row before it gives up: a loop is a bug. */
const MOST_STEPS = 30;

export class Browser {
  #cookies = [];
  #fetch;

  constructor(by = fetch) {
    this.#fetch = by;
  }

  /**
   * Opens a URL and goes on as long as there is a redirect, or a form that `answers` can fill in: by the
   * name of a field or button, or by how the label of a button without a name begins, which is pressed once.
   * Stops before a URL that starts with `until`: nobody need listen there.
   */
  async open(url, { answers = {}, until } = {}) {
    const left = { ...answers };
    let request = { url: new URL(url), method: 'GET' };
    for (let step = 0; step < MOST_STEPS; step += 1) {
      if (until && request.url.href.startsWith(until)) return { url: request.url.href };
      const response = await this.#send(request);
      const html = await response.text();
      const next = redirected(request, response) ?? submitted(request.url, html, left);
      if (!next) return { url: request.url.href, status: response.status, html };
      request = next;
    }
    throw new Error(`no end after ${MOST_STEPS} steps, the last to ${request.url.origin}${request.url.pathname}`);
  }

  async #send({ url, method, body }) {
    const headers = { accept: 'text/html' };
    const cookie = this.#header(url);
    if (cookie) headers.cookie = cookie;
    if (method === 'POST') Object.assign(headers, { origin: url.origin, 'sec-fetch-site': 'same-origin' });
    const response = await this.#fetch(url, { method, body, headers, redirect: 'manual' });
    response.headers.getSetCookie().forEach((line) => this.#keep(url, line));
    return response;
  }

  /** RFC 6265: cookies belong to a host and a path, whatever the port. */
  #keep(url, line) {
    const [pair, ...attributes] = line.split(';').map((part) => part.trim());
    const [name, value] = halves(pair);
    const settings = new Map(attributes.map(halves).map(([key, set]) => [key.toLowerCase(), set]));
    const path = settings.get('path') ?? '/';
    const same = (kept) => kept.host === url.hostname && kept.name === name && kept.path === path;
    this.#cookies = this.#cookies.filter((kept) => !same(kept));
    const gone = settings.get('max-age') === '0' || Date.parse(settings.get('expires')) < Date.now();
    if (!gone) this.#cookies.push({ host: url.hostname, path, name, value });
  }

  #header(url) {
    const within = (path) => url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
    return this.#cookies
      .filter(({ host, path }) => host === url.hostname && within(path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ');
  }
}

function halves(pair) {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

/** 307 and 308 would carry the form on; nothing here should send them after a form (AS-10). */
function redirected({ url, method, body }, { status, headers }) {
  const location = headers.get('location');
  if (status < 300 || status > 399 || !location) return undefined;
  const keeps = status === 307 || status === 308;
  return { url: new URL(location, url), method: keeps ? method : 'GET', body: keeps ? body : undefined };
}

/** The first form that `answers` can fill in. A label is used up: its button may be on the page that comes next. */
function submitted(url, html, answers) {
  for (const [, opening, content] of html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gs)) {
    const controls = [...content.matchAll(/<(?:input\b([^>]*)>|button\b([^>]*)>(.*?)<\/button>)/gs)]
      .map(([, input, button, label]) => ({ label: label?.trim(), ...attributes(input ?? button) }));
    const known = controls.some(({ name }) => name in answers);
    const pressed = Object.keys(answers).find((answer) => (
      controls.some(({ name, label }) => !name && label?.startsWith(answer))));
    if (!known && !pressed) continue;
    if (!known) delete answers[pressed];
    const body = new URLSearchParams();
    for (const { name, type, value = '' } of controls) {
      if (name in answers) body.set(name, answers[name]);
      else if (name && type === 'hidden') body.set(name, value);
    }
    const { action = url.href } = attributes(opening);
    return { url: new URL(action, url), method: 'POST', body };
  }
  return undefined;
}

function attributes(tag) {
  const pairs = [...tag.matchAll(/([\w-]+)(?:="([^"]*)")?/g)];
  return Object.fromEntries(pairs.map(([, name, value = '']) => [name, plain(value)]));
}

function plain(escaped) {
  return escaped.replace(/&(?:amp|#38);/g, '&').replace(/&(?:quot|#34);/g, '"').replace(/&(?:#39|#x27);/g, "'");
}

// Browsers, driven line by line: {"of": WHOM, "open": URL, "answers": {...}, "until": PREFIX} on stdin, the
// page it ended on as one line {"url", "status", "html"} on stdout. Each person has cookies of their own.
// Options: origins, what of the web is elsewhere.
import { createInterface } from 'node:readline';
import { Browser } from './lib/browser.mjs';
import { elsewhere } from './lib/elsewhere.mjs';
import { options, say } from './lib/peer.mjs';

const { origins } = options({ origins: {} });
const browsers = new Map();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { of, open, ...how } = JSON.parse(line);
  if (!browsers.has(of)) browsers.set(of, new Browser(elsewhere(origins)));
  say(await browsers.get(of).open(open, how).catch((error) => ({ error: error.message })));
}

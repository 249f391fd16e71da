// One browser of one person, driven line by line: {"open": URL, "answers": {...}, "until": PREFIX} on
// stdin, the page it ended on as one line {"url", "status", "html"} on stdout.
import { createInterface } from 'node:readline';
import { Browser } from './lib/browser.mjs';
import { say } from './lib/peer.mjs';

const browser = new Browser();
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const { open, ...how } = JSON.parse(line);
  say(await browser.open(open, how).catch((error) => ({ error: error.message })));
}

// What every peer has in common: options in, one line of JSON out, and an end when the test ends.
import { once } from 'node:events';
import { createServer } from 'node:http';

const HOST = '127.0.0.1';

/** The JSON object given as the first argument, over the defaults. */
export function options(defaults) {
  return { ...defaults, ...JSON.parse(process.argv[2] ?? '{}') };
}

/** Prints one line of JSON: stdout carries nothing else. */
export function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** As [listen] does; says so, and ends when the test ends. */
export async function serve(port, build) {
  // Libraries greet and warn on stdout, which belongs to the ready line.
  console.info = console.warn = console.log = () => {};
  const { handler, ...ready } = await listen(port, build);
  endWithParent();
  say({ ready: true, ...ready });
}

/**
 * Listens on loopback (port 0 is any free port), then asks `build` for the request handler:
 * an issuer has to know its own URL before it exists.
 */
export async function listen(port, build) {
  const server = createServer();
  server.listen(port, HOST);
  await once(server, 'listening');
  const url = `http://${HOST}:${server.address().port}`;
  const built = await build(url);
  server.on('request', built.handler);
  return { url, ...built };
}

/** No process outlives its test: a closed stdin ends it, however the parent died. */
function endWithParent() {
  process.on('SIGTERM', () => process.exit(0));
  process.stdin.on('close', () => process.exit(0)).resume();
}

// The gateway as the client that MCP's conformance suite tests: one scenario, with a gateway of its own.
// The suite starts it with the URL of the scenario's MCP server, and judges what reaches its servers.
// Somebody calls that server through the gateway and connects when told to; one line of JSON tells the story.
// ATTACHE is the gateway's binary.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Browser } from './lib/browser.mjs';
import { identityProvider } from './lib/idp.mjs';
import { listen, say } from './lib/peer.mjs';
import { signIn } from './lib/sign-in.mjs';

const PERSON = 'ada';
const NAME = 'upstream';
/** What identity providers exchange: the one scenario in which nobody consents. */
const MANAGED = 'auth/enterprise-managed-authorization';
/** Consents before the person gives up: more than the suite ever wants to see. */
const MOST_CONSENTS = 5;
/** For a start on a machine that is busy with everything else. */
const START_LIMIT = 60_000;
const STEPWISE = 50;

const [upstream] = process.argv.slice(2);
const {
  ATTACHE: attache,
  MCP_CONFORMANCE_SCENARIO: scenario,
  MCP_CONFORMANCE_PROTOCOL_VERSION: revision,
  MCP_CONFORMANCE_CONTEXT: context = '{}',
} = process.env;

// Libraries greet and warn on stdout, which belongs to the story.
console.info = console.warn = console.log = () => {};
const gateway = await start();
try {
  say({ story: await story() });
} catch (error) {
  process.stderr.write(`${error.stack}\n${gateway.log()}`);
  process.exitCode = 1;
}
process.exit();

/** What happened, in the gateway's own words: how the connection stood, how a consent ended, `called`. */
async function story() {
  const browser = new Browser();
  const happened = [];
  for (let consents = 0; consents <= MOST_CONSENTS; consents += 1) {
    const said = await call();
    if (said === 'called') return [...happened, said];
    if (said === 'told to sign in') {
      happened.push(said);
      await browser.open(`${gateway.url}/login`, { answers: { login: PERSON } });
      continue;
    }
    happened.push(await standing());
    if (said !== 'told to connect') {
      process.stderr.write(`${said}\n`);
      return [...happened, 'not called'];
    }
    const ended = await connect(browser);
    happened.push(ended);
    if (ended !== 'connected') return [...happened, await standing()];
  }
  return [...happened, 'given up'];
}

/** `called`, `told to connect` or `told to sign in` by the gateway, or whatever else came of it. */
async function call() {
  // Not pinned: until there is a connection it is the gateway that answers, as a server of 2025-11-25.
  const versionNegotiation = { mode: revision === '2026-07-28' ? 'auto' : 'legacy' };
  const client = new Client({ name: 'driver', version: '1.0.0' }, { versionNegotiation });
  const authProvider = { token: async () => gateway.bearer };
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(`${gateway.url}/mcp/${NAME}`), { authProvider }));
    await client.listTools();
    const { isError, content: [{ text }] } = await client.callTool({ name: 'test-tool', arguments: {} });
    if (!isError && text === 'test') return 'called';
    return told(isError ? text : '') ?? text;
  } catch (error) {
    return told(error.message) ?? error.stack;
  } finally {
    await client.close();
  }
}

/** What a refusal asks of the person. */
function told(text) {
  if (text.includes(`${gateway.url}/connect/${NAME}`)) return 'told to connect';
  return text.includes(`${gateway.url}/login`) ? 'told to sign in' : undefined;
}

/** `connected`, or the word for what was refused. */
async function connect(browser) {
  const { url, html } = await browser.open(`${gateway.url}/connect/${NAME}`, { answers: { login: PERSON, 'Continue to': '' } });
  const result = new URL(url).searchParams;
  if (result.has('credential_connected')) return 'connected';
  const word = result.get('credential_error') ?? html.match(/say <code>(\w+)<\/code>/)?.[1];
  if (!word) throw new Error(`the consent ended at ${url}: ${html}`);
  return word;
}

/** The connection's status in the API, with the reason if it has one. */
async function standing() {
  const headers = { authorization: `Bearer ${gateway.bearer}` };
  const { credentials } = await (await fetch(`${gateway.url}/api/v1/user/credentials`, { headers })).json();
  const { status, reason } = credentials.find(({ server }) => server === NAME);
  return reason ? `${status} ${reason}` : status;
}

/** A gateway with an empty store, the company's identity provider, and an access token for whoever calls. */
async function start() {
  const [port, adminPort] = await ownPorts();
  const url = `http://127.0.0.1:${port}`;
  const idp = await listen(0, (issuer) => identityProvider(issuer, {
    redirect_uris: [`${url}/login/callback`], resources: [url], access_token_ttl: 600, assert: scenario === MANAGED && assert,
  }));
  const folder = mkdtempSync(join(tmpdir(), 'attache-conformance-'));
  execFileSync(attache, ['keys', 'generate', 'attache.key'], { cwd: folder });
  writeFileSync(join(folder, 'attache.toml'), configuration({ url, adminPort, idp, broker: await given() }));
  const log = openSync(join(folder, 'log'), 'a');
  const child = spawn(attache, ['serve'], { cwd: folder, stdio: ['ignore', log, log] });
  closeSync(log);
  process.on('exit', () => {
    child.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  process.on('SIGTERM', () => process.exit(1));
  const gateway = { url, log: () => readFileSync(join(folder, 'log'), 'utf8') };
  await ready(`http://127.0.0.1:${adminPort}/readyz`, child, gateway);
  const { tokens } = await signIn({
    issuer: idp.url,
    client_id: 'mcp-client',
    redirect_uri: 'http://127.0.0.1:4280/callback',
    scope: 'openid mcp:use',
    resource: url,
    person: PERSON,
  });
  return { ...gateway, bearer: tokens.access_token };
}

async function ready(url, child, { log }) {
  const end = Date.now() + START_LIMIT;
  for (;;) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    if (child.exitCode !== null || Date.now() > end) throw new Error(`the gateway did not start: ${log()}`);
    await wait(STEPWISE);
  }
}

/** The upstream is configured by its URL alone, but for what the scenario hands out beforehand. */
function configuration({ url, adminPort, idp, broker }) {
  return `
public_url = "${url}"
listen = "${new URL(url).host}"
admin_listen = "127.0.0.1:${adminPort}"
store.url = "sqlite:attache.db"
keys.active = "file:attache.key"
egress.allow_private = ["127.0.0.0/8", "::1/128"]

[identity.oidc]
issuer = "${idp.url}"
client_id = "${idp.client_id}"
client_secret = "${idp.client_secret}"
store_subject_token = ${scenario === MANAGED}

[[identity.jwt]]
issuer = "${idp.url}"
audience = "${url}"

[[upstream]]
name = "${NAME}"
url = "${upstream}"
protocol = "streamable-http"

[upstream.auth_broker]
${Object.entries({ mode: 'oauth_connect', ...broker }).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join('')}`;
}

/** What an operator knows beforehand. */
async function given() {
  switch (scenario) {
    // The one document that the suite believes in; a gateway on loopback cannot publish its own.
    case 'auth/basic-cimd':
      return { client_id: 'https://conformance-test.local/client-metadata.json' };
    case 'auth/pre-registration': {
      const { client_id, client_secret, issuer } = JSON.parse(context);
      return { issuer, client_id, client_secret };
    }
    case MANAGED: {
      const { client_id, client_secret } = JSON.parse(context);
      const { origin, pathname } = new URL(upstream);
      const published = await fetch(`${origin}/.well-known/oauth-protected-resource${pathname}`);
      const { authorization_servers: [issuer] } = await published.json();
      return { mode: 'id_jag', issuer, client_id, client_secret };
    }
    // MCP 2025-03-26, which an operator has to allow.
    case 'auth/2025-03-26-oauth-metadata-backcompat':
    case 'auth/2025-03-26-oauth-endpoint-fallback':
      return { allow_missing_metadata: true, assume_pkce: true };
    default:
      return {};
  }
}

/**
 * The suite's identity provider signs nobody in: it hands out one ID token. Whoever shows the company's a good
 * one of its own is asserted there by that; all else is passed on as the gateway wrote it.
 */
async function assert(asked) {
  const { idp_id_token: subject_token, idp_token_endpoint } = JSON.parse(context);
  const grant_type = 'urn:ietf:params:oauth:grant-type:token-exchange';
  const given = Object.entries({ ...asked, grant_type, subject_token }).filter(([, value]) => value !== undefined);
  const answer = await fetch(idp_token_endpoint, { method: 'POST', body: new URLSearchParams(given) });
  return answer.json();
}

/** That nobody else here picks, and that no system gives to whoever connects to something. */
async function ownPorts() {
  for (let slot = process.pid; ; slot += 1) {
    const port = 24_000 + 2 * (slot % 4_000);
    if (await isFree(port) && await isFree(port + 1)) return [port, port + 1];
  }
}

async function isFree(port) {
  const server = createServer().listen(port, '127.0.0.1');
  const free = await once(server, 'listening').then(() => true, () => false);
  server.close();
  return free;
}

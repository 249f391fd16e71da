// Do the peers get along with each other, with no gateway between them? `cargo xtask peers --check`.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import * as oauth from 'openid-client';
import { Browser } from './lib/browser.mjs';
import { signIn } from './lib/sign-in.mjs';

const GATEWAY = 'http://127.0.0.1:4280';
const ACCESS_TOKEN_TTL = 120; // longer than the slowest start of a client
const here = (name) => new URL(name, import.meta.url).pathname;
const running = [];
let idp, as, servers;

before(async () => {
  const ports = [await freePort(), await freePort()];
  idp = await start('idp.mjs', { redirect_uris: [`${GATEWAY}/login/callback`], resources: [`${GATEWAY}/mcp`] });
  as = await start('upstream-as.mjs', {
    redirect_uris: [`${GATEWAY}/callback`],
    resources: ports.map((port) => `http://127.0.0.1:${port}/mcp`),
    access_token_ttl: ACCESS_TOKEN_TTL,
  });
  servers = [
    await start('mcp-server-ts.mjs', { port: ports[0], issuer: as.url }),
    await start('mcp-server-2.mjs', { port: ports[1], issuer: as.url }),
  ];
});

after(() => running.forEach((child) => child.kill()));

test('a browser presses a button by its label, once, and takes its cookies along', async () => {
  const seen = [];
  const form = '<form method="post" action="/next"><input type="hidden" name="a" value="1&amp;2"><button>Go on</button></form>';
  const site = createHttpServer((req, res) => {
    seen.push(`${req.method} ${req.url} ${req.headers.cookie} ${req.headers.origin !== undefined}`);
    if (req.method === 'POST') return res.writeHead(303, { location: '/end' }).end();
    return res.setHeader('set-cookie', 'c=1; Path=/end').end(form);
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  const start = `http://127.0.0.1:${site.address().port}`;
  const page = await new Browser().open(start, { answers: { 'Go on': '' } });
  site.close();
  assert.equal(page.url, `${start}/end`);
  assert.deepEqual(seen, ['GET / undefined false', 'POST /next undefined true', 'GET /end c=1 false']);
});

test('the identity provider signs people in with their groups', async () => {
  const { tokens } = await signIn({
    ...idp, issuer: idp.url, redirect_uri: `${GATEWAY}/login/callback`, scope: 'openid email profile', person: 'grace',
  });
  const { sub, email_verified, groups } = tokens.claims();
  assert.deepEqual({ sub, email_verified, groups }, { sub: 'grace', email_verified: true, groups: ['engineering', 'platform'] });
});

test('an MCP client gets a JWT for the gateway, and for nothing else', async () => {
  const asked = { issuer: idp.url, client_id: 'mcp-client', redirect_uri: 'http://127.0.0.1:4281/callback', scope: 'mcp:use', person: 'ada' };
  const { tokens } = await signIn({ ...asked, resource: `${GATEWAY}/mcp` });
  const [header, claims] = tokens.access_token.split('.').slice(0, 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')));
  assert.equal(header.typ, 'at+jwt');
  const { iss, sub, aud, client_id, scope } = claims;
  assert.deepEqual({ iss, sub, aud, client_id, scope }, { iss: idp.url, sub: 'ada', aud: `${GATEWAY}/mcp`, client_id: 'mcp-client', scope: 'mcp:use' });
  await assert.rejects(signIn({ ...asked, resource: 'https://elsewhere.example' }), { error: 'invalid_target' });
});

test('consent can be denied', async () => {
  await assert.rejects(connect('ada', servers[0], { decision: 'deny' }), { error: 'access_denied' });
});

test('refresh tokens rotate, and one used twice ends the grant', async () => {
  const { config, tokens } = await connect('ada', servers[0]);
  const refresh = (token) => oauth.refreshTokenGrant(config, token, { resource: servers[0].resource });
  const before = await stats();
  const next = await refresh(tokens.refresh_token);
  assert.notEqual(next.refresh_token, tokens.refresh_token);
  await assert.rejects(refresh(tokens.refresh_token), { error: 'invalid_grant' });
  await assert.rejects(refresh(next.refresh_token), { error: 'invalid_grant' });
  const { refresh_token, reused } = await stats();
  assert.deepEqual(
    [refresh_token.granted - before.refresh_token.granted, refresh_token.refused - before.refresh_token.refused, reused - before.reused],
    [1, 2, 1],
  );
});

test('a token that was revoked or is for another server is refused', async () => {
  const { config, tokens } = await connect('ada', servers[0]);
  assert.equal(tokens.expires_in, ACCESS_TOKEN_TTL);
  assert.equal(await status(servers[1], tokens.access_token), 401);
  assert.equal(await status(servers[0], tokens.access_token), 200);
  await oauth.tokenRevocation(config, tokens.refresh_token);
  assert.equal(await status(servers[0], tokens.access_token), 401);
});

for (const script of ['mcp-client-ts.mjs', 'mcp-client-2.mjs', 'mcp_client.py']) {
  test(`${script} is told who it is by both servers`, async () => {
    for (const server of servers) {
      for (const person of ['ada', 'grace']) {
        const { tokens } = await connect(person, server);
        const said = await run(script, { url: server.resource, token: tokens.access_token, parallel: 3 });
        assert.deepEqual(said.tools, ['whoami', 'echo'], JSON.stringify(said));
        assert.deepEqual(said.results.map(({ content: [{ text }] }) => text), [person, person, person]);
      }
    }
  });
}

test('what reached a server is recorded, header by header', async () => {
  const recorded = await (await fetch(`${servers[1].url}/recorded`)).json();
  assert.ok(recorded.some(({ headers }) => headers['mcp-protocol-version']?.[0] === '2026-07-28'));
  assert.ok(recorded.every(({ headers }) => headers.authorization.length === 1));
});

function connect(person, server, how = {}) {
  const { url: issuer, client_id, client_secret } = as;
  const redirect_uri = `${GATEWAY}/callback`;
  return signIn({ issuer, client_id, client_secret, redirect_uri, scope: 'mcp:use', resource: server.resource, person, browser: new Browser(), ...how });
}

async function stats() {
  return (await fetch(`${as.url}/stats`)).json();
}

async function status(server, token) {
  const initialize = {
    jsonrpc: '2.0', id: 1, method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
  };
  const headers = {
    authorization: `Bearer ${token}`,
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
  };
  const response = await fetch(server.resource, { method: 'POST', headers, body: JSON.stringify(initialize) });
  await response.text();
  return response.status;
}

async function start(script, options) {
  const child = spawn(process.execPath, [here(script), JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  running.push(child);
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return JSON.parse(line);
}

async function run(script, options) {
  const program = script.endsWith('.py') ? process.env.PEERS_PYTHON : process.execPath;
  const { stdout } = await promisify(execFile)(program, [here(script), JSON.stringify(options)]);
  return JSON.parse(stdout);
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

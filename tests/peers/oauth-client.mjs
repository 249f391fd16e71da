// A strict OAuth client (openid-client) that checks whatever the specifications let a client check. It has the
// URL of an MCP server, and a browser to play the person; with a device, it shows a code that they type.
// It prints what it was told, and `kept`: what it needs to go on later. Options: url, person, answers, kept;
// device, the id of a client that the gateway knows; revoke, to end what is kept.
import * as oauth from 'openid-client';
import { Browser } from './lib/browser.mjs';
import { options, say } from './lib/peer.mjs';

/** Nobody listens there. */
const REDIRECT = 'http://127.0.0.1:4299/callback';
const STRICT = { algorithm: 'oauth2', execute: [oauth.allowInsecureRequests] }; // loopback

const { url, person, answers, kept, device, revoke } = options({ answers: {}, revoke: false });
const issuer = new URL(new URL(url).origin);
const target = { resource: url };

try {
  const config = await known(kept?.client_id ?? device);
  const tokens = await (kept ? refreshed(config) : device ? shown(config) : signedIn(config));
  if (revoke) await oauth.tokenRevocation(config, tokens.refresh_token);
  const { client_id } = config.clientMetadata();
  say({ answer: await asked(tokens.access_token), kept: { client_id, tokens }, ended: revoke && await ended(config, tokens) });
} catch ({ name, message, code, error, cause }) {
  say({ error: { name, message, code, error, cause: cause?.message } });
}

function known(client) {
  if (client) return oauth.discovery(issuer, client, undefined, oauth.None(), STRICT);
  const metadata = { client_name: 'A program', redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none' };
  return oauth.dynamicClientRegistration(issuer, metadata, oauth.None(), STRICT);
}

async function signedIn(config) {
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const challenge = await oauth.calculatePKCECodeChallenge(verifier);
  const start = oauth.buildAuthorizationUrl(config, {
    redirect_uri: REDIRECT, scope: 'mcp:use', state, code_challenge: challenge, code_challenge_method: 'S256', ...target,
  });
  const page = await new Browser().open(start, { answers: { login: person, ...answers }, until: REDIRECT });
  if (page.html) throw new Error(`${page.status} at ${page.url}: ${page.html}`);
  const checks = { pkceCodeVerifier: verifier, expectedState: state };
  return oauth.authorizationCodeGrant(config, new URL(page.url), checks, target);
}

async function shown(config) {
  const begun = await oauth.initiateDeviceAuthorization(config, { scope: 'mcp:use', ...target });
  const tokens = oauth.pollDeviceAuthorizationGrant(config, begun);
  const typed = { login: person, user_code: begun.user_code, ...answers };
  const page = await new Browser().open(begun.verification_uri, { answers: typed });
  if (page.status !== 200) throw new Error(`${page.status} at ${page.url}: ${page.html}`);
  return tokens;
}

function refreshed(config) {
  return oauth.refreshTokenGrant(config, kept.tokens.refresh_token, target);
}

/** Of the API, what is connected; of an MCP server, who it takes us for. */
async function asked(token) {
  const authorization = `Bearer ${token}`;
  if (device) {
    const response = await fetch(`${url}/user/credentials`, { headers: { authorization } });
    return { status: response.status, body: await response.json() };
  }
  const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami', arguments: {} } };
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization, accept: 'application/json, text/event-stream', 'content-type': 'application/json' },
    body: JSON.stringify(call),
  });
  const text = await response.text();
  const message = /^data: (.*)$/m.exec(text)?.[1];
  return { status: response.status, body: message && JSON.parse(message) };
}

/** The error code that comes for what was revoked. */
async function ended(config, tokens) {
  return oauth.refreshTokenGrant(config, tokens.refresh_token).then(() => false, ({ error }) => error);
}

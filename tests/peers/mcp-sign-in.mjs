// An MCP client on the official SDK (sdk: 1 or 2) that has only the URL of a server, and a browser to play
// the person. It prints what it was told, and `kept`: what it needs to go on later without anybody.
// Options: url, sdk, person, answers for the pages on the way, kept, and refresh, to spend its refresh token.
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';
import { Browser } from './lib/browser.mjs';
import { options, say } from './lib/peer.mjs';

/** Nobody listens there. */
const REDIRECT = 'http://127.0.0.1:4299/callback';

const { url, sdk, person, answers, kept, refresh } = options({ answers: {}, kept: {}, refresh: false });
const [Client, Transport] = sdk === 1 ? [Client1, Transport1] : [Client2, Transport2];

class Provider {
  constructor({ client, tokens }) {
    Object.assign(this, { client, held: tokens });
  }

  redirectUrl = REDIRECT;

  clientMetadata = {
    client_name: 'A program', redirect_uris: [REDIRECT], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'],
  };

  state = () => 'a state of its own';
  clientInformation = () => this.client;
  saveClientInformation = (client) => { this.client = client; };
  tokens = () => this.held;
  saveTokens = (tokens) => { this.held = tokens; };
  saveCodeVerifier = (verifier) => { this.verifier = verifier; };
  codeVerifier = () => this.verifier;

  async redirectToAuthorization(start) {
    const browser = new Browser();
    const page = await browser.open(start, { answers: { login: person, ...answers }, until: REDIRECT });
    this.back = new URL(page.url).searchParams;
    if (!page.url.startsWith(REDIRECT)) throw new Error(`${page.status} at ${page.url}: ${page.html}`);
  }
}

const provider = new Provider(kept);
// An access token that is over: the client has to find out by itself.
if (refresh) provider.held = { ...provider.held, access_token: 'over' };
try {
  say({ ...await called(), kept: { client: provider.client, tokens: provider.held }, asked: Boolean(provider.back) });
} catch ({ name, message, code }) {
  say({ error: { name, message, code } });
}

async function called() {
  const client = await connected();
  const { tools } = await client.listTools();
  const results = [await client.callTool({ name: 'whoami', arguments: {} })];
  await client.close();
  return { tools: tools.map(({ name }) => name), results };
}

/** The first attempt is told to sign in, and sends the browser; the second has what came back. */
async function connected() {
  for (let attempt = 0; ; attempt += 1) {
    const client = new Client({ name: 'a-program', version: '1.0.0' });
    const transport = new Transport(new URL(url), { authProvider: provider });
    try {
      await client.connect(transport);
      return client;
    } catch (error) {
      if (attempt > 0 || !provider.back) throw error;
      await transport.finishAuth(sdk === 1 ? provider.back.get('code') : provider.back);
    }
  }
}

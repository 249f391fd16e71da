// An MCP client on the official SDK 1.x. Options: see lib/calls.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { asked, play } from './lib/calls.mjs';

const { url, token, capabilities } = asked;
const headers = { authorization: `Bearer ${token}` };
const client = new Client({ name: 'peer-1', version: '1.0.0' }, { capabilities });
await play(client, new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));

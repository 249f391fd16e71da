// An MCP client on the official SDK 2.x: tries 2026-07-28 first. Options: see lib/calls.mjs, and
// mode ('auto', 'legacy' or {"pin": "2026-07-28"}).
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { asked, play } from './lib/calls.mjs';

const { url, token, capabilities, mode = 'auto' } = asked;
const client = new Client({ name: 'peer-2', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
await play(client, new StreamableHTTPClientTransport(new URL(url), { authProvider: { token: async () => token } }));

// All that an MCP client on the official SDK 2.x can do. Options: see lib/trace.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { answers, asked, capabilities, trace } from './lib/trace.mjs';

const { url, token, mode } = asked;
const client = new Client({ name: 'peer-2', version: '1.0.0' }, { capabilities, versionNegotiation: { mode } });
for (const [method, answer] of Object.entries(answers)) client.setRequestHandler(method, answer);
const updated = [];
client.setNotificationHandler('notifications/resources/updated', ({ params }) => { updated.push(params.uri); });
await trace(client, new StreamableHTTPClientTransport(new URL(url), { authProvider: { token: async () => token } }), {
  call: (params, options) => client.callTool(params, options),
  watch: (uri) => (mode === 'legacy' ? client.subscribeResource({ uri }) : client.listen({ resourceSubscriptions: [uri] })),
  updated,
});

// All that an MCP client on the official SDK 1.x can do. Options: see lib/trace.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema, ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import { answers, asked, capabilities, trace } from './lib/trace.mjs';

const { url, token } = asked;
const headers = { authorization: `Bearer ${token}` };
const client = new Client({ name: 'peer-1', version: '1.0.0' }, { capabilities });
for (const schema of [CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema]) {
  client.setRequestHandler(schema, answers[schema.shape.method.value]);
}
const updated = [];
client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => { updated.push(params.uri); });
await trace(client, new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }), {
  call: (params, options) => client.callTool(params, undefined, options),
  watch: (uri) => client.subscribeResource({ uri }),
  updated,
});

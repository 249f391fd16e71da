// A protected MCP server of the transport before Streamable HTTP (HTTP+SSE, 2024-11-05), on the official SDK
// 1.x. Options: as of mcp-server-ts.mjs, without sessions: each stream is one.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { options, serve } from './lib/peer.mjs';
import { protectedApp } from './lib/protected.mjs';
import { register } from './lib/tools.mjs';

const { port, ...as } = options({ port: 0, client_id: 'mcp-server', client_secret: 'mcp-server-secret' });

await serve(port, async (url) => {
  const { app, resource } = await protectedApp(url, as);
  const open = new Map();
  app.get('/mcp', async (req, res) => {
    const server = new McpServer({ name: 'peer-sse', version: '1.0.0' });
    register(server, req.auth.extra.sub);
    const transport = new SSEServerTransport('/mcp/messages', res);
    open.set(transport.sessionId, transport);
    res.on('close', () => open.delete(transport.sessionId));
    await server.connect(transport);
  });
  app.post('/mcp/messages', async (req, res) => {
    const transport = open.get(req.query.sessionId);
    if (!transport) return res.status(404).end();
    await transport.handlePostMessage(req, res, req.body);
  });
  return { handler: app, resource };
});

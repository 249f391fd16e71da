// A protected MCP server on the official SDK 1.x (up to 2025-11-25). Options: issuer (the authorization
// server's), client_id and client_secret (to introspect with), sessions (without, it is stateless), port.
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { options, serve } from './lib/peer.mjs';
import { protectedApp } from './lib/protected.mjs';
import { register } from './lib/tools.mjs';

const { port, sessions, ...as } = options({
  port: 0, sessions: false, client_id: 'mcp-server', client_secret: 'mcp-server-secret',
});

await serve(port, async (url) => {
  const { app, resource } = await protectedApp(url, as);
  const open = new Map();
  app.post('/mcp', async (req, res) => {
    const known = open.get(req.get('mcp-session-id'));
    if (known) return known.handleRequest(req, res, req.body);
    const server = new McpServer({ name: 'peer-1', version: '1.0.0' });
    register(server, req.auth.extra.sub);
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: sessions ? randomUUID : undefined,
      onsessioninitialized: (id) => { open.set(id, transport); },
    });
    if (!sessions) res.on('close', () => transport.close());
    await server.connect(transport);
    await transport.handleRequest(req, res, req.body);
  });
  app.all('/mcp', (_req, res) => res.status(405).set('allow', 'POST').end());
  return { handler: app, resource };
});

// A protected MCP server on the official SDK 1.x (up to 2025-11-25), stateless. Options: issuer (the
// authorization server's), client_id and client_secret (to introspect with), port.
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { options, serve } from './lib/peer.mjs';
import { protectedApp } from './lib/protected.mjs';
import { register } from './lib/tools.mjs';

const { port, ...as } = options({ port: 0, client_id: 'mcp-server', client_secret: 'mcp-server-secret' });

await serve(port, async (url) => {
  const { app, resource } = await protectedApp(url, as);
  app.post('/mcp', async (req, res) => {
    const server = new McpServer({ name: 'peer-1', version: '1.0.0' });
    register(server, req.auth.extra.sub);
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    res.on('close', () => transport.close());
    await server.connect(transport);
    await transport.handleRequest(req, res, req.body);
  });
  app.all('/mcp', (_req, res) => res.status(405).set('allow', 'POST').end());
  return { handler: app, resource };
});

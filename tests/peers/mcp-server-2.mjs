// A protected MCP server on the official SDK 2.x: 2026-07-28, and older clients too. Options: issuer
// (the authorization server's), client_id and client_secret (to introspect with), only_modern (older clients
// are turned away), port.
import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { options, serve } from './lib/peer.mjs';
import { protectedApp } from './lib/protected.mjs';
import { register } from './lib/tools.mjs';

const { port, only_modern, ...as } = options({
  port: 0, only_modern: false, client_id: 'mcp-server', client_secret: 'mcp-server-secret',
});

await serve(port, async (url) => {
  const { app, resource } = await protectedApp(url, as);
  const handle = toNodeHandler(createMcpHandler(({ authInfo }) => {
    const server = new McpServer({ name: 'peer-2', version: '1.0.0' });
    register(server, authInfo.extra.sub);
    return server;
  }, only_modern ? { legacy: 'reject' } : {}));
  app.all('/mcp', (req, res) => handle(req, res, req.body));
  return { handler: app, resource };
});

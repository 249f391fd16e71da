// A protected MCP server that does everything that MCP's conformance suite asks for, on the official SDK
// 2.x: 2026-07-28, and older clients in sessions whose streams can be taken up again. Options: issuer (the
// authorization server's), client_id and client_secret (to introspect with), port.
import { randomUUID } from 'node:crypto';
import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from '@modelcontextprotocol/node';
import { createMcpHandler, isInitializeRequest, isLegacyRequest } from '@modelcontextprotocol/server';
import { everything } from './lib/everything.mjs';
import { options, serve } from './lib/peer.mjs';
import { protectedApp } from './lib/protected.mjs';

const { port, ...as } = options({ port: 0, client_id: 'mcp-server', client_secret: 'mcp-server-secret' });

await serve(port, async (url) => {
  const { app, resource } = await protectedApp(url, as);
  const calls = { waiting: 0, cancelled: 0 };
  const handler = createMcpHandler(() => everything(handler.notify, calls), { legacy: 'reject' });
  const modern = toNodeHandler(handler);
  const sessions = new Map();
  app.all('/mcp', async (req, res) => {
    if (!await isLegacyRequest(await toWebRequest(req, req.body))) return modern(req, res, req.body);
    const id = req.get('mcp-session-id');
    const known = sessions.get(id);
    if (known) return known.handleRequest(req, res, req.body);
    if (id || !isInitializeRequest(req.body)) {
      const error = id ? { code: -32001, message: 'Session not found' } : { code: -32000, message: 'No session' };
      return res.status(id ? 404 : 400).json({ jsonrpc: '2.0', id: null, error });
    }
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (begun) => { sessions.set(begun, transport); },
      onsessionclosed: (ended) => { sessions.delete(ended); },
      eventStore: eventStore(),
      retryInterval: 500,
    });
    await everything(handler.notify, calls).connect(transport);
    return transport.handleRequest(req, res, req.body);
  });
  return { handler: app, resource };
});

/** The events of one session, for as long as it lasts. */
function eventStore() {
  const events = [];
  return {
    async storeEvent(stream, message) {
      return `${events.push({ stream, message })}`;
    },
    async getStreamIdForEventId(id) {
      return events[id - 1]?.stream;
    },
    async replayEventsAfter(id, { send }) {
      const { stream } = events[id - 1];
      for (const [index, event] of events.entries()) {
        const isMissed = index >= id && event.stream === stream && Object.keys(event.message).length > 0;
        if (isMissed) await send(`${index + 1}`, event.message);
      }
      return stream;
    },
  };
}

// The tools of both MCP servers, registered alike by both SDKs.
import { z } from 'zod';

/** `whoami` answers the subject of the token that arrived; `echo` answers what it was told. */
export function register(server, sub) {
  server.registerTool('whoami', { description: 'Whose token arrived' }, () => say(sub));
  server.registerTool(
    'echo',
    { description: 'What you said', inputSchema: z.object({ text: z.string() }) },
    ({ text }) => say(text),
  );
}

function say(text) {
  return { content: [{ type: 'text', text }] };
}

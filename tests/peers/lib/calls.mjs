// What every MCP client does: connect, list the tools, call one (several times at once if asked),
// print one line of JSON. Options: url, token, tool, args, parallel, capabilities.
import { options, say } from './peer.mjs';

export const asked = options({ tool: 'whoami', args: {}, parallel: 1, capabilities: {} });

/** A refusal by the server is a result here, not a failure of the script: tests look at it. */
export async function play(client, transport) {
  try {
    await client.connect(transport);
    const { tools } = await client.listTools();
    const call = () => client.callTool({ name: asked.tool, arguments: asked.args });
    const results = await Promise.all(Array.from({ length: asked.parallel }, call));
    say({ tools: tools.map(({ name }) => name), results });
  } catch (error) {
    const { name, message, code, data } = error;
    say({ error: { name, message, code, data } });
  } finally {
    await client.close();
  }
}

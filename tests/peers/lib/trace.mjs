// What an official client does with the server `mcp-server-everything.mjs`, one thing after another: the
// client's half of MCP. What came of it is said as one line of JSON, so that two ways to one server can
// be compared. Options: url, token, mode (of SDK 2.x).
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { options, say } from './peer.mjs';

export const asked = options({ mode: 'auto' });

export const capabilities = { sampling: {}, elicitation: { form: {} }, roots: {} };

/** Of the person, and of the model, whom the server asks. */
export const answers = {
  'sampling/createMessage': ({ params: { messages: [{ content }] } }) => ({
    role: 'assistant', content: { type: 'text', text: `About: ${content.text}` }, model: 'none', stopReason: 'endTurn',
  }),
  'elicitation/create': ({ params: { requestedSchema: { properties } } }) => ({
    action: 'accept', content: Object.fromEntries(Object.entries(properties).map(([name, { type }]) => [name, type === 'boolean' || `my ${name}`])),
  }),
  'roots/list': () => ({ roots: [{ uri: 'file:///home/ada', name: 'home' }] }),
};

const WATCHED = 'test://watched-resource';
const LARGE = 6 * 1024 * 1024;
/** For something to happen at the server. */
const PATIENCE = 10_000;

/**
 * `call(params, options)` calls a tool, `watch(uri)` asks to be told of changes, and `updated` are the URIs of
 * which it was told.
 */
export async function trace(client, transport, { call, watch, updated }) {
  const did = {};
  try {
    await client.connect(transport);
    did.server = client.getServerVersion().name;
    did.capabilities = client.getServerCapabilities();
    did.tools = await client.listTools();
    did.resources = await client.listResources();
    did.templates = await client.listResourceTemplates();
    did.prompts = await client.listPrompts();

    const progress = [];
    const onprogress = (one) => { progress.push(one); };
    did.worked = await call({ name: 'test_tool_with_progress', arguments: {} }, { onprogress });
    did.progress = progress;
    did.cancelled = await cancelled(call);
    did.failed = await call({ name: 'test_error_handling', arguments: {} });
    did.unknown = await refused(call({ name: 'nothing', arguments: {} }));
    did.sampled = await call({ name: 'test_sampling', arguments: { prompt: 'Why?' } });
    did.elicited = await call({ name: 'test_elicitation', arguments: { message: 'Who?' } });
    did.roots = await call({ name: 'test_input_required_result_list_roots', arguments: {} });
    did.rounds = await call({ name: 'test_input_required_result_multi_round', arguments: {} });
    did.several = await call({ name: 'test_input_required_result_multiple_inputs', arguments: {} });

    did.read = await client.readResource({ uri: 'test://static-binary' });
    did.template = await client.readResource({ uri: 'test://template/7/data' });
    did.missing = await refused(client.readResource({ uri: 'test://nothing' }));
    await watch(WATCHED);
    await call({ name: 'test_trigger_resource_update', arguments: {} });
    await until(() => updated.length > 0);
    did.updated = updated;

    const argument = { name: 'arg1', value: 'par' };
    did.completed = await client.complete({ ref: { type: 'ref/prompt', name: 'test_prompt_with_arguments' }, argument });
    did.prompt = await client.getPrompt({ name: 'test_prompt_with_arguments', arguments: { arg1: 'a', arg2: 'ä "b"' } });
    did.prompted = await client.getPrompt({ name: 'test_input_required_result_prompt' });

    const { content: [{ text }] } = await call({ name: 'test_large', arguments: { bytes: LARGE } });
    did.large = { length: text.length, sha256: createHash('sha256').update(text).digest('hex') };
  } catch (error) {
    did.error = await refused(Promise.reject(error));
  } finally {
    await client.close();
  }
  say(did);
}

/** Whether the server was told, while it worked. */
async function cancelled(call) {
  const calls = async () => JSON.parse((await call({ name: 'test_calls', arguments: {} })).content[0].text);
  const before = await calls();
  const nobody = new AbortController();
  const waiting = refused(call({ name: 'test_wait', arguments: {} }, { signal: nobody.signal }));
  await until(async () => (await calls()).waiting > before.waiting);
  nobody.abort('enough');
  await waiting;
  await until(async () => (await calls()).cancelled > before.cancelled);
  return true;
}

async function refused(promise) {
  const { name, message, code, data } = await promise.then(() => ({ name: 'nobody refused' }), (error) => error);
  return { name, message, code, data };
}

async function until(happened) {
  const end = Date.now() + PATIENCE;
  while (!await happened()) {
    if (Date.now() > end) throw new Error(`it did not happen: ${happened}`);
    await sleep(20);
  }
}

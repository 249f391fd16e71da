// What MCP's conformance suite asks a server for, by the names that it gives them, and what the official
// clients can do besides. Written once for all revisions: what a tool asks its client for is a result in
// 2026-07-28, and a request of the server's before.
import { setTimeout as sleep } from 'node:timers/promises';
import {
  completable, createRequestStateCodec, fromJsonSchema, inputRequired, inputResponse, McpServer,
  MissingRequiredClientCapabilityError, ResourceTemplate,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { asked, enums, primitives, schema2020 } from './schemas.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';
const PACE = 50;
const state = createRequestStateCodec({ key: 'nobody has to guess this one, in a test' });

/** `notify` tells those who listen in 2026-07-28; `calls` counts the calls that were cancelled. */
export function everything(notify, calls) {
  const server = new McpServer(
    { name: 'everything', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: state.verify },
    },
  );
  tools(server);
  working(server, notify, calls);
  asking(server);
  rounds(server);
  resources(server);
  prompts(server);
  return server;
}

/** Each kind of content. */
function tools(server) {
  const image = { type: 'image', data: PNG, mimeType: 'image/png' };
  const resource = (uri, mimeType, text) => ({ type: 'resource', resource: { uri, mimeType, text } });
  const mixed = resource('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}');
  const contents = {
    test_simple_text: [words('This is a simple text response for testing.')],
    test_image_content: [image],
    test_audio_content: [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }],
    test_embedded_resource: [resource('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
    test_multiple_content_types: [words('Multiple content types test:'), image, mixed],
  };
  for (const [name, content] of Object.entries(contents)) tool(server, name, () => ({ content }));
  tool(server, 'test_error_handling', () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
  tool(server, 'test_large', ({ bytes }) => say('x'.repeat(bytes)), z.object({ bytes: z.number().int() }));
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Tool with JSON Schema 2020-12 features', inputSchema: fromJsonSchema(schema2020) },
    () => say('as it should be'),
  );
  server.registerTool(
    'test_header',
    { description: 'Its argument is in a header, too', inputSchema: fromJsonSchema({
      type: 'object',
      properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
      required: ['region'],
    }) },
    ({ region }) => say(region),
  );
}

/** What is said while a tool works, or changes by it. */
function working(server, notify, calls) {
  tool(server, 'test_tool_with_progress', async (_args, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await sleep(PACE);
      if (progressToken === undefined) continue;
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
    }
    return say('Done');
  });
  const logging = async (_args, { mcpReq }) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.log('info', data);
      await sleep(PACE);
    }
    return say('Done');
  };
  tool(server, 'test_tool_with_logging', logging);
  tool(server, 'test_logging_tool', logging);
  tool(server, 'test_wait', async (_args, { mcpReq }) => {
    calls.waiting += 1;
    mcpReq.signal.addEventListener('abort', () => { calls.cancelled += 1; });
    await sleep(60_000, undefined, { signal: mcpReq.signal });
    return say('It came to its end');
  });
  tool(server, 'test_calls', () => say(JSON.stringify(calls)));
  // The caller's stream ends before its answer, which they fetch (SEP-1699).
  tool(server, 'test_reconnection', async (_args, { http }) => {
    http?.closeSSE?.();
    await sleep(PACE);
    return say('Reconnected');
  });
  const changes = {
    test_trigger_tool_change: [notify.toolsChanged, () => server.sendToolListChanged()],
    test_trigger_prompt_change: [notify.promptsChanged, () => server.sendPromptListChanged()],
    test_trigger_resource_update: [
      () => notify.resourceUpdated('test://watched-resource'),
      () => server.server.sendResourceUpdated({ uri: 'test://watched-resource' }),
    ],
  };
  for (const [name, [modern, legacy]] of Object.entries(changes)) {
    tool(server, name, async (_args, { sessionId }) => {
      await (sessionId ? legacy() : modern());
      return say('Changed');
    });
  }
}

/** Tools that need something of their client once. */
function asking(server) {
  const answered = (name, key, request, result, inputSchema) =>
    tool(server, name, (args, { mcpReq }) => {
      const answer = inputResponse(mcpReq.inputResponses, key);
      if (answer.kind === 'missing') return inputRequired({ inputRequests: { [key]: request(args) } });
      return say(result(answer));
    }, inputSchema);
  const elicited = ({ action, content }) => `action=${action}, content=${JSON.stringify(content ?? {})}`;
  const completed = (answer) => `Elicitation completed: ${elicited(answer)}`;
  const form = (message, requestedSchema) => () => inputRequired.elicit({ message, requestedSchema });
  answered(
    'test_sampling', 'answer', ({ prompt }) => sample(prompt, 100),
    ({ result }) => `LLM response: ${result.content.text}`, z.object({ prompt: z.string() }),
  );
  answered(
    'test_elicitation', 'user', ({ message }) => inputRequired.elicit({ message, requestedSchema: asked('username', 'email') }),
    (answer) => `User response: ${elicited(answer)}`, z.object({ message: z.string() }),
  );
  answered('test_elicitation_sep1034_defaults', 'form', form('Please review these', primitives), completed);
  answered('test_elicitation_sep1330_enums', 'form', form('Please choose', enums), completed);
  answered('test_streaming_elicitation', 'name', form('What is your name?', asked('name')), completed);
  answered('test_missing_capability', 'answer', () => sample('Anything', 10), ({ result }) => result.content.text);
  answered(
    'test_input_required_result_sampling', 'capital_question', () => sample('What is the capital of France?', 100),
    ({ result }) => result.content.text,
  );
  answered(
    'test_input_required_result_list_roots', 'client_roots', () => inputRequired.listRoots(),
    ({ roots }) => roots.map(({ uri }) => uri).join(' '),
  );
  const hello = ({ content }) => `Hello, ${content?.name}!`;
  answered('test_input_required_result_elicitation', 'user_name', form('What is your name?', asked('name')), hello);
  tool(server, 'test_input_required_result_capabilities', (_args, { mcpReq }) => {
    const { sampling, elicitation } = mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
    const inputRequests = {
      ...(sampling && { question: sample('Anything', 10) }),
      ...(elicitation && { name: inputRequired.elicit({ message: 'Your name?', requestedSchema: asked('name') }) }),
    };
    if (!sampling && !elicitation) throw new MissingRequiredClientCapabilityError({ requiredCapabilities: { sampling: {} } });
    return inputRequired({ inputRequests });
  });
}

/** Tools that keep a state over rounds, at their client. */
function rounds(server) {
  const ok = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };
  const confirm = () => inputRequired.elicit({ message: 'Please confirm', requestedSchema: ok });
  const stateful = (name, inputRequests, done) => tool(server, name, async (_args, { mcpReq }) => {
    const missing = Object.keys(inputRequests).some((key) => inputResponse(mcpReq.inputResponses, key).kind === 'missing');
    if (!missing && mcpReq.requestState()) return say(done);
    return inputRequired({ inputRequests, requestState: await state.mint({ round: 1 }) });
  });
  stateful('test_input_required_result_request_state', { confirm: confirm() }, 'state-ok');
  stateful('test_input_required_result_tampered_state', { confirm: confirm() }, 'state-ok');
  stateful('test_input_required_result_multiple_inputs', {
    user_name: inputRequired.elicit({ message: 'What is your name?', requestedSchema: asked('name') }),
    greeting: sample('Generate a greeting', 50),
    client_roots: inputRequired.listRoots(),
  }, 'All of it came');
  const steps = [
    { step1: inputRequired.elicit({ message: 'Step 1: What is your name?', requestedSchema: asked('name') }) },
    { step2: inputRequired.elicit({ message: 'Step 2: What is your favorite color?', requestedSchema: asked('color') }) },
  ];
  tool(server, 'test_input_required_result_multi_round', async (_args, { mcpReq }) => {
    const { round = 0 } = mcpReq.requestState() ?? {};
    if (round === steps.length) return say('Three rounds');
    return inputRequired({ inputRequests: steps[round], requestState: await state.mint({ round: round + 1 }) });
  });
}

function resources(server) {
  const fixed = {
    'test://static-text': { mimeType: 'text/plain', text: 'This is the content of the static text resource.' },
    'test://static-binary': { mimeType: 'image/png', blob: PNG },
    'test://watched-resource': { mimeType: 'text/plain', text: 'Watched resource content' },
    'test://example-resource': { mimeType: 'text/plain', text: 'An example' },
  };
  for (const [uri, content] of Object.entries(fixed)) {
    const about = { description: `What is at ${uri}`, mimeType: content.mimeType };
    server.registerResource(uri.slice('test://'.length), uri, about, () => ({ contents: [{ uri, ...content }] }));
  }
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'Data by its id', mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }],
    }),
  );
  for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
    server.server.setRequestHandler(method, () => ({}));
  }
}

function prompts(server) {
  const user = (content) => ({ role: 'user', content });
  const prompt = (name, messages, argsSchema) =>
    server.registerPrompt(name, { description: `The prompt ${name}`, argsSchema }, messages);
  prompt('test_simple_prompt', () => ({ messages: [user(words('This is a simple prompt for testing.'))] }));
  prompt(
    'test_prompt_with_arguments',
    ({ arg1, arg2 }) => ({ messages: [user(words(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] }),
    z.object({
      arg1: completable(z.string(), (value) => ['paris', 'park', 'party'].filter((one) => one.startsWith(value))),
      arg2: z.string(),
    }),
  );
  prompt(
    'test_prompt_with_embedded_resource',
    ({ resourceUri }) => ({
      messages: [
        user({ type: 'resource', resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' } }),
        user(words('Please process the embedded resource above.')),
      ],
    }),
    z.object({ resourceUri: z.string() }),
  );
  prompt('test_prompt_with_image', () => ({
    messages: [user({ type: 'image', data: PNG, mimeType: 'image/png' }), user(words('Please analyze the image above.'))],
  }));
  server.registerPrompt('test_input_required_result_prompt', { description: 'It asks first' }, ({ mcpReq }) => {
    const { content } = inputResponse(mcpReq.inputResponses, 'user_context');
    if (content) return { messages: [user(words(`In the context of ${content.context}`))] };
    const question = { message: 'What context should the prompt use?', requestedSchema: asked('context') };
    return inputRequired({ inputRequests: { user_context: inputRequired.elicit(question) } });
  });
}

/** A tool whose handler always gets its arguments first. */
function tool(server, name, handler, inputSchema = z.object({})) {
  server.registerTool(name, { description: `The tool ${name}`, inputSchema }, handler);
}

function sample(text, maxTokens) {
  return inputRequired.createMessage({ messages: [{ role: 'user', content: words(text) }], maxTokens });
}

function words(text) {
  return { type: 'text', text };
}

function say(text) {
  return { content: [words(text)] };
}

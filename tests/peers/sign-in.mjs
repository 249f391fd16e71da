// Gets tokens for a person as an MCP client would, and prints them as one line of JSON. Options:
// issuer, resource, person, client_id, client_secret, redirect_uri, scope, decision.
import { options, say } from './lib/peer.mjs';
import { signIn } from './lib/sign-in.mjs';

const { tokens } = await signIn(options({
  client_id: 'mcp-client',
  redirect_uri: 'http://127.0.0.1:4280/callback',
  scope: 'openid mcp:use',
}));
say(tokens);

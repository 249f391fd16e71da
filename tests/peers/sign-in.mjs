// Gets tokens for a person as an MCP client would, and prints them as one line of JSON. Options:
// issuer, resource, person, client_id, client_secret, redirect_uri, scope, decision. With people, a list
// of names, it prints a list of tokens.
import { options, say } from './lib/peer.mjs';
import { signIn } from './lib/sign-in.mjs';

const { people, ...asked } = options({
  client_id: 'mcp-client',
  redirect_uri: 'http://127.0.0.1:4280/callback',
  scope: 'openid mcp:use',
});
const tokensOf = async (person) => (await signIn({ ...asked, person })).tokens;
say(people ? await Promise.all(people.map(tokensOf)) : await tokensOf(asked.person));

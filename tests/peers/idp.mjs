// The company's identity provider. Options: redirect_uris (of the client `attache`), resources (the
// gateway's: what JWT access tokens may name as their audience), access_token_ttl in seconds, port.
import { options, serve } from './lib/peer.mjs';
import { pages, people, provider, resourceIndicators } from './lib/provider.mjs';

const { port, redirect_uris, resources, access_token_ttl } = options({
  port: 0,
  redirect_uris: ['http://127.0.0.1/login/callback'],
  resources: [],
  access_token_ttl: 600,
});
const grant_types = ['authorization_code', 'refresh_token'];
const gateway = { client_id: 'attache', client_secret: 'attache-secret', redirect_uris, grant_types };
const mcpClient = {
  client_id: 'mcp-client',
  application_type: 'native', // RFC 8252: any port of the loopback redirect
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
  grant_types,
};

await serve(port, (url) => {
  const idp = provider(url, 'idp', {
    clients: [gateway, mcpClient],
    conformIdTokenClaims: false, // e-mail and groups in the ID token, as companies have them
    extraTokenClaims: (_ctx, token) => claimsOf(token.accountId),
    features: {
      resourceIndicators: resourceIndicators(resources, {
        scope: 'mcp:use',
        accessTokenFormat: 'jwt',
        accessTokenTTL: access_token_ttl,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    ttl: { AccessToken: access_token_ttl, Grant: 86_400, IdToken: 600, Interaction: 600, RefreshToken: 86_400, Session: 86_400 },
  });
  pages(idp, { consent: 'granted' });
  return { handler: idp.callback(), ...gateway };
});

function claimsOf(id) {
  const { sub, ...claims } = people[id] ?? {};
  return claims;
}

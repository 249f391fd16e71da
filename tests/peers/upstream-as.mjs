// The upstream's authorization server: strict and forgetful. Options: redirect_uris (of the client
// `attache-gateway`), resources (the upstream MCP URLs), access_token_ttl in seconds, token_delay in
// milliseconds (so that callers pile up behind a refresh), documents (reads clients' metadata documents),
// registers (RFC 7591), pushed (takes requests by RFC 9126 only), proved (clients that it learns of prove
// themselves with a key), origins (what of the web is elsewhere), port. What it was asked is at /stats.
import { setTimeout as sleep } from 'node:timers/promises';
import { elsewhere } from './lib/elsewhere.mjs';
import { options, serve } from './lib/peer.mjs';
import { pages, provider, resourceIndicators } from './lib/provider.mjs';

const { port, redirect_uris, resources, access_token_ttl, token_delay, documents, registers, pushed, proved, origins } = options({
  port: 0,
  redirect_uris: ['http://127.0.0.1/callback'],
  resources: [],
  access_token_ttl: 5,
  token_delay: 0,
  documents: false,
  registers: true,
  pushed: false,
  proved: false,
  origins: {},
});
const gateway = {
  client_id: 'attache-gateway',
  client_secret: 'attache-gateway-secret',
  redirect_uris,
  grant_types: ['authorization_code', 'refresh_token'],
};
/** The MCP server: it may introspect (RFC 7662), and nothing else. */
const introspector = {
  client_id: 'mcp-server',
  client_secret: 'mcp-server-secret',
  redirect_uris: [],
  response_types: [],
  grant_types: [],
};

await serve(port, (url) => {
  const as = provider(url, 'upstream', {
    clients: [gateway, introspector],
    fetch: elsewhere(origins),
    // The MCP server introspects by `client_secret_basic`.
    ...(proved && { clientAuthMethods: ['private_key_jwt', 'client_secret_basic'] }),
    scopes: ['openid', 'offline_access', 'mcp:use', 'mcp:write'],
    rotateRefreshToken: true,
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    features: {
      introspection: { enabled: true },
      clientIdMetadataDocument: { enabled: documents, ack: 'draft-02' },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: pushed },
      registration: { enabled: registers },
      // A token request that leaves out `resource` gets a token that is good for nothing (OC-11).
      resourceIndicators: resourceIndicators(resources, { scope: 'mcp:use mcp:write', accessTokenTTL: access_token_ttl }),
      revocation: { enabled: true },
    },
    ttl: { AccessToken: access_token_ttl, Grant: 86_400, IdToken: 600, Interaction: 600, RefreshToken: 86_400, Session: 86_400 },
  });
  count(as);
  pages(as, { consent: 'asked' });
  return { handler: as.callback(), client_id: gateway.client_id, client_secret: gateway.client_secret };
});

/** Counts what a test must know: `refresh_token.granted` is the number of refreshes that spent a token. */
function count(as) {
  const stats = {
    authorization_code: { granted: 0, refused: 0 },
    refresh_token: { granted: 0, refused: 0 },
    reused: 0, // refresh tokens presented twice: the grant is revoked for it
    revocations: 0, // RFC 7009 requests answered 200
    introspections: 0,
    registered: 0, // clients by RFC 7591
    pushed: 0, // authorization requests by RFC 9126
    clients: [], // whose grants succeeded, and by which method they proved who they are
  };
  as.use(async (ctx, next) => {
    if (ctx.path === '/stats') {
      ctx.body = stats;
      return;
    }
    if (ctx.path === '/token') await sleep(token_delay);
    await next();
    if (ctx.path === '/token/revocation' && ctx.status === 200) stats.revocations += 1;
    if (ctx.path === '/reg' && ctx.status === 201) stats.registered += 1;
    if (ctx.path === '/request' && ctx.status === 201) stats.pushed += 1;
    if (ctx.path === '/token/introspection') stats.introspections += 1;
  });
  as.on('grant.success', ({ oidc: { client, params } }) => {
    stats[params.grant_type].granted += 1;
    const known = stats.clients.some(({ id }) => id === client.clientId);
    if (!known) stats.clients.push({ id: client.clientId, method: client.clientAuthMethod });
  });
  as.on('grant.error', (ctx, error) => {
    const kind = stats[ctx.oidc?.params?.grant_type];
    if (kind) kind.refused += 1;
    if (error.error_detail === 'refresh token already used') stats.reused += 1;
  });
}

// An Express app whose /mcp wants a bearer token that the authorization server knows and that was
// issued for this very server. All headers and bodies that reached /mcp are at /recorded.
import { requireBearerAuth } from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js';
import { getOAuthProtectedResourceMetadataUrl, mcpAuthMetadataRouter } from '@modelcontextprotocol/sdk/server/auth/router.js';
import { InvalidTokenError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { createMcpExpressApp } from '@modelcontextprotocol/sdk/server/express.js';

const SCOPE = 'mcp:use';
/** What a call of `echo` needs besides: nobody is told before they try. */
const ECHO_SCOPE = 'mcp:write';
/** Requests remembered: the latest are kept. */
const MOST_RECORDED = 500;

export async function protectedApp(url, { issuer, client_id, client_secret }) {
  const resource = new URL('/mcp', url);
  const metadata = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  const app = createMcpExpressApp();
  const recorded = [];
  app.get('/recorded', (_req, res) => res.json(recorded));
  app.use('/mcp', (req, _res, next) => {
    // Not `req.headers`: it hides a header that came twice.
    recorded.push({ method: req.method, url: req.originalUrl, headers: req.headersDistinct, body: req.body ?? null });
    if (recorded.length > MOST_RECORDED) recorded.shift();
    next();
  });
  app.use(mcpAuthMetadataRouter({ oauthMetadata: metadata, resourceServerUrl: resource, scopesSupported: [SCOPE] }));
  const guard = (...requiredScopes) => requireBearerAuth({
    verifier: { verifyAccessToken: (token) => introspect(metadata.introspection_endpoint, client_id, client_secret, token) },
    requiredScopes,
    resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource),
    expectedResource: resource,
  });
  const [usual, forEcho] = [guard(SCOPE), guard(SCOPE, ECHO_SCOPE)];
  app.use('/mcp', (req, res, next) => {
    const { method, params } = req.body ?? {};
    const isEcho = method === 'tools/call' && params?.name === 'echo';
    return (isEcho ? forEcho : usual)(req, res, next);
  });
  return { app, resource: resource.href };
}

/** RFC 7662: whose token it is, and for what. */
async function introspect(endpoint, client_id, client_secret, token) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${client_id}:${client_secret}`)}` },
    body: new URLSearchParams({ token }),
  });
  const { active, aud, client_id: clientId, exp, scope = '', sub } = await response.json();
  if (!active) throw new InvalidTokenError('not active');
  return {
    token,
    clientId,
    scopes: scope.split(' ').filter(Boolean),
    expiresAt: exp,
    resource: aud && new URL(aud),
    extra: { sub },
  };
}

// The company's identity provider, for a script that runs it and for one that plays the whole company.
import { errors, pages, people, provider, resourceIndicators } from './provider.mjs';

const grant_types = ['authorization_code', 'refresh_token'];
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:';
const mcpClient = {
  client_id: 'mcp-client',
  application_type: 'native', // RFC 8252: any port of the loopback redirect
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
  grant_types,
};

/**
 * The handler of its requests, and as whom the gateway signs people in there. With `assert` the gateway may
 * exchange ID tokens (RFC 8693): that says what is given for one that is good.
 */
export function identityProvider(url, { redirect_uris, resources, access_token_ttl, backchannel_logout_uri, assert }) {
  const gateway = {
    client_id: 'attache',
    client_secret: 'attache-secret',
    redirect_uris,
    grant_types: assert ? [...grant_types, TOKEN_EXCHANGE] : grant_types,
    ...(backchannel_logout_uri && { backchannel_logout_uri, backchannel_logout_session_required: true }),
  };
  const idp = provider(url, 'idp', {
    clients: [gateway, mcpClient],
    // Without the dispatcher that keeps it from loopback: there the gateway is.
    fetch: (url, { dispatcher, ...how }) => fetch(url, how),
    conformIdTokenClaims: false, // e-mail and groups in the ID token, as companies have them
    extraTokenClaims: (_ctx, token) => claimsOf(token.accountId),
    features: {
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource: askToSignOut },
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
  if (assert) exchanges(idp, assert);
  pages(idp, { consent: 'granted' });
  return { handler: idp.callback(), ...gateway };
}

/** The form is the provider's own; its button is ours. */
function askToSignOut(ctx, form) {
  ctx.body = `<!doctype html><title>Sign out?</title>${form.replace('</form>', '<button name="logout" value="yes">Yes</button></form>')}`;
}

function claimsOf(id) {
  const { sub, ...claims } = people[id] ?? {};
  return claims;
}

/** What oidc-provider leaves to its host: who may exchange what. Client and form it has checked. */
function exchanges(idp, assert) {
  const parameters = ['requested_token_type', 'audience', 'resource', 'subject_token', 'subject_token_type', 'scope'];
  idp.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    const { client, params } = ctx.oidc;
    if (params.subject_token_type !== `${TOKEN_TYPE}id_token`) throw new errors.InvalidRequest('no ID token');
    const { payload } = await idp.IdToken.validate(params.subject_token, client).catch(() => {
      throw new errors.InvalidGrant('not an ID token for this client');
    });
    if (payload.exp < Date.now() / 1000) throw new errors.InvalidGrant('an ID token that expired');
    ctx.body = await assert(params, payload);
  }, parameters);
}

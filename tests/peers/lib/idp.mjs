// The company's identity provider, for a script that runs it and for one that plays the whole company.
import { pages, people, provider, resourceIndicators } from './provider.mjs';

const grant_types = ['authorization_code', 'refresh_token'];
const mcpClient = {
  client_id: 'mcp-client',
  application_type: 'native', // RFC 8252: any port of the loopback redirect
  token_endpoint_auth_method: 'none',
  redirect_uris: ['http://127.0.0.1/callback'],
  grant_types,
};

/** The handler of its requests, and as whom the gateway signs people in there. */
export function identityProvider(url, { redirect_uris, resources, access_token_ttl, backchannel_logout_uri }) {
  const gateway = {
    client_id: 'attache',
    client_secret: 'attache-secret',
    redirect_uris,
    grant_types,
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

// The certified oidc-provider with people, keys and pages: all that it leaves to its host.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import Provider, { errors } from 'oidc-provider';

export { errors };

const EMAIL_DOMAIN = 'example.com';

/** Everyone there is. The login name is the subject; there are no passwords. */
export const people = {
  ada: person('ada', 'Ada Lovelace', ['engineering']),
  grace: person('grace', 'Grace Hopper', ['engineering', 'platform']),
  ...Object.fromEntries([
    ['alan', 'Alan Turing'], ['annie', 'Annie Easley'], ['dennis', 'Dennis Ritchie'], ['edsger', 'Edsger Dijkstra'],
    ['frances', 'Frances Allen'], ['hedy', 'Hedy Lamarr'], ['jean', 'Jean Bartik'], ['john', 'John Backus'],
    ['karen', 'Karen Spärck Jones'], ['mary', 'Mary Jackson'],
  ].map(([sub, name]) => [sub, person(sub, name, [])])),
};

function person(sub, name, groups) {
  return { sub, name, email: `${sub}@${EMAIL_DOMAIN}`, email_verified: true, groups };
}

/**
 * A provider that forces PKCE, with keys made at start.
 * `realm` prefixes its cookies: a browser shares cookies between ports of one host.
 */
export function provider(issuer, realm, configuration) {
  const made = new Provider(issuer, {
    jwks: { keys: [signingKey('RS256', 'rsa', { modulusLength: 2048 }), signingKey('ES256', 'ec', { namedCurve: 'P-256' })] },
    findAccount: (_ctx, id) => people[id] && { accountId: id, claims: () => people[id] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    pkce: { required: () => true },
    cookies: {
      keys: [randomBytes(32).toString('base64url')],
      names: { session: `${realm}_session`, interaction: `${realm}_interaction`, resume: `${realm}_resume` },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    expiresWithSession: () => false,
    ...configuration,
    features: { devInteractions: { enabled: false }, ...configuration.features },
  });
  made.on('server_error', (_ctx, error) => console.error(error));
  return made;
}

function signingKey(alg, type, parameters) {
  const { privateKey } = generateKeyPairSync(type, parameters);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig', kid: alg };
}

/** One resource server (RFC 8707) for each indicator known; any other is `invalid_target`. */
export function resourceIndicators(known, server) {
  return {
    enabled: true,
    getResourceServerInfo(_ctx, resource) {
      if (!known.includes(resource)) throw new errors.InvalidTarget();
      return { audience: resource, ...server };
    },
  };
}

/**
 * Serves the two pages: who are you, and may this client act for you.
 * With `consent: 'granted'` the second is not shown.
 */
export function pages(made, { consent }) {
  made.use(async (ctx, next) => {
    if (!ctx.path.startsWith('/interaction/')) return next();
    const details = await made.interactionDetails(ctx.req, ctx.res);
    const asksConsent = details.prompt.name === 'consent';
    if (ctx.method === 'GET' && !(asksConsent && consent === 'granted')) {
      ctx.type = 'html';
      ctx.body = asksConsent ? consentPage(details) : loginPage(details);
      return;
    }
    const form = new URLSearchParams(await text(ctx.req));
    const result = asksConsent ? await decide(made, details, form) : login(form);
    if (!result) ctx.throw(400, 'nobody of that name');
    ctx.respond = false;
    await made.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: asksConsent });
  });
}

function login(form) {
  const accountId = form.get('login');
  return people[accountId] && { login: { accountId } };
}

async function decide(made, { prompt, params, session, grantId }, form) {
  if (form.get('decision') === 'deny') return { error: 'access_denied' };
  const grant = grantId
    ? await made.Grant.find(grantId)
    : new made.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims, missingResourceScopes } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(' '));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(missingResourceScopes ?? {})) {
    grant.addResourceScope(resource, scopes.join(' '));
  }
  return { consent: { grantId: await grant.save() } };
}

function loginPage({ uid }) {
  return `<!doctype html><title>Sign in</title>
<form method="post" action="/interaction/${uid}"><input name="login" autofocus><button>Sign in</button></form>`;
}

function consentPage({ uid, session }) {
  return `<!doctype html><title>Allow access?</title><p>Signed in as ${session.accountId}</p>
<form method="post" action="/interaction/${uid}"><button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>`;
}

// The authorization code flow by a strict client (openid-client), with a browser to play the person.
import * as oauth from 'openid-client';
import { Browser } from './browser.mjs';

/**
 * Signs a person in, checks everything the specifications ask a client to check, and answers the
 * client (for more requests) and the tokens. A refusal throws.
 */
export async function signIn({
  issuer, client_id, client_secret, redirect_uri, scope, resource, person, decision = 'allow', browser = new Browser(),
}) {
  const config = await oauth.discovery(
    new URL(issuer),
    client_id,
    undefined,
    client_secret ? oauth.ClientSecretBasic(client_secret) : oauth.None(),
    { execute: [oauth.allowInsecureRequests] }, // loopback
  );
  const verifier = oauth.randomPKCECodeVerifier();
  const state = oauth.randomState();
  const target = resource ? { resource } : {};
  const start = oauth.buildAuthorizationUrl(config, {
    redirect_uri,
    scope,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...target,
  });
  const page = await browser.open(start, { answers: { login: person, decision }, until: redirect_uri });
  if (page.html) throw new Error(`no redirect back: ${page.status} at ${page.url}`);
  const checks = { pkceCodeVerifier: verifier, expectedState: state, idTokenExpected: scope.split(' ').includes('openid') };
  const tokens = await oauth.authorizationCodeGrant(config, new URL(page.url), checks, target);
  return { config, tokens };
}

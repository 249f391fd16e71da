// The company's identity provider. Options: redirect_uris (of the client `attache`), resources (the
// gateway's: what JWT access tokens may name as their audience), access_token_ttl in seconds, port,
// backchannel_logout_uri (of the same client).
import { identityProvider } from './lib/idp.mjs';
import { options, serve } from './lib/peer.mjs';

const { port, ...how } = options({
  port: 0,
  redirect_uris: ['http://127.0.0.1/login/callback'],
  resources: [],
  access_token_ttl: 600,
});
await serve(port, (url) => identityProvider(url, how));

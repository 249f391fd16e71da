// Origins that are served elsewhere: in place of a name server, and of the proxy that ends TLS before a
// gateway. What an https origin is asked goes, with its name in `Host`, to the port given for it.
import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** `fetch`, for which some origins are at others: `{"https://gw.example.com": "http://127.0.0.1:8080"}`. */
export function elsewhere(origins) {
  return async (address, init = {}) => {
    const url = new URL(address);
    const there = origins[url.origin];
    return there ? send(url, new URL(url.pathname + url.search, there), init) : fetch(url, init);
  };
}

async function send({ host }, there, { method = 'GET', headers = {}, body, signal }) {
  const asked = new Request(there, { method, headers, body });
  const content = Buffer.from(await asked.arrayBuffer());
  const answer = await new Promise((resolve, reject) => {
    request(there, { method, headers: { ...Object.fromEntries(asked.headers), host }, signal }, resolve)
      .on('error', reject)
      .end(content);
  });
  const { statusCode: status, headersDistinct } = answer;
  const pairs = Object.entries(headersDistinct).flatMap(([name, values]) => values.map((value) => [name, value]));
  const empty = status === 204 || status === 304;
  return new Response(empty ? null : await buffer(answer), { status, headers: pairs });
}

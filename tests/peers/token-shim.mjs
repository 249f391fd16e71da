// Adds a token to each request for a server, for clients that have no way to send one, and changes nothing
// else: bodies pass as they come, and so do foreign hosts and origins. Who asks for it by its own name
// asks for the server by the server's. Options: to (the server's origin), token, port.
import { Agent, request } from 'node:http';
import { options, serve } from './lib/peer.mjs';

const { to, token, port } = options({ port: 0 });
const { hostname, port: theirPort, host: theirs } = new URL(to);
const agent = new Agent({ keepAlive: true });

await serve(port, (url) => {
  const { host: ours } = new URL(url);
  const handler = (req, res) => {
    const asked = request({ agent, hostname, port: theirPort, method: req.method, path: req.url, headers: outward(req, ours) });
    asked.on('response', (answer) => {
      res.writeHead(answer.statusCode, answer.rawHeaders).flushHeaders();
      answer.on('error', () => res.destroy()).pipe(res);
    });
    asked.on('error', () => res.destroy());
    res.on('close', () => res.writableFinished || asked.destroy());
    req.pipe(asked);
  };
  return { handler };
});

function outward({ rawHeaders }, ours) {
  const isName = (text) => text === ours || text === `http://${ours}`;
  const headers = rawHeaders.map((text) => (isName(text) ? text.replace(ours, theirs) : text));
  return [...headers, 'Authorization', `Bearer ${token}`];
}

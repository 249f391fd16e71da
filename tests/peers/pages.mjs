// Ada and Grace walk through every page of a gateway, in Chromium. It prints which pages they saw, and all that
// was wrong with one: see lib/chromium.mjs. Options: gateway. ATTACHE_PICTURES is a folder for the documentation's.
// The gateway has `notes` and `api` (people approve in the sandbox), `wiki` (at upstream-as.mjs) and `weather`,
// whose key is `sunny`; people sign in at the sandbox.
import { createHash, randomBytes } from 'node:crypto';
import { Chromium } from './lib/chromium.mjs';
import { listen, options, say } from './lib/peer.mjs';

/** All of it: a page that waits for something that never comes is a failure, and soon. */
const LIMIT = 90_000;
/** In milliseconds: by then a use is written into the audit. */
const WRITTEN = 600;
/** For the pictures that are worth three. */
const EVERY = ['', '-dark', '-phone'];

const { gateway } = options({});
const pictures = process.env.ATTACHE_PICTURES;
const program = await listen(0, () => ({ handler: (_, response) => response.end('<!doctype html><title>A program</title>') }));
const end = setTimeout(() => {
  process.stderr.write(`the walk was not over after ${LIMIT / 1000} s\n`);
  process.exit(1);
}, LIMIT);
const chromium = await Chromium.launch({ gateway, pictures }).catch((error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
try {
  await whatIsWrongIsFound();
  const ada = await chromium.person();
  await connects(ada);
  await entersAKey(ada);
  await makesATokenAndEndsIt(ada);
  await approvesAsSomebodyElse(ada);
  await letsAProgramIn(ada);
  await letsADeviceIn(ada);
  await isSignedInTwice(ada);
  await looksUpWhatToDo(ada);
  await looksBack(ada);
  await isLetInFromTheProgram(await chromium.person());
  await administers(ada);
  await losesTheWay(ada);
  await signsOut(ada);
  say({ seen: chromium.seen, wrong: chromium.wrong });
} catch (error) {
  process.stderr.write(`${error.stack}\n`);
  process.exitCode = 1;
}
await chromium.close();
clearTimeout(end);
process.exit();

/** A page with one fault of each kind: a walk that finds nothing there proves nothing. */
async function whatIsWrongIsFound() {
  const somebody = await chromium.person();
  const headers = { 'content-type': 'text/html', 'content-security-policy': "style-src 'unsafe-inline'; script-src 'none'" };
  const body = '<!doctype html><title>x</title><p style="width: 999px; color: #eee">faint and wide</p><script>1</script>';
  await somebody.page.route('**/wrong', (route) => route.fulfill({ status: 200, headers, body }));
  await somebody.open('/wrong');
  await somebody.look('wrong');
  for (const fault of [/html-has-lang/, /color-contrast/, /wider than the screen/, /Content Security Policy/]) {
    if (!chromium.wrong.some((words) => fault.test(words))) throw new Error(`nobody finds ${fault}: ${chromium.wrong}`);
  }
  chromium.wrong = [];
  chromium.seen = [];
}

/** By the keyboard alone: no, yes, and not any more. */
async function connects(ada) {
  await ada.open('/connect/notes');
  await ada.key('Sign in as Ada');
  await ada.look('connect', EVERY);
  await ada.key(/^Continue to/);
  await ada.key('Deny');
  await ada.look('connections-declined');
  await ada.key('Connect notes');
  await ada.key(/^Continue to/);
  await ada.key('Allow as Ada');
  await ada.look('connections-connected');
  await ada.key('Disconnect notes', { leads: false });
  await ada.look('connections-asked');
  await ada.key('Disconnect notes', { by: 'Shift+Tab' });
  await ada.look('connections-disconnected');
  await ada.press('Connect notes', 'link');
  await ada.press(/^Continue to/);
  await ada.press('Allow as Ada');
}

async function entersAKey(ada) {
  await ada.open('/connect/weather');
  await ada.look('key');
  for (const [key, sees] of [['rainy', 'key-refused'], ['sunny', 'key-connected']]) {
    await ada.page.getByLabel('Your key of weather').fill(key);
    await ada.press('Connect');
    await ada.look(sees);
  }
}

/** A colleague is signed in where the wiki's people approve. */
async function approvesAsSomebodyElse(ada) {
  const approves = async (login) => {
    await ada.press(/^Continue to/);
    await ada.page.locator('[name=login]').fill(login);
    await ada.press('Sign in');
    await ada.press('Allow');
  };
  await ada.open('/connect/wiki');
  await approves('ada');
  await ada.look('connections', EVERY);
  await ada.page.getByRole('button', { name: 'Add another account' }).first().click();
  await ada.look('connections-another-account');
  await ada.context.clearCookies({ name: /^upstream_/ });
  await ada.open('/connect/wiki');
  await ada.look('connect-again');
  await approves('grace');
  await ada.look('account', ['']);
  await ada.key(/^Keep/);
  await ada.look('connections-kept');
}

async function makesATokenAndEndsIt(ada) {
  await ada.open('/ui/tokens');
  await ada.look('tokens-empty');
  await ada.page.getByLabel('What is it for?').fill('nightly report');
  await ada.press('Make the token');
  await ada.look('tokens-nothing-chosen');
  await ada.page.getByLabel('notes', { exact: true }).check();
  await ada.press('Make the token');
  await ada.look('tokens-made');
  const token = await ada.page.locator('.made .value').innerText();
  for (let calls = 0; calls < 3; calls += 1) await lists(token);
  await ada.open('/ui/tokens');
  await ada.look('tokens', ['']);
  await confirms(ada, 'Revoke nightly report', 'tokens-asked');
}

async function letsAProgramIn(ada) {
  await ada.open('/ui/programs');
  await ada.look('programs-empty');
  const { page, redeem } = await asking();
  await ada.open(page);
  await ada.look('consent', EVERY);
  await ada.key('Let it in');
  await redeem(ada.page.url());
  const other = await asking();
  await ada.open(other.page);
  await ada.press('Do not let it in');
  await ada.open('/ui/programs');
  await ada.look('programs', ['']);
  await confirms(ada, 'End access of Notepad', 'programs-asked');
}

async function letsADeviceIn(ada) {
  const { user_code, verification_uri_complete } = await device();
  await ada.open('/device');
  await ada.look('device-code');
  for (const [code, sees] of [['BCDF-GHJK', 'device-code-wrong'], [user_code, 'device']]) {
    await ada.page.getByLabel('Code').fill(code);
    await ada.press('Continue');
    await ada.look(sees, sees === 'device' ? EVERY : []);
  }
  await ada.key('The codes are the same: let it in');
  await ada.look('device-let-in');
  await ada.open(verification_uri_complete.replace(user_code, (await device()).user_code));
  await ada.look('device-code-linked');
  await ada.press('Continue');
  await ada.press('Do not let it in');
  await ada.look('device-refused');
}

async function isSignedInTwice(ada) {
  const elsewhere = await chromium.person();
  await elsewhere.open('/ui/connections');
  await elsewhere.press('Sign in as Ada');
  await ada.open('/ui/sessions');
  await ada.look('sessions');
  await ada.press(/^Sign out the browser/);
}

/** How a program is told of one server, or of all. */
async function looksUpWhatToDo(ada) {
  await ada.open('/ui/clients');
  for (const name of ['Claude Code', 'VS Code', 'Cursor', 'Codex', 'MCP Inspector', 'TypeScript SDK', 'Python SDK']) {
    const recipe = ada.page.locator('details', { hasText: name });
    if (!await recipe.evaluate((details) => details.open)) await recipe.locator('summary').click();
  }
  await ada.look('clients');
  await ada.press('notes', 'link');
  await ada.look('clients-notes', ['']);
  await ada.press('notes-api', 'link');
  await ada.look('clients-http');
}

async function looksBack(ada) {
  await ada.page.waitForTimeout(WRITTEN);
  await ada.open('/ui/activity');
  await ada.look('activity', ['']);
  if (!/Used for (a|3) request/.test(await ada.page.locator('main').innerText())) throw new Error('no use is written down');
  await ada.open('/ui/activity?before=0.0');
  await ada.look('activity-last');
}

/** Grace comes by a program, is asked before she is anybody, and connects in the same sitting, or does not. */
async function isLetInFromTheProgram(grace) {
  const { page } = await asking();
  await grace.open(page);
  await grace.look('consent-signed-out');
  await grace.key('Let it in, and sign in');
  await grace.key('Sign in as Grace');
  await grace.look('join');
  await grace.press(/^Continue to/);
  await grace.press('Deny');
  await grace.look('join-declined');
  await grace.key('Not now');
  await grace.open('/ui/connections');
  await grace.look('connections-none-yet');
  await grace.press('Connect notes', 'link');
  await grace.press(/^Continue to/);
  await grace.press('Allow as Grace');
}

/** Ada is one of the administrators; Grace, who is erased in the end, never was. */
async function administers(ada) {
  await ada.open('/ui/connections');
  await ada.press('Administer', 'link');
  await ada.look('admin', EVERY);
  await ada.press('Audit of notes', 'link');
  await ada.look('admin-audit', ['']);
  await ada.page.getByLabel('What').selectOption('sign_in');
  await ada.press('Show');
  await ada.look('admin-audit-of-sign-ins');
  await ada.open('/ui/admin/audit?server=nowhere');
  await ada.look('admin-audit-empty');
  await ada.open('/ui/admin/keys');
  await ada.look('admin-keys');
  await ada.open('/ui/admin/people');
  await ada.look('admin-people');
  await ada.page.getByLabel('Name, address or id').fill('grace@');
  await ada.key('Search');
  await ada.look('admin-people-found');
  await ada.press('Grace Hopper', 'link');
  await ada.look('admin-person', ['']);
  await confirms(ada, 'Switch off', 'admin-person-asked');
  await ada.look('admin-person-off');
  await ada.press('Switch on');
  await ada.key('Erase', { leads: false });
  await ada.look('admin-person-to-erase');
  await ada.key('Erase everything of theirs', { by: 'Shift+Tab' });
  await ada.look('admin-person-erased');
}

/** Where a wrong turn, an old link or an old page ends. */
async function losesTheWay(ada) {
  for (const [path, sees] of [
    ['/nowhere', 'not-found'],
    ['/connect/nowhere', 'no-such-upstream'],
    ['/problems/not-connected', 'problem'],
    ['/login/callback?state=of-yesterday&code=x', 'not-signed-in'],
    ['/api/v1/user/credentials/notes/callback?state=of-yesterday&code=x', 'connect-expired'],
    ['/oauth/authorize?client_id=nobody', 'client-unknown'],
  ]) {
    await ada.open(path);
    await ada.look(sees);
  }
  await ada.open('/ui/tokens');
  await ada.page.getByLabel('What is it for?').fill('too late');
  const cookies = await ada.context.cookies();
  await ada.context.clearCookies();
  await ada.press('Make the token');
  await ada.look('signed-out-meanwhile');
  await ada.context.addCookies(cookies);
}

async function signsOut(ada) {
  await ada.open('/ui/connections');
  await ada.key('Sign out');
  await ada.look('signed-out');
}

/** What asks once more before it is done. */
async function confirms(person, opener, sees) {
  await person.page.getByRole('button', { name: opener }).click();
  await person.look(sees);
  const answer = person.page.locator('.confirm:popover-open .danger');
  await Promise.all([person.page.waitForEvent('load'), answer.click()]);
}

/** A program that wants `notes`: the page that asks about it, and how it gets its tokens from where it ends. */
async function asking() {
  const callback = `${program.url}/callback`;
  const { client_id } = await posted('/oauth/register', 'application/json', JSON.stringify({
    client_name: 'Notepad', redirect_uris: [callback], token_endpoint_auth_method: 'none',
  }));
  const verifier = randomBytes(32).toString('base64url');
  const wanted = { client_id, redirect_uri: callback, resource: `${gateway}/mcp/notes` };
  const page = `/oauth/authorize?${new URLSearchParams({
    ...wanted, response_type: 'code', state: 'its own', code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  })}`;
  const redeem = (back) => form('/oauth/token', {
    ...wanted, grant_type: 'authorization_code', code_verifier: verifier, code: new URL(back).searchParams.get('code'),
  });
  return { page, redeem };
}

/** A program that lists the tools of `notes`. */
async function lists(token) {
  const headers = {
    authorization: `Bearer ${token}`, accept: 'application/json, text/event-stream', 'mcp-protocol-version': '2025-11-25',
  };
  await posted('/mcp/notes', 'application/json', '{"jsonrpc":"2.0","id":1,"method":"tools/list"}', headers);
}

function device() {
  return form('/oauth/device_authorization', { client_id: 'attache-cli', resource: `${gateway}/api/v1` });
}

function form(path, fields) {
  return posted(path, 'application/x-www-form-urlencoded', new URLSearchParams(fields).toString());
}

async function posted(path, type, body, more = {}) {
  const headers = { 'content-type': type, ...more };
  const answer = await fetch(new URL(path, gateway), { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

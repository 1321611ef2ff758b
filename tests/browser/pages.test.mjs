// The pages of auth, direct-messages, presence and rooms in a real browser. Every wait is for something to appear.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Server, launchBrowser } from './server.mjs';

const LIMIT = { timeout: 60_000 };

let browser, server, pages;

before(async () => { browser = await launchBrowser(); });
after(() => browser.close());
beforeEach(() => { pages = []; });
afterEach(async () => {
  const errors = pages.flatMap((page) => page.errors);
  await Promise.all(pages.map((page) => page.context().close()));
  await server.stop();
  assert.deepEqual(errors, [], 'no page threw an error');
});

async function start(name, port) {
  server = await Server.start(name, port, (port) => [`127.0.0.1:${port}`]);
}

/** A tab of a browser of its own, or one more of a browser that is there. */
async function tab(path = '/', beside) {
  const page = await (beside?.context() ?? await browser.newContext()).newPage();
  pages.push(page);
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error));
  await page.goto(server.url + path);
  return page;
}

async function person(name) {
  const page = await tab('/');
  await page.getByLabel('Your name').fill(name);
  await page.keyboard.press('Enter');
  await status(page, `Connected as ${name}`);
  return page;
}

const status = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const alert = (page, text) => page.getByRole('alert').filter({ hasText: text }).waitFor();

/** Kills the server and starts it again, with the pages watching. */
async function restart(name, ...watching) {
  await server.stop('SIGKILL');
  for (const page of watching) await status(page, 'Connecting…');
  await start(name, server.port);
  for (const page of watching) await status(page, 'Connected');
}

for (const name of ['rooms', 'presence', 'direct-messages']) {
  test(`${name}: a name that is none is refused in words`, LIMIT, async () => {
    await start(name);
    const page = await tab('/?user=no%20name');
    await alert(page, 'A name is 1 to 24 letters, digits, - or _.');
    await page.getByLabel('Your name').fill('ana');
    await page.keyboard.press('Enter');
    await status(page, 'Connected as ana');
  });
}

// rooms

const card = (page, room) => page.locator('section').filter({ has: page.getByRole('heading', { name: room }) });

async function say(page, room, text) {
  await page.getByLabel(`Message to ${room}`).fill(text);
  await page.keyboard.press('Enter');
}

async function join(page, room) {
  await page.getByLabel('Join a room').fill(room);
  await page.keyboard.press('Enter');
}

test('rooms: people see each other, talk, and leave', LIMIT, async () => {
  await start('rooms');
  const [ana, bob] = [await person('ana'), await person('bob')];
  await card(ana, 'lobby').getByText('ana, bob').waitFor();
  for (const page of [ana, bob]) {
    await join(page, 'garden');
    await card(page, 'garden').waitFor();
  }
  await say(ana, 'garden', '<b>the tomatoes</b> are red');
  await card(bob, 'garden').getByText('<b>the tomatoes</b> are red').waitFor();
  assert.equal(await card(bob, 'lobby').getByText('tomatoes').count(), 0);

  await card(bob, 'garden').getByRole('button', { name: 'Leave' }).click();
  await card(ana, 'garden').getByText('bob left').waitFor();
  assert.equal(await card(bob, 'garden').count(), 0);
  await join(bob, 'no room');
  await alert(bob, 'a room is 1 to 24 letters');
});

test('rooms: a page is in its rooms again after the server was killed', LIMIT, async () => {
  await start('rooms');
  const [ana, bob] = [await person('ana'), await person('bob')];
  for (const page of [ana, bob]) {
    await join(page, 'garden');
    await card(page, 'garden').waitFor();
  }
  await restart('rooms', ana, bob);
  for (const page of [ana, bob]) await card(page, 'garden').getByText('The line broke here').waitFor();
  await say(ana, 'garden', 'still here?');
  await card(bob, 'garden').getByText('still here?').waitFor();
});

// presence

const devices = (page, name) => page.getByRole('listitem').filter({ hasText: name });

test('presence: a person is there once, with each device and what it says', LIMIT, async () => {
  await start('presence');
  const [ana, bob] = [await person('ana'), await person('bob')];
  const phone = await tab('/?user=bob', bob);
  await phone.getByLabel('on', { exact: true }).fill('phone');
  await phone.keyboard.press('Enter');
  await bob.getByLabel('away').check();
  await devices(ana, 'bob').getByText('phone, online').waitFor();
  await devices(ana, 'bob').getByText('desk, away').waitFor();
  await ana.getByRole('heading', { name: '2 here' }).waitFor();
  await phone.close();
  await devices(ana, 'bob').getByText('phone').waitFor({ state: 'detached' });
  await bob.close();
  await ana.getByRole('heading', { name: '1 here' }).waitFor();
});

test('presence: nobody sees that a page was loaded anew, and all are back after the server was killed', LIMIT, async () => {
  await start('presence');
  const [ana, bob] = [await person('ana'), await person('bob')];
  await ana.getByRole('heading', { name: '2 here' }).waitFor();
  await ana.evaluate(() => {
    window.counts = [];
    new MutationObserver(() => counts.push(document.getElementById('count').textContent))
      .observe(document.getElementById('count'), { childList: true, characterData: true, subtree: true });
  });
  await bob.reload();
  await bob.getByRole('heading', { name: '2 here' }).waitFor();
  await bob.getByLabel('away').check();
  await devices(ana, 'bob').getByText('away').waitFor();
  assert.deepEqual((await ana.evaluate(() => counts)).filter((count) => count !== '2 here'), []);

  await restart('presence', ana, bob);
  for (const page of [ana, bob]) await page.getByRole('heading', { name: '2 here' }).waitFor();
  await devices(ana, 'bob').getByText('desk, away').waitFor();
});

// direct-messages

async function tell(page, to, text) {
  await page.getByLabel('To', { exact: true }).fill(to);
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.keyboard.press('Enter');
}

test('direct-messages: every tab of both shows what was said, and nobody else', LIMIT, async () => {
  await start('direct-messages');
  const [ana, bob, carl] = [await person('ana'), await person('bob'), await person('carl')];
  const [anaToo, bobToo] = [await tab('/?user=ana', ana), await tab('/?user=bob', bob)];
  for (const page of [anaToo, bobToo]) await status(page, 'Connected');
  await tell(ana, 'bob', '<i>psst</i>');
  const log = (page) => page.getByRole('log');
  for (const page of [ana, anaToo]) await log(page).getByText('to bob').waitFor();
  for (const page of [bob, bobToo]) await log(page).getByText('<i>psst</i>').waitFor();
  await tell(bob, 'carl', 'you should have heard');
  await log(carl).getByText('you should have heard').waitFor();
  assert.equal(await log(carl).getByText('psst').count(), 0);
});

test('direct-messages: what did not go out is told and given back', LIMIT, async () => {
  await start('direct-messages');
  const ana = await person('ana');
  await tell(ana, 'bob', 'are you here?');
  await alert(ana, 'bob is not here');
  assert.equal(await ana.getByLabel('Message', { exact: true }).inputValue(), 'are you here?');
  const bob = await person('bob');
  await restart('direct-messages', ana, bob);
  await tell(ana, 'bob', 'and now?');
  await bob.getByRole('log').getByText('and now?').waitFor();
});

// auth

async function logIn(page, name, password) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(password);
  await page.keyboard.press('Enter');
}

test('auth: a page logs in, is told what it may not do, and logs out in every tab', LIMIT, async () => {
  await start('auth');
  const ana = await tab();
  await logIn(ana, 'ana', 'guessed');
  await alert(ana, 'no such person, or not their password');
  await logIn(ana, 'ana', 'correct horse');
  await ana.getByText('You are ana, member').waitFor();
  assert.equal(await ana.evaluate(() => document.cookie), '', 'no script can read the cookie');

  await ana.getByLabel('ticket').check();
  await ana.getByText('You are ana, member, here by ticket').waitFor();
  await ana.getByLabel('lobby').check();
  await ana.getByLabel('admin').click();   // whose refusal says that the server has dealt with the lobby, too
  await ana.getByRole('log').getByText('admin: you may not subscribe').waitFor();
  assert.ok(!await ana.getByLabel('admin').isChecked());
  const anaToo = await tab('/', ana);
  await anaToo.getByText('You are ana, member').waitFor();
  await ana.getByRole('log').getByText('lobby: ana came to /ws/cookie').waitFor();
  await anaToo.getByRole('button', { name: 'Log out' }).click();
  for (const page of [ana, anaToo]) await page.getByRole('button', { name: 'Log in' }).waitFor();
});

test('auth: a page renews its cookie and the session that is open, in time', LIMIT, async () => {
  await start('auth');
  const ana = await tab();
  await ana.clock.install();
  let [granted, sockets] = [0, 0];
  ana.on('websocket', (socket) => {
    sockets += 1;
    socket.on('framereceived', ({ payload }) => { granted += payload.includes('"granted"'); });
  });
  await logIn(ana, 'ana', 'correct horse');
  await ana.getByText('You are ana, member').waitFor();
  assert.equal(granted, 1);

  const answer = ana.waitForResponse('**/renew');
  await ana.clock.fastForward('11:20');
  assert.equal((await answer).status(), 200);
  while (granted < 2) await ana.waitForTimeout(10);
  assert.equal(sockets, 1, 'over the same session');
});

test('auth: an admin subscribes to what others may not, and is out when the server has a new secret', LIMIT, async () => {
  await start('auth');
  const [root, ana] = [await tab(), await tab()];
  await logIn(root, 'root', 'battery staple');
  await root.getByText('You are root, admin').waitFor();
  await root.getByLabel('admin').check();
  await logIn(ana, 'ana', 'correct horse');
  await root.getByRole('log').getByText('admin: ana came to /ws/cookie').waitFor();

  await server.stop('SIGKILL');
  await status(root, 'Connecting…');
  await start('auth', server.port);
  await root.getByRole('button', { name: 'Log in' }).waitFor();
});

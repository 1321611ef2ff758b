// The chat example in a real browser. Every wait is for something to appear; nothing sleeps.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { ChatServer, enter, launchBrowser, say } from './chat-server.mjs';

const LIMIT = { timeout: 60_000 };

let browser, server, contexts;

before(async () => { browser = await launchBrowser(); });
after(() => browser.close());

beforeEach(async () => {
  contexts = [];
  server = await ChatServer.start();
});
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  await server.stop();
});

/** A fresh tab with its own session storage; an error thrown in the page fails the test that looks at it. */
async function tab() {
  const context = await browser.newContext();
  contexts.push(context);
  const page = await context.newPage();
  page.errors = [];
  page.on('pageerror', (error) => page.errors.push(error));
  return page;
}

async function person(name) {
  const page = await tab();
  await enter(page, server, name);
  return page;
}

const line = (page, text) => page.getByRole('article').filter({ hasText: text });
const member = (page, name) => page.getByRole('complementary').getByRole('button', { name: new RegExp(`^${name}`) });
const room = (page, name) => page.getByRole('navigation').getByRole('button', { name: new RegExp(`^${name}`) });
const status = (page, text) => page.getByRole('status').filter({ hasText: text });
const title = (page, name) => page.getByRole('heading', { level: 1, name, exact: true });

async function joinRoom(page, name) {
  await askFor(page, name);
  await title(page, name).waitFor();
}

async function askFor(page, name) {
  const field = page.getByRole('textbox', { name: 'Join a room' });
  await field.fill(name);
  await field.press('Enter');
}

/**
 * Stands between the page and the server: `socket` resolves with the page's end. It has to stand there before the page
 * is loaded, or the page's socket passes it by.
 */
async function intercept(page) {
  let opened;
  const socket = new Promise((resolve) => { opened = resolve; });
  await page.routeWebSocket(/\/ws\?/, (toPage) => {
    toPage.connectToServer();
    opened(toPage);
  });
  return { socket };
}

/** What was written down to be still there if, and only if, the page was not loaded anew. */
const mark = (page) => page.evaluate(() => { window.marked = true; });
const isMarked = (page) => page.evaluate(() => window.marked === true);

test('two tabs chat in a room and see each other in the member list', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  await member(ana, 'bob').waitFor();
  await member(bob, 'ana').waitFor();

  await say(ana, 'hello, bob');
  await line(bob, 'hello, bob').waitFor();
  await line(ana, 'hello, bob').waitFor();
  await say(bob, 'hello, ana');
  await line(ana, 'hello, ana').waitFor();

  await bob.close();
  await member(ana, 'bob').waitFor({ state: 'detached' });
  await ana.getByText('bob left').waitFor();
});

test('a room is heard by those in it and by nobody else', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  await joinRoom(ana, 'garden');
  await say(ana, 'the tomatoes are red');
  await line(ana, 'the tomatoes are red').waitFor();
  await room(ana, 'lobby').click();
  await say(ana, 'back in the lobby');
  await line(bob, 'back in the lobby').waitFor();
  assert.equal(await bob.getByText('tomatoes').count(), 0);
});

test('a whisper reaches both tabs of a person and nobody else', LIMIT, async () => {
  const ana = await person('ana');
  const anaToo = await person('ana');
  const bob = await person('bob');
  const bobToo = await person('bob');
  const carl = await person('carl');

  await member(ana, 'bob').click();
  await say(ana, 'psst');
  for (const page of [ana, anaToo, bob, bobToo]) await line(page, 'psst').waitFor();

  // What follows the whisper on the same sockets arrives after it: once it is here, the whisper is not on its way.
  await ana.keyboard.press('Escape');
  await say(ana, 'aloud again');
  await line(carl, 'aloud again').waitFor();
  assert.equal(await carl.getByText('psst').count(), 0);
  assert.equal(await line(bob, 'psst').count(), 1);
});

test('a person is in a room until the last of their tabs has left it', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  const bobToo = await person('bob');
  for (const page of [bob, bobToo, ana]) await joinRoom(page, 'garden');

  await bobToo.getByRole('button', { name: 'Leave garden' }).click();
  await say(bobToo, 'one tab less');   // said in the lobby after leaving, on the same socket: so it is heard after
  await room(ana, 'lobby').click();
  await line(ana, 'one tab less').waitFor();
  await room(ana, 'garden').click();
  assert.equal(await member(ana, 'bob').count(), 1);

  await bob.close();
  await member(ana, 'bob').waitFor({ state: 'detached' });
});

test('the admin room refuses an ordinary person and says so', LIMIT, async () => {
  const ana = await person('ana');
  await askFor(ana, 'admin');
  await ana.getByRole('alert').filter({ hasText: 'only admins may enter admin' }).waitFor();
  assert.equal(await room(ana, 'admin').count(), 0);

  const admin = await person('admin');
  await joinRoom(admin, 'admin');
});

test('a refused name is told apart from a network that is dead', LIMIT, async () => {
  const page = await tab();
  await page.goto(`${server.url}/?name=not%20a%20name`);
  await page.getByLabel('Your name').press('Enter');
  await status(page, '“not a name” may not come in').waitFor();

  await server.stop();
  await page.getByLabel('Your name').fill('ana');
  await page.getByLabel('Your name').press('Enter');
  await status(page, 'The server does not answer').waitFor();

  server = await ChatServer.start(server.port);
  await status(page, 'Connected').waitFor();
  await member(page, 'ana').waitFor();
});

test('a killed server comes back, and both pages with it', LIMIT, async () => {
  const pages = [await person('ana'), await person('bob')];
  const [ana, bob] = pages;
  for (const page of pages) {
    await joinRoom(page, 'garden');
    await mark(page);
  }

  assert.equal((await server.stop('SIGKILL')).signal, 'SIGKILL');
  for (const page of pages) await status(page, 'Reconnecting…').waitFor();

  server = await ChatServer.start(server.port);
  for (const page of pages) await status(page, 'Connected').waitFor();
  await member(ana, 'bob').waitFor();
  await say(ana, 'still in the garden?');
  await line(bob, 'still in the garden?').waitFor();
  for (const page of pages) await room(page, 'lobby').click();
  await say(bob, 'and in the lobby');
  await line(ana, 'and in the lobby').waitFor();
  for (const page of pages) {
    assert.ok(await isMarked(page), 'the page was not loaded anew');
    assert.deepEqual(page.errors, []);
  }
});

test('Ctrl-C ends the server with code 0 and pages wait for its return', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  const asked = Date.now();
  assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null });
  assert.ok(Date.now() - asked < 5_000, 'within five seconds');
  await status(ana, 'Reconnecting…').waitFor();
  await status(bob, 'Reconnecting…').waitFor();
});

test('Ctrl-C says goodbye with 1001 to every session', LIMIT, async () => {
  const page = await tab();
  await page.goto(server.url);
  const code = page.evaluate(() => new Promise((closed) => {
    const socket = new WebSocket(`ws://${location.host}/ws?name=ana`);
    socket.onmessage = () => { document.title = 'welcome'; };
    socket.onclose = (event) => closed(event.code);
  }));
  await page.waitForFunction(() => document.title === 'welcome');
  await server.stop('SIGINT');
  assert.equal(await code, 1001);
});

test('text written while the server is away is kept and can be sent after', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  await server.stop();
  await status(ana, 'Reconnecting…').waitFor();
  await say(ana, 'written in the dark');
  const field = ana.getByRole('textbox', { name: 'Message lobby' });
  assert.equal(await field.inputValue(), 'written in the dark');
  assert.ok(await ana.getByRole('button', { name: 'Send' }).isDisabled());

  server = await ChatServer.start(server.port);
  await member(ana, 'bob').waitFor();
  await status(bob, 'Connected').waitFor();
  await ana.getByRole('button', { name: 'Send' }).click();
  await line(bob, 'written in the dark').waitFor();
  assert.equal(await field.inputValue(), '');
});

test('a reload keeps the name, the rooms and the room in view', LIMIT, async () => {
  const ana = await person('ana');
  await joinRoom(ana, 'garden');
  await ana.reload();
  await title(ana, 'garden').waitFor();
  await member(ana, 'ana').waitFor();
  await room(ana, 'lobby').waitFor();
});

test('the keyboard is enough: Enter sends, Alt and arrows change room, Escape ends a whisper', LIMIT, async () => {
  const ana = await person('ana');
  await person('bob');
  await joinRoom(ana, 'garden');
  await ana.keyboard.press('Alt+ArrowUp');
  await title(ana, 'lobby').waitFor();
  await ana.keyboard.type('one');
  await ana.keyboard.press('Shift+Enter');
  await ana.keyboard.type('two');
  await ana.keyboard.press('Enter');
  assert.equal(await line(ana, 'one').getByRole('paragraph').innerText(), 'one\ntwo');

  await member(ana, 'bob').focus();
  await ana.keyboard.press('Enter');
  await ana.getByRole('textbox', { name: 'Whisper to bob' }).and(ana.locator(':focus')).waitFor();
  await ana.keyboard.press('Escape');
  await ana.getByRole('textbox', { name: 'Message lobby' }).and(ana.locator(':focus')).waitFor();
  await ana.keyboard.press('Alt+ArrowDown');
  await title(ana, 'garden').waitFor();
});

test('markup in a message is text', LIMIT, async () => {
  const ana = await person('ana');
  const bob = await person('bob');
  const text = '<img src=x onerror="window.hit = true"><b>bold</b>';
  await say(ana, text);
  assert.equal(await line(bob, '<img').getByRole('paragraph').innerText(), text);
  assert.equal(await bob.locator('img').count(), 0);
  assert.equal(await bob.evaluate(() => window.hit), undefined);
});

test('odd messages from the server do not break the page', LIMIT, async () => {
  const ana = await tab();
  const route = await intercept(ana);
  await enter(ana, server, 'ana');
  const socket = await route.socket;
  const odd = [
    '', 'not json', 'null', '[]', '{}', '7', Buffer.from([0, 255, 254]),
    { topic: 7 }, { topic: 'room:lobby' }, { topic: 'nobody knows this', data: {} }, { topic: '__proto__', data: {} },
    { topic: 'room:lobby', data: { type: 'snapshot' } }, { topic: 'room:lobby', data: { type: 'snapshot', users: 'ana' } },
    { topic: 'room:lobby', data: { type: 'snapshot', users: [null] } }, { topic: 'room:lobby', data: { type: 'snapshot', users: [{ user: {} }] } },
    { topic: 'room:lobby', data: { type: 'update', user: 'eve' } }, { topic: 'room:lobby', data: { type: 'join', user: {} } },
    { topic: 'room:lobby', data: [] }, { topic: 'welcome' }, { topic: 'welcome', data: { name: {} } },
    { topic: 'room:lobby', data: { type: 'message', user: {}, text: 'forged' } }, { topic: 'room:lobby', data: { type: 'message', user: 'eve' } },
    { topic: 'room:lobby', data: { type: 'leave', user: 'nobody' } }, { topic: 'room:lobby', data: { type: 'dance', user: 'eve' } },
    { topic: 'room:__proto__', data: { type: 'message', user: 'eve', text: 'forged' } },
    { topic: 'room:elsewhere', data: { type: 'message', user: 'eve', text: 'forged' } },
    { topic: 'whisper', data: { from: 'eve' } }, { topic: 'error', data: null },
  ];
  for (const message of odd) {
    socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message));
  }

  await say(ana, 'still here');
  await line(ana, 'still here').waitFor();
  assert.equal(await ana.getByText(/forged|undefined|\[object/).count(), 0);
  await member(ana, 'ana').waitFor();
  assert.deepEqual(ana.errors, []);
});

test('a page comes back at once when the network returns', LIMIT, async () => {
  const ana = await tab();
  await ana.clock.install();
  await enter(ana, server, 'ana');
  await ana.clock.pauseAt(Date.now() + 3_600_000);   // from here on no timer of the page fires
  await server.stop();
  await status(ana, 'Reconnecting…').waitFor();
  server = await ChatServer.start(server.port);
  await ana.evaluate(() => dispatchEvent(new Event('online')));
  await status(ana, 'Connected').waitFor();
});

test('a session ended for good is not reopened', LIMIT, async () => {
  const ana = await tab();
  await ana.clock.install();
  const route = await intercept(ana);
  await enter(ana, server, 'ana');
  await (await route.socket).close({ code: 4500, reason: 'too many odd messages' });
  await ana.getByText('too many odd messages').waitFor();
  await ana.clock.fastForward(60_000);
  await ana.evaluate(() => dispatchEvent(new Event('online')));
  assert.equal(await status(ana, 'Ended').count(), 1);
});

// The browser client in a real browser, against a server that dies and returns. Every wait is for something to happen.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Server, launchBrowser } from './server.mjs';

const LIMIT = { timeout: 60_000 };

let browser, server, contexts;

before(async () => { browser = await launchBrowser(); });
after(() => browser.close());

beforeEach(async () => {
  contexts = [];
  server = await Server.start('reference');
});
afterEach(async () => {
  await Promise.all(contexts.map((context) => context.close()));
  await server.stop();
});

const restart = async () => { server = await Server.start('reference', server.port); };

/** A tab on the server's empty page. What the page itself is thrown, and the sockets it opens, are written down. */
async function tab(prepare = async () => {}, from = browser) {
  const context = await from.newContext();
  contexts.push(context);
  const page = await context.newPage();
  page.errors = [];
  page.sockets = [];
  page.on('pageerror', (error) => page.errors.push(error));
  page.on('websocket', (socket) => page.sockets.push(socket));
  await prepare(page);
  await page.goto(server.url);
  return page;
}

/** Makes `live` in the page, which subscribes to the topic `news` and writes down what it hears. */
async function connect(page, path = '/ws', options = {}) {
  await page.evaluate(async ([path, { tokens, ...options }]) => {
    const { LiveClient } = await import('/live.js');
    Object.assign(window, { heard: [], told: [], drops: [], faults: [], acks: 0, tokens });
    if (tokens) options.token = async () => window.tokens.length > 1 ? window.tokens.shift() : window.tokens[0];
    window.live = new LiveClient(path, options);
    live.subscribe('news', (data) => heard.push(data));
    live.on('ack', () => acks++);
    live.addEventListener('state', ({ detail }) => told.push(detail));
    live.addEventListener('drop', ({ detail }) => drops.push(detail));
    live.addEventListener('error', ({ detail }) => faults.push(String(detail.error)));
  }, [path, options]);
}

/** Waits for a state; an open session also for the server's word that it is subscribed. */
async function reaches(page, state) {
  await page.waitForFunction((state) => live.state === state && (state !== 'open' || acks > 0), state);
}

async function connected(prepare, from) {
  const page = await tab(prepare, from);
  await connect(page);
  await reaches(page, 'open');
  return page;
}

/** Publishes from the page; resolves with whether it went to the socket. */
const publish = (page, data) => page.evaluate((data) => {
  acks = 0;   // the next one is of the next session
  return live.send('publish', { topic: 'news', data });
}, data);
const hears = (page, data) => page.waitForFunction((data) => heard.includes(data), data);
const heard = (page) => page.evaluate(() => heard);
const status = (page) => page.evaluate(() => live.status);
const tell = (page, ...events) => page.evaluate((events) => {
  for (const type of events) (type === 'visibilitychange' ? document : window).dispatchEvent(new Event(type, { bubbles: true }));
}, events);

/** A tab whose socket passes through our hands: `socket()` resolves with the page's end of it. */
async function intercepted() {
  let opened;
  const socket = new Promise((resolve) => { opened = resolve; });
  const page = await connected((page) => page.routeWebSocket(/\/ws$/, (toPage) => {
    toPage.connectToServer();
    opened(toPage);
  }));
  return { page, socket: await socket };
}

test('two tabs hear what one of them publishes', LIMIT, async () => {
  const ana = await connected();
  const bob = await connected();
  assert.equal(await publish(ana, 'hello'), true);
  for (const page of [ana, bob]) await hears(page, 'hello');
  await publish(bob, 'hello back');
  for (const page of [ana, bob]) {
    await hears(page, 'hello back');
    assert.deepEqual(await heard(page), ['hello', 'hello back']);
  }
});

test('c59 after a kill and a restart it comes back, subscribes again, and what was sent meanwhile arrives once', LIMIT, async () => {
  const ana = await connected();
  const bob = await connected();
  await publish(ana, 'before');
  for (const page of [ana, bob]) await hears(page, 'before');

  assert.equal((await server.stop('SIGKILL')).signal, 'SIGKILL');
  for (const page of [ana, bob]) await reaches(page, 'waiting');
  assert.equal(await publish(ana, 'sent to nobody 1'), false);
  assert.equal(await publish(ana, 'sent to nobody 2'), false);
  await bob.evaluate(() => { acks = 0; });

  await restart();
  for (const page of [ana, bob]) await reaches(page, 'open');
  await publish(ana, 'after');
  for (const page of [ana, bob]) await hears(page, 'after');
  assert.deepEqual(await heard(ana), ['before', 'sent to nobody 1', 'sent to nobody 2', 'after']);
  await publish(bob, 'end');
  await hears(ana, 'end');
  for (const page of [ana, bob]) {
    assert.deepEqual(await page.evaluate(() => [drops, faults]), [[], []]);
    assert.deepEqual(page.errors, []);
    assert.equal(page.sockets.filter((socket) => !socket.isClosed()).length, 1);
  }
});

test('a door that answers 401 is a refusal, and a later connect comes in', LIMIT, async () => {
  const page = await tab();
  await connect(page, '/guarded', { tokens: ['bad'] });
  await reaches(page, 'refused');
  assert.equal((await status(page)).httpStatus, 401);
  assert.equal(page.sockets.length, 2, 'a fresh token was tried');
  await tell(page, 'online', 'pageshow', 'visibilitychange');
  assert.equal(await page.evaluate(() => live.state), 'refused');
  assert.match(await page.evaluate(() => live.opened().catch(String)), /the live session is refused 401/);

  await page.evaluate(() => { tokens = ['good']; live.connect(); });
  await reaches(page, 'open');
});

test('without a token the first 401 is the refusal', LIMIT, async () => {
  const page = await tab();
  await connect(page, '/guarded');
  await reaches(page, 'refused');
  assert.equal(page.sockets.length, 1);
});

test('an expired token is replaced without a refusal', LIMIT, async () => {
  const page = await tab();
  await connect(page, '/guarded', { tokens: ['expired', 'good'] });
  await reaches(page, 'open');
  assert.deepEqual(await page.evaluate(() => told.filter(({ state }) => state === 'refused')), []);
});

test('a network that is dead is not a refusal', LIMIT, async () => {
  const page = await tab();
  await page.evaluate(() => import('/live.js'));
  await server.stop();
  await connect(page, '/guarded', { tokens: ['good'] });
  await page.waitForFunction(() => live.status.attempt > 2);
  assert.equal((await status(page)).httpStatus, null);
  await restart();
  await reaches(page, 'open');
});

test('c76 a browser that goes offline keeps what is sent, and returns with the network', LIMIT, async () => {
  const page = await connected();
  await page.context().setOffline(true);
  await reaches(page, 'waiting');
  assert.equal(await publish(page, 'in the dark'), false);
  await page.context().setOffline(false);
  await reaches(page, 'open');
  await publish(page, 'in the light');
  await hears(page, 'in the light');
  assert.deepEqual(await heard(page), ['in the dark', 'in the light']);
});

/** A tab that waits for a time that never comes: its timers stand still from the server's death to its return. */
async function stranded() {
  const page = await connected((page) => page.clock.install());
  await page.clock.pauseAt(Date.now() + 3_600_000);
  await server.stop();
  await reaches(page, 'waiting');
  await page.evaluate(() => { acks = 0; });
  await restart();
  return page;
}

for (const type of ['online', 'visibilitychange', 'pageshow']) {
  test(`${type} ends the waiting`, LIMIT, async () => {
    const page = await stranded();
    await tell(page, type);
    await reaches(page, 'open');
  });
}

test('c76 whatever wakes it, it opens one socket', LIMIT, async () => {
  const page = await stranded();
  const before = page.sockets.length;
  await tell(page, 'online', 'visibilitychange', 'pageshow', 'online');
  await page.evaluate(() => live.connect());
  await reaches(page, 'open');
  assert.equal(page.sockets.length, before + 1);
  assert.equal(page.sockets.filter((socket) => !socket.isClosed()).length, 1);
});

test('c76 forged frames harm nobody and are told', LIMIT, async () => {
  const { page, socket } = await intercepted();
  const forged = ['', 'not json', 'null', '[]', '{}', '7', '{"topic":7}', '{"__proto__":{"topic":"news"}}', '['.repeat(100_000),
    Buffer.from([0, 255, 254])];
  for (const frame of forged) socket.send(frame);
  socket.send(JSON.stringify({ topic: '__proto__', data: 'forged' }));
  socket.send(Buffer.from('{"topic":"news","data":"binary"}'));
  await hears(page, 'binary');
  await publish(page, 'still here');
  await hears(page, 'still here');
  assert.deepEqual(await heard(page), ['binary', 'still here']);
  assert.equal(await page.evaluate(() => faults.length), forged.length);
  assert.deepEqual(page.errors, []);
});

test('4500 ends it for good', LIMIT, async () => {
  const { page, socket } = await intercepted();
  await socket.close({ code: 4500, reason: 'too many odd messages' });
  await reaches(page, 'ended');
  await tell(page, 'online', 'pageshow', 'visibilitychange');
  const { state, code, reason } = await status(page);
  assert.deepEqual({ state, code, reason }, { state: 'ended', code: 4500, reason: 'too many odd messages' });
  assert.equal(await publish(page, 'late'), false);
  assert.equal(await page.evaluate(() => drops.length), 1);
});

test('close says goodbye with its code and words', LIMIT, async () => {
  const { page, socket } = await intercepted();
  const goodbye = new Promise((said) => { socket.onClose((...words) => said(words)); });
  await page.evaluate(() => live.close(4001, 'enough'));
  assert.deepEqual(await goodbye, [4001, 'enough']);
  assert.deepEqual(await page.evaluate(() => [live.state, live.send('publish', {})]), ['closed', false]);
});

test('a page that the back/forward cache kept comes back with its session', LIMIT, async () => {
  const caching = await launchBrowser({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  try {
    const page = await connected(undefined, caching);
    await page.evaluate(() => { window.kept = true; });
    await page.goto(`${server.url}/live.js`);
    await page.goBack({ waitUntil: 'commit' });
    assert.equal(await page.evaluate(() => window.kept), true, 'the browser kept the page');
    await page.waitForFunction(() => live.state === 'open' && told.some(({ reason }) => reason === 'page hidden'));
    await publish(page, 'back');
    await hears(page, 'back');
  } finally {
    await caching.close();
  }
});

// The examples' pages in a real browser, each against its server. Every wait is for something to appear; nothing sleeps.
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Server, launchBrowser } from './server.mjs';

const LIMIT = { timeout: 60_000 };

let browser, server, contexts;

before(async () => { browser = await launchBrowser(); });
after(() => browser.close());
beforeEach(() => { contexts = []; });
afterEach(async () => {
  const errors = contexts.flatMap((context) => context.errors);
  await Promise.all(contexts.map((context) => context.close()));
  await server.stop();
  assert.deepEqual(errors, [], 'no page threw an error');
});

/** Has each test find an example's server running. */
const serve = (name) => beforeEach(async () => { server = await start(name); });
const start = (name, port) => Server.start(name, port, (port) => [`127.0.0.1:${port}`]);

/** A tab with the storage and the network of its own, which is connected. What it hears and says on its socket is written down. */
async function tab(path = '/', look = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...look });
  contexts.push(context);
  context.errors = [];
  const page = await context.newPage();
  Object.assign(page, { wire: new EventEmitter(), heard: [], said: [] });
  page.on('pageerror', (error) => context.errors.push(error));
  // The client reports what its listeners throw to the console, where the browser tells of refused connections as well.
  page.on('console', (line) => {
    if (line.type() === 'error' && !/^(Failed to load|WebSocket connection)/.test(line.text())) context.errors.push(line.text());
  });
  page.on('websocket', (socket) => {
    const write = (log) => ({ payload }) => page.wire.emit('frame', log.push(JSON.parse(payload)));
    socket.on('framereceived', write(page.heard));
    socket.on('framesent', write(page.said));
  });
  await page.goto(server.url + path);
  await connected(page);
  return page;
}

const status = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const connected = (page) => status(page, /Connected|Live/);

/** Kills the server and starts it again, with the pages watching; that they were not loaded anew is seen by their mark. */
async function restart(name, pages) {
  for (const page of pages) await page.evaluate(() => { window.marked = true; });
  assert.equal((await server.stop('SIGKILL')).signal, 'SIGKILL');
  for (const page of pages) await status(page, 'Reconnecting…');
  server = await start(name, server.port);
  for (const page of pages) {
    await connected(page);
    assert.ok(await page.evaluate(() => window.marked), 'the page was not loaded anew');
  }
}

async function stopsOnCtrlC() {
  assert.deepEqual(await server.stop('SIGINT'), { code: 0, signal: null });
}

/** Waits until something holds of what a page has said or heard. */
async function witness(page, holds) {
  while (!holds()) await once(page.wire, 'frame');
}

async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(server.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${answer.status}`);
  return answer.json();
}

describe('notifications', () => {
  serve('notifications');

  const person = (name) => tab(`/?user=${name}`);
  const toast = (page, text) => page.getByRole('log').filter({ hasText: text });
  const bell = (page, name) => page.getByRole('button', { name, exact: true });

  async function tell(page, whom, text) {
    await page.getByLabel('Whom').selectOption(whom);
    await page.getByLabel('What', { exact: true }).fill(text);
    await page.keyboard.press('Enter');
  }

  /** Asks until so many listen to news: of a subscription the server says no word. */
  async function listen(count) {
    while ((await post('/notify', { text: 'Who is there?' })).receivers !== count);
  }

  test('what is told to one person reaches their tabs and nobody else', LIMIT, async () => {
    const [ana, tablet, bob] = [await person('ana'), await person('ana'), await person('bob')];
    await tell(bob, 'ana', 'Lunch?');
    await bob.getByText('Told in 2 tabs.').waitFor();
    for (const page of [ana, tablet]) {
      await toast(page, 'Lunch?').waitFor();
      await bell(page, '1 unread').waitFor();
    }
    await tell(ana, 'bob', 'At one.');
    await toast(bob, 'At one.').waitFor();
    await bell(bob, '1 unread').waitFor();
  });

  test('news reach who wants them', LIMIT, async () => {
    const [ana, bob] = [await person('ana'), await person('bob')];
    await listen(2);
    await ana.getByLabel('Tell me news').uncheck();
    await listen(1);
    await tell(ana, 'everybody', 'There is cake');
    await toast(bob, 'There is cake').waitFor();
    await tell(bob, 'ana', 'Lunch?');
    await toast(ana, 'Lunch?').waitFor();
    assert.equal(await ana.getByText('There is cake').count(), 0);
  });

  test('what is told to somebody who is away waits for them, and comes once', LIMIT, async () => {
    const bob = await person('bob');
    await tell(bob, 'ana', 'Are you there?');
    await bob.getByText('ana is not here').waitFor();
    const ana = await person('ana');
    await toast(ana, 'Are you there?').waitFor();
    await bell(ana, '1 unread').waitFor();

    await ana.reload();
    await connected(ana);
    await tell(bob, 'ana', 'There you are');
    await toast(ana, 'There you are').waitFor();
    await bell(ana, '2 unread').waitFor();
  });

  test('a job tells how it gets on, and that it is done', LIMIT, async () => {
    const ana = await person('ana');
    await ana.getByRole('button', { name: 'Start a job' }).click();
    const bar = ana.getByRole('progressbar');
    await bar.waitFor();
    await toast(ana, /Job \d+ is done/).waitFor();
    await bar.waitFor({ state: 'detached' });
  });

  test('the keyboard opens the bell and closes it, and what was read is not unread', LIMIT, async () => {
    const ana = await person('ana');
    await tell(ana, 'ana', 'Remember the milk');
    await bell(ana, '1 unread').press('Enter');
    const list = ana.getByRole('list', { name: 'Notices' });
    await list.getByText('Remember the milk').waitFor();
    await bell(ana, 'Nothing unread').waitFor();
    await ana.keyboard.press('Escape');
    await list.waitFor({ state: 'hidden' });
  });

  test('markup in a notice is text', LIMIT, async () => {
    const ana = await person('ana');
    const text = '<img src=x onerror="window.hit = true">';
    await tell(ana, 'ana', text);
    assert.equal(await toast(ana, '<img').getByRole('paragraph').innerText(), text);
    assert.equal(await ana.locator('img').count(), 0);
  });

  test('a killed server comes back, and its pages are told again', LIMIT, async () => {
    const [ana, bob] = [await person('ana'), await person('bob')];
    await restart('notifications', [ana, bob]);
    await tell(bob, 'ana', 'Did you notice?');
    await toast(ana, 'Did you notice?').waitFor();
    await stopsOnCtrlC();
  });
});

describe('sync', () => {
  serve('sync');

  const rows = (page) => page.getByRole('list').getByRole('listitem');
  const field = (page, nth = 0) => rows(page).nth(nth).getByRole('textbox');
  const tick = (page, nth = 0) => rows(page).nth(nth).getByRole('checkbox');
  const alert = (page, text) => page.getByRole('alert').filter({ hasText: text }).waitFor();
  const left = (page, text) => page.getByText(text, { exact: true }).waitFor();

  async function add(page, text) {
    await page.getByLabel('What is to be done').first().fill(text);
    await page.keyboard.press('Enter');
    await page.waitForFunction((text) => [...document.querySelectorAll('li [type=text]')].some(({ value }) => value === text), text);
  }

  /** Waits until a page shows these texts and no others. */
  async function shows(page, ...texts) {
    const same = (texts) => JSON.stringify([...document.querySelectorAll('li [type=text]')].map(({ value }) => value)) === texts;
    await page.waitForFunction(same, JSON.stringify(texts));
  }

  test('two tabs show the same list, whoever changes it', LIMIT, async () => {
    const [ana, bob] = [await tab(), await tab()];
    await add(ana, 'Milk');
    await add(bob, 'Bread');
    for (const page of [ana, bob]) await shows(page, 'Milk', 'Bread');
    await tick(bob, 1).check();
    for (const page of [ana, bob]) await left(page, '1 of 2 left');
    await field(ana, 1).fill('Rye bread');
    await field(ana, 1).press('Enter');
    for (const page of [ana, bob]) await shows(page, 'Milk', 'Rye bread');
    assert.ok(await tick(ana, 1).isChecked());
    await rows(bob).nth(0).getByRole('button', { name: 'Remove' }).click();
    for (const page of [ana, bob]) await shows(page, 'Rye bread');
  });

  test('who edits what somebody has changed meanwhile is told, and shown how it is', LIMIT, async () => {
    const [ana, bob] = [await tab(), await tab()];
    await add(ana, 'Milk');
    await shows(bob, 'Milk');
    await field(ana).fill('Oat milk');
    await field(bob).fill('Soy milk');
    await field(bob).press('Enter');
    await witness(ana, () => ana.heard.length === 2);
    assert.equal(await field(ana).inputValue(), 'Oat milk', 'what one writes is left alone');
    await field(ana).press('Enter');
    await alert(ana, 'Somebody was faster');
    for (const page of [ana, bob]) await shows(page, 'Soy milk');
  });

  test('who edits on before the server has answered is no stranger to themselves', LIMIT, async () => {
    const page = await tab();
    await add(page, 'Milk');
    let release;
    const released = new Promise((resolve) => { release = resolve; });
    await page.route('**/items/*', async (route) => {
      await released;
      await route.continue();
    });
    await tick(page).check();
    await field(page).fill('Oat milk');
    await field(page).press('Enter');
    await field(page).fill('Soy milk');   // is still being written when the answers come
    release();
    await witness(page, () => page.heard.length === 3);
    await left(page, '0 of 1 left');
    await field(page).press('Enter');
    await witness(page, () => page.heard.length === 4);
    await shows(page, 'Soy milk');
    assert.equal(await page.getByRole('alert').innerText(), '');
  });

  test('cursors that come while a page pulls are answered by one more pull', LIMIT, async () => {
    const page = await tab();
    await add(page, '0');
    await witness(page, () => page.heard.length === 1);
    const pulls = [];
    let release;
    const released = new Promise((resolve) => { release = resolve; });
    await page.route('**/changes?*', async (route) => {
      pulls.push(route.request().url());
      await released;
      await route.continue();
    });
    for (const text of '123456789') await post('/items', { text });
    await witness(page, () => page.heard.length === 10);
    release();
    await shows(page, ...'0123456789');
    assert.ok(pulls.length <= 2, `${pulls.length} pulls`);
  });

  test('who was offline pulls what they missed', LIMIT, async () => {
    const [ana, bob] = [await tab(), await tab()];
    await add(ana, 'Milk');
    await shows(bob, 'Milk');
    await bob.context().setOffline(true);
    await status(bob, 'Reconnecting…');
    await add(ana, 'Bread');
    await rows(ana).nth(0).getByRole('button', { name: 'Remove' }).click();
    await shows(ana, 'Bread');
    await bob.context().setOffline(false);
    await shows(bob, 'Bread');
  });

  test('an edit that does not reach the server is taken back, and said to be', LIMIT, async () => {
    const page = await tab();
    await add(page, 'Milk');
    await server.stop();
    await status(page, 'Reconnecting…');
    await tick(page).click();
    await alert(page, 'did not reach the server');
    await left(page, '1 of 1 left');
    assert.ok(!await tick(page).isChecked());
  });

  test('a killed server comes back with another list, and pages show that one', LIMIT, async () => {
    const [ana, bob] = [await tab(), await tab()];
    await add(ana, 'Milk');
    await shows(bob, 'Milk');
    await restart('sync', [ana, bob]);
    for (const page of [ana, bob]) await shows(page);
    await add(bob, 'Bread');
    await shows(ana, 'Bread');
    await stopsOnCtrlC();
  });

  test('markup in an item is text, and the keyboard is enough', LIMIT, async () => {
    const page = await tab();
    const text = '<img src=x onerror="window.hit = true">';
    await page.keyboard.type(text);   // the field has the focus
    await page.keyboard.press('Enter');
    await shows(page, text);
    assert.equal(await page.locator('img').count(), 0);
    for (const key of ['Tab', 'Tab', 'Space']) await page.keyboard.press(key);
    await left(page, '0 of 1 left');
    for (const key of ['Tab', 'Tab', 'Enter']) await page.keyboard.press(key);
    await page.getByText('Nothing. Open another tab').waitFor();
  });
});

describe('dashboard', () => {
  serve('dashboard');

  const phone = { viewport: { width: 390, height: 780 } };
  const watching = (page, count) => page.getByText(`Watching ${count} of 12`).waitFor();
  const heard = (page) => new Set(page.heard.map(({ topic }) => topic).filter((topic) => topic.startsWith('metric:')));

  /** The topics that the page is subscribed to, by what it said. */
  function watched(page) {
    const topics = new Set();
    for (const { topic, data } of page.said) if (topic === 'subscribe') topics.add(data.topic); else topics.delete(data.topic);
    return topics;
  }

  /** Shows or hides the page, as far as the page can tell. */
  const hide = (page, hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);

  test('all charts are drawn, and told apart by what is simulated', LIMIT, async () => {
    const page = await tab();
    await watching(page, 12);
    // A line is opaque, and what else is drawn is not.
    await page.waitForFunction(() => [...document.querySelectorAll('canvas')].every((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Uint32Array(data.buffer).some((pixel) => pixel >>> 24 === 255);
    }), undefined, { polling: 200 });
    assert.equal(await page.getByRole('article').count(), 12);
    assert.equal(await page.getByText('simulated').count(), 6);
    assert.equal(await page.getByText('–', { exact: true }).count(), 0);
  });

  test('a page watches what is on its screen and nothing else', LIMIT, async () => {
    const page = await tab('/', phone);
    await watching(page, 4);
    const above = watched(page);
    assert.equal(above.size, 4);
    await witness(page, () => heard(page).size === 4);
    assert.deepEqual(heard(page), above);

    await page.getByRole('article').last().scrollIntoViewIfNeeded();
    await witness(page, () => watched(page).has('metric:latency:p99') && !watched(page).has('metric:cpu'));
    assert.ok(watched(page).size < 6);
    await witness(page, () => heard(page).has('metric:latency:p99'));
  });

  test('a hidden page watches nothing, and one that is shown again watches on', LIMIT, async () => {
    const page = await tab();
    await watching(page, 12);
    await hide(page, true);
    await watching(page, 0);
    await witness(page, () => watched(page).size === 0);
    page.heard.length = 0;
    await hide(page, false);
    await watching(page, 12);
    await witness(page, () => heard(page).size === 12);
  });

  test('a killed server comes back, and charts go on', LIMIT, async () => {
    const pages = [await tab(), await tab('/', phone)];
    await watching(pages[0], 12);
    await watching(pages[1], 4);
    await restart('dashboard', pages);
    for (const page of pages) page.heard.length = 0;
    await witness(pages[0], () => heard(pages[0]).size === 12);
    await witness(pages[1], () => heard(pages[1]).size === 4);
    assert.equal(await pages[0].getByRole('article').count(), 12);
    await stopsOnCtrlC();
  });
});

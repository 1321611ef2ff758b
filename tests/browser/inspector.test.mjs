// The inspector in a real browser, against its example. Every wait is for something to appear; nothing sleeps.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Client, crowd } from './crowd.mjs';
import { Server, launchBrowser } from './server.mjs';

const LIMIT = { timeout: 60_000 };
const IMAGE = '<img/src=x/onerror=window.hit=1';

let browser, server, contexts, clients;

before(async () => { browser = await launchBrowser(); });
after(() => browser.close());
beforeEach(async () => {
  [contexts, clients] = [[], []];
  server = await start();
});
afterEach(async () => {
  const errors = contexts.flatMap((context) => context.errors);
  await Promise.all(contexts.map((context) => context.close()));
  clients.forEach((client) => client.end());
  await server.stop();
  assert.deepEqual(errors, [], 'no page threw an error, or wanted what its policy forbids');
});

function start(password = 'secret', port = undefined) {
  process.env.PASSWORD = password;
  return Server.start('inspector', port, (port) => [`127.0.0.1:${port}`]);
}

/** An operator's page, live. */
async function look({ clock, ...size } = { viewport: { width: 1440, height: 900 } }) {
  const context = await browser.newContext({ ...size, httpCredentials: { username: 'operator', password: 'secret' } });
  contexts.push(context);
  context.errors = [];
  const page = await context.newPage();
  if (clock) await page.clock.install();
  page.on('pageerror', (error) => context.errors.push(error));
  page.on('console', (line) => { if (line.type() === 'error' && !line.text().startsWith('Failed to load')) context.errors.push(line.text()); });
  await page.goto(`${server.url}/inspect`);
  await status(page, 'Live');
  return page;
}

async function client(name) {
  clients.push(await Client.open(server.port, `/ws?name=${encodeURIComponent(name)}`));
  return clients.at(-1);
}

const status = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const row = (page, text) => page.locator('#view tbody tr').filter({ hasText: text });
const view = (page, name) => page.getByRole('navigation').getByRole('button', { name }).click();
const detail = (page) => page.getByRole('complementary');
const figure = (page, name) => page.locator('#now div').filter({ hasText: name }).locator('dd');

async function open(page, name) {
  await page.getByRole('button', { name, exact: false }).first().click();
  await detail(page).getByRole('heading', { level: 2, name }).waitFor();
}

test('sessions come, change and go before the operator\'s eyes', LIMIT, async () => {
  const page = await look();
  await page.getByText('No sessions', { exact: true }).waitFor();
  const ana = await client('ana');
  await row(page, 'ana').waitFor();
  assert.equal(await figure(page, 'Sessions').textContent(), '1');
  await page.locator('figcaption', { hasText: 'Opened' }).waitFor();
  assert.equal(await row(page, 'ana').locator('td').nth(6).textContent(), '0');
  ana.send('subscribe', { topic: 'room:lobby' });
  await row(page, 'ana').locator('td').nth(6).filter({ hasText: '1' }).waitFor();
  await page.getByRole('img', { name: /Messages in: .*at most [1-9]/ }).waitFor();
  ana.end();
  await row(page, 'ana').waitFor({ state: 'detached' });
  await view(page, 'Closed');
  await row(page, 'ana').filter({ hasText: 'the connection' }).waitFor();
});

test('nobody is disconnected without a second word, and then with the code that was chosen', LIMIT, async () => {
  const page = await look();
  for (const [name, stayAway, code] of [['ana', false, 1000], ['bob', true, 4501]]) {
    const victim = await client(name);
    await row(page, name).waitFor();
    await open(page, name);
    const ask = () => detail(page).getByRole('button', { name: 'Disconnect…' }).click();
    const dialog = page.getByRole('dialog', { name: `Disconnect ${name}?` });
    for (const refuse of [() => dialog.getByRole('button', { name: 'Cancel' }).click(), () => page.keyboard.press('Escape'), () => page.keyboard.press('Enter')]) {
      await ask();
      await dialog.waitFor();
      await refuse();
      await dialog.waitFor({ state: 'hidden' });
    }
    assert.ok(!victim.socket.closed);
    await ask();
    if (stayAway) await dialog.getByLabel(/stay away/).check();
    await dialog.getByRole('button', { name: 'Disconnect' }).click();
    await detail(page).getByText('It has ended.').waitFor();
    assert.equal(await victim.code(), code);
    await row(page, name).waitFor({ state: 'detached' });
    await detail(page).getByText(`${code}: disconnected by an operator`).waitFor();
    await page.getByRole('button', { name: 'Close', exact: true }).click();
  }
});

test('what clients write is text wherever it stands, and payloads are hidden until they are asked for', LIMIT, async () => {
  const page = await look();
  const mallory = await client(`${IMAGE}>`);
  mallory.send('subscribe', { topic: `room:${IMAGE}` });
  mallory.send(`room:${IMAGE}`, `${IMAGE}> the secret`);
  await row(page, IMAGE).waitFor();
  await open(page, IMAGE);
  const journal = detail(page).locator('#journal');
  await journal.getByRole('listitem').filter({ hasText: 'received' }).filter({ hasText: `room:${IMAGE}` }).waitFor();
  assert.equal(await page.getByText('the secret').count(), 0);
  await detail(page).getByRole('button', { name: 'Show payloads' }).click();
  await journal.getByText(`${IMAGE}> the secret`).first().waitFor();
  await detail(page).getByRole('button', { name: 'Hide payloads' }).click();
  await journal.locator('pre').first().waitFor({ state: 'detached' });

  await view(page, 'Topics');
  await row(page, IMAGE).getByRole('button').click();
  await page.locator('#topic').getByText(IMAGE).waitFor();
  await row(page, IMAGE).waitFor();
  await page.reload();
  await page.locator('#topic').getByText(IMAGE).waitFor();
  assert.equal(await page.evaluate(() => [window.hit, document.querySelectorAll('img').length].join()), ',0');
});

test('the policy runs no script and takes no style but the page\'s own', LIMIT, async () => {
  const page = await look();
  const blocked = await page.evaluate(() => new Promise((done) => {
    const seen = [];
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => {
      seen.push(effectiveDirective);
      if (seen.length === 3) done(seen.sort());
    });
    const script = document.createElement('script');
    script.textContent = 'window.hit = 1';
    const image = new Image();
    image.src = '/favicon.ico';
    const style = document.createElement('style');
    style.textContent = 'body { display: none }';
    document.body.append(script, image, style);
  }));
  assert.deepEqual(blocked, ['img-src', 'script-src-elem', 'style-src-elem']);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  contexts[0].errors = [];
});

test('all of it is reached by the keyboard', LIMIT, async () => {
  const page = await look();
  clients.push(...await crowd(server.port, 60, (at) => `/ws?name=user-${String(at).padStart(2, '0')}`));
  await row(page, 'user-49').waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await detail(page).getByRole('heading', { name: 'user-01' }).waitFor();
  await page.keyboard.press('Escape');
  await detail(page).waitFor({ state: 'hidden' });
  assert.match(await page.evaluate(() => document.activeElement.textContent), /^user-01/);

  await page.keyboard.press('/');
  await page.keyboard.type('user-5');
  await row(page, 'user-59').waitFor();
  await row(page, 'user-49').waitFor({ state: 'detached' });
  await page.keyboard.press('Escape');
  await page.keyboard.press('2');
  await page.getByText('No topics').waitFor();
  await page.keyboard.press('1');
  await row(page, 'user-00').waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await row(page, 'user-59').waitFor();
  await page.getByText('51–60 of 60').waitFor();

  await page.getByRole('columnheader', { name: 'Age' }).getByRole('button').press('Enter');
  await page.locator('th[aria-sort=descending]', { hasText: 'Age' }).waitFor();
  await page.getByRole('columnheader', { name: 'Age' }).getByRole('button').press('Enter');
  await page.locator('th[aria-sort=ascending]', { hasText: 'Age' }).waitFor();
});

test('what has the focus keeps it while the figures change', LIMIT, async () => {
  const page = await look();
  const [ana, bob] = [await client('ana'), await client('bob')];
  await page.getByRole('columnheader', { name: 'Topics' }).getByRole('button').click();
  await row(page, 'bob').getByRole('button').focus();
  await client('aaa');
  await row(page, 'aaa').waitFor();
  ana.send('subscribe', { topic: 'room:a' });
  for (const topic of ['room:a', 'room:b']) bob.send('subscribe', { topic });
  // The row itself has moved to the top.
  await page.locator('#view tbody tr').first().filter({ hasText: 'bob' }).waitFor();
  assert.match(await page.evaluate(() => document.activeElement.textContent), /^bob/);
});

test('a pause stands still, and goes on', LIMIT, async () => {
  const page = await look({ clock: 'by hand' });
  await page.keyboard.press('p');
  await status(page, 'Paused at');
  await client('ana');
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.clock.runFor(10_000);
  assert.deepEqual(asked, []);
  await page.keyboard.press('p');
  await row(page, 'ana').waitFor();
});

test('a server that went away is told of, and so is its return, and who is let in no more', LIMIT, async () => {
  const page = await look();
  await client('ana');
  await row(page, 'ana').waitFor();
  await server.stop('SIGKILL');
  await status(page, 'No answer since');
  server = await start('secret', server.port);
  await status(page, 'Live');
  await row(page, 'ana').waitFor({ state: 'detached' });
  await server.stop('SIGKILL');
  server = await start('another', server.port);
  await status(page, 'You are no longer let in');
});

test('by day and by night, on a desk and on a phone, it is legible and nothing is cut off', LIMIT, async () => {
  const papers = new Set();
  for (const colorScheme of ['light', 'dark']) {
    for (const viewport of [{ width: 1440, height: 900 }, { width: 820, height: 1100 }, { width: 360, height: 700 }]) {
      const page = await look({ viewport, colorScheme });
      await client(`somebody-with-a-rather-long-name-${'x'.repeat(30)}`);
      await row(page, 'somebody').first().waitFor();
      await page.locator('#view tbody button').first().click();
      await detail(page).getByRole('heading', { level: 2 }).waitFor();
      const { over, paper, ink } = await page.evaluate(() => ({
        over: document.documentElement.scrollWidth - innerWidth,
        paper: getComputedStyle(document.documentElement).backgroundColor,
        ink: getComputedStyle(document.documentElement).color,
      }));
      assert.ok(over <= 0, `${viewport.width} px: ${over} px are cut off`);
      assert.notEqual(paper, ink);
      papers.add(paper);
    }
  }
  assert.equal(papers.size, 2);
});

// Pictures of the inspector: `node screenshot-inspector.mjs [directory]`. Look at them: is it quiet, dense and legible?
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, crowd } from './crowd.mjs';
import { Server, launchBrowser } from './server.mjs';

const directory = process.argv[2] ?? '/tmp/inspector-shots';
const sizes = {
  light: { viewport: { width: 1440, height: 900 }, colorScheme: 'light' },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};
const SESSIONS = Number(process.env.SESSIONS ?? 2000);
const ROOMS = ['lobby', 'garden', 'rust', 'music', 'kitchen', 'release-0.2', 'on-call', 'support'];
const NAMES = ['ana', 'bob', 'mira', 'carl', 'yuki', 'noor', 'lea', 'jonas', 'ines', 'omar', 'petra', 'kofi'];

process.env.PASSWORD = 'secret';
process.env.RUST_LOG = 'info';
await mkdir(directory, { recursive: true });
const server = await Server.start('inspector', undefined, (port) => [`127.0.0.1:${port}`]);
const browser = await launchBrowser();
const wait = (time) => new Promise((done) => setTimeout(done, time));

async function look(size) {
  const context = await browser.newContext({ ...size, httpCredentials: { username: 'operator', password: 'secret' } });
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(error));
  page.on('console', (line) => { if (line.type() === 'error') console.error(line.text()); });
  await page.goto(`${server.url}/inspect`);
  await page.getByRole('status').filter({ hasText: 'Live' }).waitFor();
  return page;
}
const shoot = (page, name) => page.screenshot({ path: join(directory, `${name}.png`) });

try {
  const pages = {};
  for (const [name, size] of Object.entries(sizes)) pages[name] = await look(size);
  await shoot(pages.light, 'empty');
  await shoot(pages.phone, 'empty-phone');

  const clients = await crowd(server.port, SESSIONS, (at) => `/ws?name=${NAMES[at % NAMES.length]}-${Math.floor(at / NAMES.length)}`);
  clients.forEach((client, at) => {
    client.send('subscribe', { topic: 'clock' });
    client.send('subscribe', { topic: `room:${ROOMS[Math.floor(at ** 1.7) % ROOMS.length]}` });
    if (at % 7 === 0) client.send('subscribe', { topic: `room:pair-${Math.floor(at / 14)}` });
  });
  const stalled = await Client.open(server.port, '/ws?name=stalled');
  stalled.send('subscribe', { topic: 'room:garden' });
  stalled.send('subscribe', { topic: 'room:firehose' });
  const firehose = await Client.open(server.port, '/ws?name=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E');
  let beat = 0;
  const talk = setInterval(() => {
    beat += 1;
    const swing = 1 + Math.round(Math.sin(beat / 15)) + (beat % 60 > 55 ? 3 : 0);
    for (let each = 0; each < swing; each += 1) {
      const at = Math.floor(Math.random() * clients.length);
      clients[at].send(`room:${ROOMS[(at + beat) % 2 + 1]}`, 'The tomatoes are finally red. 🍅 Shall we look at the numbers together at eleven?');
    }
    if (beat % 10 === 0) {
      clients[beat % clients.length].end();
      Client.open(server.port, `/ws?name=${NAMES[beat % NAMES.length]}-${beat}`).then((client) => { clients[beat % clients.length] = client; }, () => {});
    }
  }, 100);
  await wait(Number(process.env.SECONDS ?? 45) * 1000);
  // A client that reads nothing is told from a slow one after ten seconds, and closed: until then it is the slowest.
  stalled.stall();
  const headers = { authorization: `Basic ${Buffer.from('operator:secret').toString('base64')}` };
  for (let fullness = 0; fullness < 0.4;) {
    firehose.send('room:firehose', 'x'.repeat(60_000));
    const answer = await fetch(`${server.url}/inspect/data?find=stalled`, { headers });
    fullness = (await answer.json()).sessions.rows[0]?.fullness ?? 1;
  }
  await Promise.all(Object.values(pages).map((page) => page.getByRole('button', { name: /^stalled/ }).waitFor()));

  for (const name of ['light', 'dark', 'phone']) await shoot(pages[name], name);
  await pages.light.getByRole('button', { name: /^stalled/ }).click();
  await pages.light.getByRole('heading', { name: 'stalled' }).waitFor();
  await shoot(pages.light, 'detail');
  await pages.phone.getByRole('button', { name: /^stalled/ }).click();
  await pages.phone.getByRole('heading', { name: 'stalled' }).waitFor();
  await wait(300);
  await shoot(pages.phone, 'detail-phone');
  await pages.dark.getByPlaceholder(/Find/).fill('<img');
  await pages.dark.getByRole('button', { name: /img/ }).click();
  await pages.dark.getByRole('button', { name: 'Show payloads' }).click();
  await pages.dark.locator('pre').first().waitFor();
  await shoot(pages.dark, 'payloads-dark');
  await pages.light.getByRole('button', { name: 'Disconnect…' }).click();
  await shoot(pages.light, 'confirm');
  await pages.light.getByRole('button', { name: 'Cancel' }).click();
  await pages.light.keyboard.press('Escape');
  for (const view of ['Topics', 'Closed', 'Counters']) {
    await pages.light.getByRole('navigation').getByRole('button', { name: view }).click();
    await pages.light.getByRole('columnheader').first().waitFor();
    await wait(400);
    await shoot(pages.light, view.toLowerCase());
  }
  clearInterval(talk);
  await pages.light.getByRole('navigation').getByRole('button', { name: 'Sessions' }).click();
  await wait(400);
  await server.stop();
  await pages.light.getByRole('status').filter({ hasText: 'No answer' }).waitFor();
  await shoot(pages.light, 'lost');
  clients.forEach((client) => client.end());
  console.log(`saved to ${directory}`);
} catch (error) {
  console.error(error);
} finally {
  await browser.close();
  await server.stop();
}
process.exit();

// Pictures of a believable conversation: `node screenshot.mjs [directory]`. Look at them: would you show the page to a friend?
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ChatServer, enter, launchBrowser, say } from './chat-server.mjs';

const directory = process.argv[2] ?? '/tmp/chat-shots';
const sizes = {
  desktop: { viewport: { width: 1280, height: 800 }, colorScheme: 'light' },
  dark: { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: 'light', deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

await mkdir(directory, { recursive: true });
const server = await ChatServer.start();
const browser = await launchBrowser();

/** One person, entered, with the given look. */
async function person(name, look = sizes.desktop) {
  const context = await browser.newContext(look);
  const page = await context.newPage();
  await enter(page, server, name);
  return page;
}

async function joinRoom(page, room) {
  const field = page.getByRole('textbox', { name: 'Join a room' });
  await field.fill(room);
  await field.press('Enter');
  await page.getByRole('heading', { level: 1, name: room }).waitFor();
}

async function whisper(page, to, text) {
  await page.getByRole('button', { name: new RegExp(`^${to}`) }).click();
  await say(page, text);
  await page.keyboard.press('Escape');
}

/** Every page waits for what was said last, so that the lines stand in the order of the script. */
async function seen(pages, text) {
  await Promise.all(pages.map((page) => page.getByText(text).waitFor()));
}

try {
  const door = await browser.newPage(sizes.desktop);
  await door.goto(`${server.url}/?name=ana`);
  await door.screenshot({ path: join(directory, 'login.png') });

  // Ana sits at the desk, in the dark and on the phone at once: three tabs of one person.
  const ana = { desktop: await person('ana'), dark: await person('ana', sizes.dark), phone: await person('ana', sizes.phone) };
  const tabs = Object.values(ana);
  for (const tab of tabs) {
    await joinRoom(tab, 'garden');
    await joinRoom(tab, 'rust');
    await tab.getByRole('button', { name: /^lobby/ }).click();
  }
  await ana.desktop.screenshot({ path: join(directory, 'empty.png') });
  const bob = await person('bob');
  const mira = await person('mira');
  await joinRoom(mira, 'garden');
  const everybody = [...tabs, bob];

  const script = [
    [bob, 'Morning! Did the deploy go out last night?'],
    [ana.desktop, 'It did, at ten. Nobody noticed, which is the nicest thing one can say about a deploy.'],
    [ana.desktop, 'Sessions came back by themselves within a second or two.'],
    [bob, 'I watched the graph: 1,200 reconnects, no stampede.'],
    [bob, 'Full jitter earns its keep 🙂'],
  ];
  for (const [page, text] of script) {
    await say(page, text);
    await seen(everybody, text);
  }
  await say(mira, 'The tomatoes are finally red.');
  await mira.getByRole('button', { name: /^lobby/ }).click();
  await say(mira, 'Shall we look at the numbers together at eleven? I would like to understand the queue limits before we raise them, and there is cake.');
  await seen(everybody, 'there is cake');
  await whisper(bob, 'ana', 'Is it the lemon one?');
  await seen(tabs, 'lemon one');
  await whisper(ana.phone, 'bob', 'It is. Be early.');
  await seen(tabs, 'Be early');
  await say(ana.desktop, 'Eleven it is.');
  await seen(everybody, 'Eleven it is.');

  for (const [look, page] of Object.entries(ana)) await page.screenshot({ path: join(directory, `${look}.png`) });

  await ana.dark.getByRole('button', { name: /^mira/ }).click();
  await ana.dark.getByRole('textbox', { name: 'Whisper to mira' }).fill('Thank you for the cake');
  await ana.dark.screenshot({ path: join(directory, 'whispering.png') });

  await joinRoom(ana.desktop, 'rust');
  await ana.desktop.getByRole('textbox', { name: 'Join a room' }).fill('admin');
  await ana.desktop.keyboard.press('Enter');
  await ana.desktop.getByRole('alert').filter({ hasText: 'admin' }).waitFor();
  await ana.desktop.getByRole('alert').evaluate((alert) => Promise.all(alert.getAnimations().map((each) => each.finished)));
  await ana.desktop.screenshot({ path: join(directory, 'refused.png') });

  await server.stop();
  await ana.phone.getByText('Reconnecting…').waitFor();
  await ana.phone.screenshot({ path: join(directory, 'reconnecting.png') });
  console.log(`saved to ${directory}`);
} finally {
  await browser.close();
  await server.stop();
}

// The chat, started, entered and talked in.
import { Server } from './server.mjs';

export { launchBrowser } from './server.mjs';

export const ChatServer = { start: (port) => Server.start('chat', port) };

/** Enters the chat under a name, in a page that has its own session storage. */
export async function enter(page, server, name) {
  await page.goto(`${server.url}/?name=${name}`);
  await page.getByLabel('Your name').press('Enter');
  await page.getByRole('status').filter({ hasText: 'Connected' }).waitFor();
  await page.getByRole('listitem').filter({ hasText: name }).filter({ hasText: 'you' }).waitFor();
}

export async function say(page, text) {
  const field = page.getByRole('textbox', { name: /^(Message|Whisper to) / });
  await field.fill(text);
  await field.press('Enter');
}

// The chat binary as a child process, and a Chromium to visit it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const binary = process.env.CHAT_BIN ?? fileURLToPath(new URL('../../target/debug/chat', import.meta.url));

export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** A running chat server. Only its own process is ever signalled. */
export class ChatServer {
  #child;
  #output = '';

  constructor(port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Resolves once the server has said where it listens. */
  static async start(port) {
    const server = new ChatServer(port ?? await freePort());
    const child = server.#child = spawn(binary, ['--port', `${server.port}`], { stdio: ['ignore', 'pipe', 'pipe'] });
    await new Promise((listening, failed) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface(stream).on('line', (line) => {
          server.#output += `${line}\n`;
          if (line.includes(server.url)) listening();
        });
      }
      child.once('error', failed);
      child.once('exit', (code) => failed(new Error(`${binary} exited with ${code} before it listened:\n${server.#output}`)));
    });
    return server;
  }

  /** Sends the signal and resolves with what the process became of it. */
  async stop(signal = 'SIGKILL') {
    const child = this.#child;
    if (child.exitCode === null && child.signalCode === null) {
      child.kill(signal);
      await once(child, 'exit');
    }
    return { code: child.exitCode, signal: child.signalCode };
  }
}

export function launchBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-extensions'],
  });
}

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

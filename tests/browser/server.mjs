// A server as a child process, and a Chromium to visit it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

/** Where cargo puts a binary, unless the environment says where it is. */
const built = (name) => process.env[`${name.toUpperCase()}_BIN`] ?? fileURLToPath(new URL(`../../target/debug/${name}`, import.meta.url));

export async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** A running server of ours. Only its own process is ever signalled. */
export class Server {
  #child;
  #output = '';

  constructor(port) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts a binary of the workspace, which takes `--port`; resolves once it has said where it listens. */
  static async start(name, port) {
    const binary = built(name);
    const server = new Server(port ?? await freePort());
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

export function launchBrowser(options) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    ...options,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-extensions'],
  });
}

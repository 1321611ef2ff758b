// A server of the workspace as a child process.
//
// BINARIES is the folder with the binaries, cargo's for debugging by default; `tests/run interop` sets it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const folder = process.env.BINARIES ?? fileURLToPath(new URL('../../target/debug', import.meta.url));

/** Only its own process is ever signalled. */
export class Server {
  #child;
  #ended;

  constructor(name, child) {
    this.name = name;
    this.#child = child;
    this.#ended = once(child, 'exit');
  }

  /** Starts a binary; resolves once it has said where it listens. */
  static async start(name, args) {
    const child = spawn(`${folder}/${name}`, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const server = new Server(name, child);
    server.port = await new Promise((listens, fails) => {
      createInterface(child.stdout).on('line', (line) => {
        const address = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line);
        if (address) listens(address[1]);
      });
      server.#ended.then(() => fails(new Error(`${name} ended before it listened`)), fails);
    });
    return server;
  }

  async stop(signal = 'SIGKILL') {
    this.#child.kill(signal);
    await this.#ended;
  }
}

// The server killed in the midst of its work, and its clients' return: live.js on Node's `ws`, in numbers for which
// no browser has tabs.
//
// `tests/run interop` builds the reference server.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { afterEach, test } from 'node:test';
import WebSocket from 'ws';
import { LiveClient } from '../../crates/axum-live/js/live.js';
import { Server } from './server.mjs';

const CLIENTS = 100, TALKERS = 10;

let server;
const clients = [];
const happens = new EventEmitter();   // whatever a client hears or is told
afterEach(async () => {
  for (const { live } of clients.splice(0)) live.close();
  await server.stop();
});

const start = (port = 0) => Server.start('reference', ['--port', `${port}`]);

/**
 * Somebody who subscribes to `news`. A talker publishes there one number after the other, the next when it has heard the
 * last, and when the session is open anew: what it said last may not have been heard by anybody.
 */
function client(name, isTalker) {
  const self = { heard: [], told: [], acks: 0, said: 0 };
  const say = () => isTalker && self.live.send('publish', { topic: 'news', data: { name, number: ++self.said } });
  self.live = new LiveClient(`ws://127.0.0.1:${server.port}/ws`, { env: { WebSocket } });
  self.live.on('ack', () => {
    self.acks++;
    say();
    happens.emit('something');
  });
  self.live.subscribe('news', (data) => {
    self.heard.push(data);
    if (data.name === name) say();
    happens.emit('something');
  });
  self.live.addEventListener('state', ({ detail }) => {
    self.told.push(detail.state);
    happens.emit('something');
  });
  self.live.addEventListener('error', ({ detail }) => { throw detail.error; });
  clients.push(self);
  return self;
}

/** Waits until it holds for each client. */
async function all(holds) {
  while (!clients.every(holds)) await once(happens, 'something');
}

/** The numbers of each talker that a client has heard. */
const numbers = ({ heard }, name) => heard.filter((data) => data.name === name).map(({ number }) => number);

test('c59 after a kill under load all come back, are told so, subscribe anew and hear what is said then', { timeout: 60_000 }, async () => {
  server = await start();
  for (let name = 0; name < CLIENTS; name++) client(name, name < TALKERS);
  await all(({ acks, heard }) => acks === 1 && heard.length > 20 * TALKERS);

  await server.stop('SIGKILL');
  await all(({ live }) => live.state === 'waiting');
  const before = clients.map(({ heard }) => heard.length);
  server = await start(server.port);
  await all(({ acks }) => acks === 2);
  clients[0].live.send('publish', { topic: 'news', data: { name: 'after' } });
  await all(({ heard }, index) => heard.length > before[index] + 20 * TALKERS && heard.some(({ name }) => name === 'after'));

  for (const each of clients) {
    assert.equal(each.heard.filter(({ name }) => name === 'after').length, 1);
    assert.deepEqual(each.told.filter((state) => state === 'open'), ['open', 'open'], 'the gap is told once');
    for (let name = 0; name < TALKERS; name++) {
      const heard = numbers(each, name);
      assert.ok(heard.length > 0);
      assert.ok(heard.every((number, index) => index === 0 || number > heard[index - 1]), `${heard} is out of order`);
    }
  }
});

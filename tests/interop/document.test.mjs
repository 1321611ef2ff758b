// Plain clients, as the document has them whose patterns the examples follow: a WebSocket that says `init` on every open
// and comes back a second after it closed. They know nothing of our client, nor of snapshots, updates and receipts.
//
// `tests/run interop` builds the examples.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { afterEach, test } from 'node:test';
import Ws from 'ws';
import { Server } from './server.mjs';

const servers = [], clients = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.leave();
  for (const server of servers.splice(0)) await server.stop();
});

// Each test gets a time limit: a message that never comes is a failure, not a wait.
const promise = (name, body) => test(name, { timeout: 30_000 }, body);

/** An example, on a port that is free or the one it had before. */
async function start(name, port = 0) {
  const server = await Server.start(name, [`127.0.0.1:${port}`]);
  servers.push(server);
  return server;
}

/** A browser's WebSocket says nothing of a connection that fails but by its close. */
class WebSocket extends Ws {
  onerror = () => {};
}

/** Somebody with a page; `onEachOpen` is what it says after `init`, whenever it has connected. */
function client(server, user, onEachOpen = []) {
  const url = `ws://127.0.0.1:${server.port}/ws?user=${user}`;
  const happens = new EventEmitter();
  const heard = [];
  let ws;

  function connect() {
    ws = new WebSocket(url);
    ws.onopen = () => {
      // Re-initialize on every connect
      ws.send(JSON.stringify({topic: 'init', data: {}}));
      for (const message of onEachOpen) ws.send(JSON.stringify(message));
      happens.emit('open');
    };
    ws.onmessage = (event) => {
      heard.push(JSON.parse(event.data));
      happens.emit('message');
    };
    ws.onclose = () => setTimeout(connect, 1000);
  }
  connect();

  const self = {
    heard,
    opened: () => once(happens, 'open'),
    say(topic, data) {
      ws.send(JSON.stringify({ topic, data }));
    },
    /** Waits for a message of this topic that has these data, and perhaps more, which a plain client does not look at. */
    async hears(topic, data) {
      while (!self.hasHeard(topic, data)) await once(happens, 'message');
    },
    hasHeard: (topic, data = {}) => heard.some((message) => message.topic === topic
      && Object.entries(data).every(([key, value]) => message.data[key] === value)),
    forget: () => heard.splice(0),
    leave() {
      ws.onclose = null;
      ws.terminate();
    },
  };
  clients.push(self);
  return self;
}

async function enter(server, user, onEachOpen) {
  const entered = client(server, user, onEachOpen);
  await entered.opened();
  return entered;
}

/** Kills the server and starts it again where it was; all clients have come back by themselves. */
async function restart(server, ...clients) {
  for (const each of clients) each.forget();
  const back = clients.map((each) => each.opened());
  await server.stop('SIGKILL');
  const next = await start(server.name, server.port);
  await Promise.all(back);
  return next;
}

// Room Management

promise('rooms are joined, talked in and left', async () => {
  const server = await start('rooms');
  const [ana, bob] = [await enter(server, 'ana'), await enter(server, 'bob')];
  ana.say('join_room', { room: 'garden' });
  await ana.hears('room:garden', { type: 'join', user: 'ana' });
  bob.say('join_room', { room: 'garden' });
  for (const each of [ana, bob]) await each.hears('room:garden', { type: 'join', user: 'bob' });

  ana.say('room_message', { room: 'garden', text: 'the tomatoes are red' });
  for (const each of [ana, bob]) {
    await each.hears('room:garden', { type: 'message', user: 'ana', text: 'the tomatoes are red' });
  }

  bob.say('leave_room', { room: 'garden' });
  for (const each of [ana, bob]) await each.hears('room:garden', { type: 'leave', user: 'bob' });
  ana.say('room_message', { room: 'garden', text: 'alone again' });
  await ana.hears('room:garden', { text: 'alone again' });
  bob.say('join_room', { room: 'cellar' });
  await bob.hears('room:cellar', { type: 'join' });
  assert.ok(!bob.hasHeard('room:garden', { text: 'alone again' }));
  for (const each of [ana, bob]) assert.ok(!each.hasHeard('error'));
});

promise('who closes the page has left the room', async () => {
  const server = await start('rooms');
  const garden = [{ topic: 'join_room', data: { room: 'garden' } }];
  const [ana, bob] = [await enter(server, 'ana', garden), await enter(server, 'bob', garden)];
  await ana.hears('room:garden', { type: 'join', user: 'bob' });
  bob.leave();
  await ana.hears('room:garden', { type: 'leave', user: 'bob' });
});

promise('a room is there again after the server was killed', async () => {
  let server = await start('rooms');
  const garden = [{ topic: 'join_room', data: { room: 'garden' } }];
  const [ana, bob] = [await enter(server, 'ana', garden), await enter(server, 'bob', garden)];
  await bob.hears('room:garden', { type: 'join', user: 'bob' });
  server = await restart(server, ana, bob);
  await ana.hears('room:garden', { type: 'join', user: 'ana' });
  await bob.hears('room:garden', { type: 'join', user: 'bob' });
  ana.say('room_message', { room: 'garden', text: 'still here?' });
  await bob.hears('room:garden', { type: 'message', user: 'ana', text: 'still here?' });
});

// Presence Tracking

promise('who comes and who goes is told', async () => {
  const server = await start('presence');
  const ana = await enter(server, 'ana');
  await ana.hears('presence', { type: 'join', user: 'ana' });
  const bob = await enter(server, 'bob');
  for (const each of [ana, bob]) await each.hears('presence', { type: 'join', user: 'bob' });
  bob.leave();
  await ana.hears('presence', { type: 'leave', user: 'bob' });
  assert.ok(!ana.hasHeard('error'));
});

promise('everybody is present again after the server was killed', async () => {
  let server = await start('presence');
  const [ana, bob] = [await enter(server, 'ana'), await enter(server, 'bob')];
  await ana.hears('presence', { type: 'join', user: 'bob' });
  server = await restart(server, ana, bob);
  await ana.hears('presence', { type: 'join', user: 'ana' });
  await bob.hears('presence', { type: 'join', user: 'bob' });
  await enter(server, 'carl');
  for (const each of [ana, bob]) await each.hears('presence', { type: 'join', user: 'carl' });
  assert.ok(!ana.hasHeard('presence', { type: 'leave' }));
});

// Direct Messaging

promise('a direct message reaches its recipient and nobody else', async () => {
  const server = await start('direct-messages');
  const [ana, bob, carl] = [await enter(server, 'ana'), await enter(server, 'bob'), await enter(server, 'carl')];
  ana.say('dm', { to: 'bob', text: 'psst' });
  await bob.hears('dm', { from: 'ana', text: 'psst' });
  assert.deepEqual(bob.heard, [{ topic: 'dm', data: { from: 'ana', text: 'psst' } }]);
  bob.say('dm', { to: 'ana', text: 'what?' });
  await ana.hears('dm', { from: 'bob', text: 'what?' });
  assert.ok(!ana.hasHeard('dm', { text: 'psst' }), 'what ana said is not what ana is told');

  bob.say('dm', { to: 'carl', text: 'ana says psst' });
  await carl.hears('dm', { from: 'bob' });
  assert.deepEqual(carl.heard, [{ topic: 'dm', data: { from: 'bob', text: 'ana says psst' } }]);
  for (const each of [ana, bob, carl]) assert.ok(!each.hasHeard('error'));
});

promise('who closes one of two pages is still reached on the other', async () => {
  const server = await start('direct-messages');
  const [ana, bob, bobToo] = [await enter(server, 'ana'), await enter(server, 'bob'), await enter(server, 'bob')];
  bobToo.leave();
  ana.say('dm', { to: 'bob', text: 'still there?' });
  await bob.hears('dm', { from: 'ana', text: 'still there?' });
});

promise('direct messages go both ways after the server was killed, and nobody is reached who is not there', async () => {
  let server = await start('direct-messages');
  const [ana, bob] = [await enter(server, 'ana'), await enter(server, 'bob')];
  server = await restart(server, ana, bob);
  ana.say('dm', { to: 'bob', text: 'are you back?' });
  await bob.hears('dm', { from: 'ana', text: 'are you back?' });
  bob.say('dm', { to: 'ana', text: 'I am' });
  await ana.hears('dm', { from: 'bob', text: 'I am' });
  ana.say('dm', { to: 'carl', text: 'and you?' });
  await ana.hears('error', { code: 'absent' });
});

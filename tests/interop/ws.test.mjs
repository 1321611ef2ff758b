// Node's `ws`, unmodified, as a client of the reference server.
//
// REFERENCE says where it listens, as in ws://127.0.0.1:9001; `tests/run interop` starts one and sets it.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { on, once } from 'node:events';
import { afterEach, test } from 'node:test';
import WebSocket from 'ws';

const { REFERENCE } = process.env;
const READ_LIMIT = 64 << 10; // of /ws

const sockets = [];
afterEach(() => sockets.splice(0).forEach((ws) => ws.terminate()));

// Each test gets a time limit: a message that never comes is a failure, not a wait.
const promise = (name, body) => test(name, { timeout: 30_000 }, body);

async function open(path) {
  const ws = new WebSocket(`${REFERENCE}${path}`);
  sockets.push(ws);
  ws.arrived = on(ws, 'message', { close: ['close'] });
  await once(ws, 'open');
  return ws;
}

async function next(ws) {
  const { value, done } = await ws.arrived.next();
  assert.equal(done, false, 'the connection was closed');
  const [data, isBinary] = value;
  return isBinary ? data : data.toString();
}

const tell = (ws, topic, data) => ws.send(JSON.stringify({ topic, data }));
const hear = async (ws) => JSON.parse(await next(ws));

async function subscribe(ws, topic) {
  tell(ws, 'subscribe', { topic });
  assert.deepEqual(await hear(ws), { topic: 'ack', data: null });
}

// Comes back only after the server has dealt with all that this session sent before.
async function askBack(ws, data) {
  tell(ws, 'echo', data);
  assert.deepEqual(await hear(ws), { topic: 'echo', data });
}

async function closed(ws) {
  const [code, reason] = await once(ws, 'close');
  return { code, reason: reason.toString() };
}

// Frames

for (const [name, message] of Object.entries({
  'empty text': '',
  'text': 'snow ☃ and 𝄞',
  'long text': 'x'.repeat(70_000),
  'empty binary': Buffer.alloc(0),
  'binary': Buffer.from([0, 255, 254]),
  'long binary': randomBytes(70_000),
})) {
  promise(`${name} comes back with its type`, async () => {
    const ws = await open('/echo');
    ws.send(message);
    assert.deepEqual(await next(ws), message);
  });
}

promise('fragments are one message', async () => {
  const ws = await open('/echo');
  ws.send('one ', { fin: false });
  ws.send('', { fin: false });
  ws.send('message', { fin: true });
  assert.equal(await next(ws), 'one message');
});

promise('a character may be split between fragments', async () => {
  const ws = await open('/echo');
  const [first, ...rest] = Buffer.from('☃');
  ws.send(Buffer.from([first]), { binary: false, fin: false });
  ws.send(Buffer.from(rest), { fin: true });
  assert.equal(await next(ws), '☃');
});

promise('sixteen mebibytes come back', async () => {
  const ws = await open('/echo');
  const message = randomBytes(16 << 20);
  ws.send(message);
  assert.ok(message.equals(await next(ws)));
});

promise('a ping is answered with its payload', async () => {
  const ws = await open('/echo');
  for (const payload of ['', '?', 'x'.repeat(125)]) {
    ws.ping(payload);
    const [answer] = await once(ws, 'pong');
    assert.equal(answer.toString(), payload);
  }
});

promise('a ping between fragments is answered before the message ends', async () => {
  const ws = await open('/echo');
  ws.send('before, ', { fin: false });
  ws.ping('now');
  await once(ws, 'pong');
  ws.send('after', { fin: true });
  assert.equal(await next(ws), 'before, after');
});

// Endings

for (const path of ['/echo', '/ws']) {
  for (const code of [1000, 3000, 4321]) {
    promise(`${path} gives back the client's close code ${code}`, async () => {
      const ws = await open(path);
      ws.close(code, 'done');
      assert.equal((await closed(ws)).code, code);
    });
  }

  promise(`${path} ends text that is not UTF-8 with 1007`, async () => {
    const ws = await open(path);
    ws.send(Buffer.from([0xff]), { binary: false });
    const { code, reason } = await closed(ws);
    assert.equal(code, 1007);
    assert.notEqual(reason, '');
  });
}

promise('a message of the read limit passes and one byte more is 1009', async () => {
  const ws = await open('/ws');
  const longest = 'x'.repeat(READ_LIMIT - '{"topic":"echo","data":""}'.length);
  await askBack(ws, longest);
  tell(ws, 'echo', `${longest}x`);
  const { code, reason } = await closed(ws);
  assert.equal(code, 1009);
  assert.notEqual(reason, '');
});

promise('sixteen bad messages in a row are 4500', async () => {
  const ws = await open('/ws');
  for (let n = 0; n < 15; n += 1) ws.send('no envelope');
  await askBack(ws, 'fifteen are forgiven');
  for (let n = 0; n < 16; n += 1) ws.send('no envelope');
  const { code, reason } = await closed(ws);
  assert.equal(code, 4500);
  assert.notEqual(reason, '');
});

// Handshakes

promise('neither subprotocol nor extension is agreed to', async () => {
  const ws = await open('/ws');
  assert.equal(ws.protocol, '');
  assert.equal(ws.extensions, '');
});

promise('a subprotocol that the server does not speak is not claimed', async () => {
  const ws = new WebSocket(`${REFERENCE}/ws`, ['chat']);
  const [error] = await once(ws, 'error');
  assert.equal(error.message, 'Server sent no subprotocol');
});

promise('another version is 426 and told the right one', async () => {
  const ws = new WebSocket(`${REFERENCE}/ws`, { protocolVersion: 8 });
  const [request, response] = await once(ws, 'unexpected-response');
  request.destroy();
  assert.equal(response.statusCode, 426);
  assert.equal(response.headers['sec-websocket-version'], '13');
});

// The dialect of /ws

promise('data is echoed as it was', async () => {
  const ws = await open('/ws');
  for (const data of [null, true, -0.5, '☃\n', [], { deep: [[[{}]]] }]) await askBack(ws, data);
});

promise('publications reach every subscriber in order', async () => {
  const everyone = await Promise.all([open('/ws'), open('/ws'), open('/ws')]);
  for (const ws of everyone) await subscribe(ws, 'node:order');
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  for (const data of numbers) tell(everyone[0], 'publish', { topic: 'node:order', data });
  for (const ws of everyone) {
    for (const data of numbers) assert.deepEqual(await hear(ws), { topic: 'node:order', data });
  }
});

promise('nothing published after unsubscribe arrives', async () => {
  const [subscriber, publisher] = await Promise.all([open('/ws'), open('/ws')]);
  await subscribe(subscriber, 'node:left');
  tell(subscriber, 'unsubscribe', { topic: 'node:left' });
  assert.deepEqual(await hear(subscriber), { topic: 'ack', data: null });
  tell(publisher, 'publish', { topic: 'node:left', data: 'too late' });
  await askBack(publisher, 'published by now');
  await askBack(subscriber, 'and nothing before this');
});

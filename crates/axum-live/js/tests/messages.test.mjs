// Subscriptions, listeners and the queue.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { LiveClient } from '../live.js';
import { CLOSING, World, asks, leaves, settled } from './world.mjs';

let world;
beforeEach(() => { world = new World(); });
afterEach(() => world.end());

describe('subscriptions', () => {
  test('they are asked for on each open, once each', async () => {
    const live = world.client();
    live.subscribe('a', () => {});
    live.subscribe('b', () => {});
    live.subscribe('a', () => {});
    await world.open();
    assert.deepEqual(world.socket.sent, [asks('a'), asks('b')]);
    await world.reopen();
    assert.deepEqual(world.socket.sent, [asks('a'), asks('b')]);
  });

  test('the first listener subscribes and the last unsubscribes', async () => {
    const live = await world.opened();
    const first = live.subscribe('a', () => assert.fail('stopped'));
    const second = live.subscribe('a', () => assert.fail('stopped'));
    first();
    first();
    assert.deepEqual(world.socket.sent, [asks('a')]);
    second();
    assert.deepEqual(world.socket.sent, [asks('a'), leaves('a')]);
    world.socket.receive({ topic: 'a' });
    live.subscribe('a', () => {});
    assert.deepEqual(world.socket.sent.at(-1), asks('a'));
    await world.reopen();
    assert.deepEqual(world.socket.sent, [asks('a')]);
    assert.deepEqual(world.of('error'), []);
  });

  test('one that was stopped while offline is not asked for, nor ended', async () => {
    const live = await world.opened();
    const stop = live.subscribe('a', () => {});
    world.socket.lose();
    stop();
    await world.clock.pass(250);
    await world.open();
    assert.deepEqual(world.socket.sent, []);
  });

  test('they take no place in the queue', async () => {
    const live = world.client({ queue: { size: 1 } });
    live.send('x');
    for (const topic of ['a', 'b', 'c']) live.subscribe(topic, () => {});
    await world.open();
    assert.deepEqual(world.socket.sent, [asks('a'), asks('b'), asks('c'), { topic: 'x' }]);
  });

  test('one that init makes is asked for once', async () => {
    await world.opened({ init: (live) => live.subscribe('a', () => {}) });
    assert.deepEqual(world.socket.sent, [asks('a')]);
  });

  test('one that init ends was never asked for, and is not ended', async () => {
    let stop;
    const live = world.client({ init: () => stop() });
    stop = live.subscribe('a', () => {});
    await world.open();
    assert.deepEqual(world.socket.sent, []);
  });

  test('the messages that ask can have other topics', async () => {
    const live = await world.opened({ subscribe: 'join', unsubscribe: 'part' });
    live.subscribe('a', () => {})();
    assert.deepEqual(world.socket.sent, [{ topic: 'join', data: { topic: 'a' } }, { topic: 'part', data: { topic: 'a' } }]);
  });

  test('they stay over close and connect', async () => {
    const live = await world.opened();
    live.subscribe('a', () => {});
    live.close();
    live.connect();
    await world.open();
    assert.deepEqual(world.socket.sent, [asks('a')]);
  });
});

describe('listening', () => {
  let heard;
  const hear = (name) => (data, topic) => heard.push([name, data, topic]);
  beforeEach(() => { heard = []; });

  test('a topic reaches its listeners and those of all, each with data and topic', async () => {
    const live = await world.opened();
    live.on('a', hear('on'));
    live.subscribe('a', hear('subscribed'));
    live.on('b', hear('other'));
    live.on('*', hear('all'));
    world.socket.receive({ topic: 'a', data: { n: 1 }, extra: true });
    assert.deepEqual(heard, ['on', 'subscribed', 'all'].map((name) => [name, { n: 1 }, 'a']));
    assert.deepEqual(world.of('message'), [{ type: 'message', topic: 'a', data: { n: 1 } }]);
    assert.deepEqual(world.socket.sent, [asks('a')], 'on asks the server for nothing');
  });

  test('a message whose topic is * is heard once', async () => {
    const live = await world.opened();
    live.on('*', hear('all'));
    world.socket.receive({ topic: '*', data: 1 });
    assert.deepEqual(heard, [['all', 1, '*']]);
  });

  test('data that is absent is null', async () => {
    const live = await world.opened();
    live.on('a', hear('a'));
    world.socket.receive({ topic: 'a' });
    assert.deepEqual(heard, [['a', null, 'a']]);
  });

  test('a binary frame is read as the same JSON', async () => {
    const live = await world.opened();
    live.on('a', hear('a'));
    assert.equal(world.socket.binaryType, 'arraybuffer');
    world.socket.receive(new TextEncoder().encode('{"topic":"a","data":"ü"}').buffer);
    assert.deepEqual(heard, [['a', 'ü', 'a']]);
  });

  test('off stops one listener, even the next of the message under way, and twice does no harm', async () => {
    const live = await world.opened();
    const listener = hear('same');
    const off = live.on('a', listener);
    live.on('a', listener);
    off();
    off();
    world.socket.receive({ topic: 'a' });
    assert.equal(heard.length, 1);
    let offLater;
    live.on('b', () => offLater());
    offLater = live.on('b', hear('later'));
    world.socket.receive({ topic: 'b' });
    assert.equal(heard.length, 1);
  });

  test('a listener that listens on hears the next message, not this one again', async () => {
    const live = await world.opened();
    const again = () => live.on('a', again) && heard.push('a');
    live.on('a', again);
    world.socket.receive({ topic: 'a' });
    assert.equal(heard.length, 1);
  });

  test('a listener that throws or rejects stops no other and is told', async () => {
    const live = await world.opened();
    live.on('a', () => { throw new Error('thrown'); });
    live.on('a', async () => { throw new Error('rejected'); });
    live.on('a', hear('a'));
    world.socket.receive({ topic: 'a' });
    await settled();
    assert.equal(heard.length, 1);
    assert.deepEqual(world.of('error').map(({ error }) => error.message), ['thrown', 'rejected']);
    assert.equal(live.state, 'open');
  });

  test('what goes wrong is on the console unless the page prevents it', async (t) => {
    const said = t.mock.method(console, 'error', () => {});
    await world.opened();
    world.socket.receive('odd');
    assert.equal(said.mock.callCount(), 0);
    const other = new World();
    const { WebSocket, clock, page } = other;
    new LiveClient('/ws', { env: { WebSocket, clock, page } });
    await other.open();
    other.socket.receive('odd');
    assert.equal(said.mock.callCount(), 1);
  });

  test('a listener that is no function is thrown at the caller', () => {
    const live = world.client();
    assert.throws(() => live.on('a'), TypeError);
    assert.throws(() => live.subscribe('a', null), TypeError);
  });

  test('c76 a forged frame never throws and harms nobody', async () => {
    const live = await world.opened();
    live.on('*', hear('*'));
    const forged = ['', ' ', 'not json', 'null', '[]', '{}', '7', '"topic"', '[{"topic":"a"}]', '{"topic":7}', '{"topic":null}',
      '{"topic":["a"]}', '{"__proto__":{"topic":"a"}}', '\u0000', `${'['.repeat(200_000)}`, new ArrayBuffer(0),
      new Uint8Array([0, 255, 254]).buffer, {}];
    for (const frame of forged) world.socket.receive(frame);
    world.socket.onmessage({ data: undefined });
    world.socket.onmessage({ data: { odd: true } });
    assert.equal(world.of('error').length, forged.length + 2);
    assert.equal(world.of('error')[2].frame, 'not json');
    assert.deepEqual(heard, []);
    world.socket.receive({ topic: 'a', data: 1 });
    assert.deepEqual(heard, [['*', 1, 'a']]);
    assert.equal(live.state, 'open');
  });

  test('topics named like the parts of an object are topics', async () => {
    const live = await world.opened();
    for (const topic of ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '']) {
      world.socket.receive({ topic, data: 'nobody listens' });
      const stop = live.subscribe(topic, hear(topic));
      world.socket.receive(`{"topic":${JSON.stringify(topic)},"data":{"__proto__":{"polluted":1}}}`);
      assert.equal(heard.length, 1, topic);
      assert.deepEqual(world.socket.sent.at(-1), asks(topic));
      stop();
      assert.deepEqual(world.socket.sent.at(-1), leaves(topic));
      heard = [];
    }
    assert.equal({}.polluted, undefined);
    assert.deepEqual(world.of('error'), []);
  });
});

describe('sending', () => {
  const sent = () => world.socket.sent.map(({ topic }) => topic);

  test('it is true when it went to the socket', async () => {
    const live = await world.opened();
    assert.equal(live.send('a', { n: 1 }), true);
    assert.equal(live.send('b'), true);
    assert.deepEqual(world.socket.sent, [{ topic: 'a', data: { n: 1 } }, { topic: 'b' }]);
  });

  test('what is sent while offline arrives once, in order, as it was then', async () => {
    const live = world.client();
    const data = { n: 1 };
    assert.equal(live.send('a', data), false);
    data.n = 2;
    live.send('b');
    await world.open();
    live.send('c');
    assert.deepEqual(world.socket.sent, [{ topic: 'a', data: { n: 1 } }, { topic: 'b' }, { topic: 'c' }]);
    await world.reopen();
    assert.deepEqual(world.socket.sent, []);
  });

  test('what is sent to a socket that is closing is queued, not swallowed', async () => {
    const live = await world.opened();
    live.subscribe('s', () => {});
    world.socket.readyState = CLOSING;
    assert.equal(live.send('a'), false);
    live.subscribe('t', () => {});
    await world.reopen();
    assert.deepEqual(sent(), ['subscribe', 'subscribe', 'a']);
  });

  test('init goes first, then the subscriptions, then what was queued', async () => {
    const live = world.client({ init: (self) => { assert.equal(self.state, 'open'); assert.equal(self.send('init', {}), true); } });
    live.send('queued');
    live.subscribe('a', () => {});
    await world.open();
    assert.deepEqual(sent(), ['init', 'subscribe', 'queued']);
    await world.reopen();
    assert.deepEqual(sent(), ['init', 'subscribe']);
  });

  test('what was queued stays when the socket closes under it', async () => {
    const live = world.client({ init: () => { if (world.sockets.length === 1) world.socket.readyState = CLOSING; } });
    live.send('queued');
    await world.open();
    await world.reopen();
    assert.deepEqual(sent(), ['queued']);
  });

  test('who waits for open speaks after what was queued', async () => {
    const live = world.client();
    live.opened().then(() => live.send('promised'));
    live.addEventListener('state', () => live.state === 'open' && live.send('told'));
    live.send('queued');
    await world.open();
    assert.deepEqual(sent(), ['queued', 'told', 'promised']);
  });

  test('an init that throws or rejects is told, and the rest goes on', async () => {
    for (const init of [() => { throw new Error('init'); }, async () => { throw new Error('init'); }]) {
      world = new World();
      const live = world.client({ init });
      live.send('queued');
      await world.open();
      assert.deepEqual(sent(), ['queued']);
      assert.equal(world.of('error')[0].error.message, 'init');
      assert.equal(live.state, 'open');
    }
  });

  test('an init that closes sends nothing more and is not told open', async () => {
    const live = world.client({ init: () => live.close() });
    live.subscribe('a', () => {});
    live.send('queued');
    await world.open();
    assert.deepEqual(sent(), []);
    assert.equal(live.state, 'closed');
    assert.deepEqual(world.of('state').map(({ state }) => state), ['closed']);
    assert.deepEqual(world.of('drop').map(({ topic, why }) => [topic, why]), [['queued', 'closed']]);
  });

  test('the oldest goes past the size, and is told', async () => {
    const live = world.client({ queue: { size: 2 } });
    for (const topic of ['a', 'b', 'c', 'd']) live.send(topic, topic);
    assert.deepEqual(world.of('drop'), ['a', 'b'].map((topic) => ({ type: 'drop', topic, data: topic, why: 'full' })));
    await world.open();
    assert.deepEqual(sent(), ['c', 'd']);
  });

  test('a hundred are kept by default', async () => {
    const live = world.client();
    for (let n = 0; n < 101; n++) live.send('a', n);
    assert.equal(world.of('drop').length, 1);
    await world.open();
    assert.equal(world.socket.sent.length, 100);
  });

  test('a queue of size 0 keeps nothing', async () => {
    const live = world.client({ queue: { size: 0 } });
    live.send('a');
    assert.equal(world.of('drop').length, 1);
    await world.open();
    assert.deepEqual(sent(), []);
  });

  test('what is older than ttl is not sent, and is told', async () => {
    const live = world.client({ openTimeout: 1e9 });
    live.send('old');
    await world.clock.pass(1);
    live.send('young');
    await world.clock.pass(60_000);
    await world.open();
    assert.deepEqual(sent(), ['young']);
    assert.deepEqual(world.of('drop').map(({ topic, why }) => [topic, why]), [['old', 'stale']]);
  });

  test('what JSON cannot say, and a topic that is no string, is thrown at the caller', async () => {
    const live = await world.opened();
    const circle = {};
    circle.circle = circle;
    for (const data of [circle, 1n]) assert.throws(() => live.send('a', data), TypeError);
    for (const topic of [undefined, null, 7, {}]) assert.throws(() => live.send(topic), TypeError);
    assert.deepEqual(sent(), []);
  });

  test('after the end nothing is taken, and that is told', async () => {
    const live = await world.opened();
    live.close();
    assert.equal(live.send('late'), false);
    assert.deepEqual(world.of('drop').map(({ topic, why }) => [topic, why]), [['late', 'closed']]);
    live.connect();
    await world.open();
    assert.deepEqual(sent(), []);
  });
});

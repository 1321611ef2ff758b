// Coming, going and coming back.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CLOSING, World, leaves, settled } from './world.mjs';

let world;
beforeEach(() => { world = new World(); });
afterEach(() => world.end());

describe('connecting', () => {
  test('a relative address is taken from the page, and http becomes ws', async () => {
    world.client();
    await settled();
    assert.equal(world.socket.url, 'wss://app.example/ws');
    world.page.location.href = 'http://app.example/chat/';
    for (const [given, asked] of [['ws', 'ws://app.example/chat/ws'], ['https://b.example/x?y=1#z', 'wss://b.example/x?y=1'],
      ['ws://c.example/', 'ws://c.example/'], [new URL('wss://d.example/'), 'wss://d.example/']]) {
      const other = new World();
      other.page = world.page;
      other.client({}, given);
      await settled();
      assert.equal(other.socket.url, asked);
    }
  });

  test('an address that no WebSocket reaches is thrown at the caller', () => {
    for (const url of ['http://', 'file:///ws', 'mailto:a@b']) assert.throws(() => world.client({}, url), TypeError);
  });

  test('subprotocols are offered', async () => {
    world.client({ protocols: ['chat.v2'] });
    await settled();
    assert.deepEqual(world.socket.protocols, ['chat.v2']);
  });

  test('connect: false waits for connect', async () => {
    const live = world.client({ connect: false });
    await settled();
    assert.equal(live.state, 'closed');
    assert.equal(world.sockets.length, 0);
    live.connect();
    await world.open();
    assert.equal(live.state, 'open');
  });

  test('c76 connect while under way opens no second socket', async () => {
    let given, asked = 0;
    const live = world.client({ token: () => new Promise((resolve) => { given = resolve; asked++; }) });
    live.connect();
    await settled();
    given('t');
    await settled();
    live.connect();
    await world.open();
    live.connect();
    await settled();
    assert.equal(live.state, 'open');
    assert.equal(world.sockets.length, 1);
    assert.equal(asked, 1);
  });

  test('connect while waiting tries at once', async () => {
    const live = await world.opened();
    world.socket.lose();
    live.connect();
    assert.equal(live.status.attempt, 1, 'the backoff goes on');
    await world.open();
    assert.equal(live.state, 'open');
    assert.equal(world.sockets.length, 2);
  });

  test('a handshake without an answer is given up after openTimeout', async () => {
    const live = world.client({ openTimeout: 3_000 });
    await world.clock.pass(2_999);
    assert.equal(live.state, 'connecting');
    await world.clock.pass(1);
    assert.equal(live.state, 'waiting');
    assert.equal(world.sockets[0].readyState, CLOSING);
    assert.equal(live.status.reason, 'no answer in time');
    await world.clock.pass(125);
    assert.equal(world.sockets.length, 2);
  });

  test('an attempt that timed out does not close its successor', async () => {
    const live = world.client();
    await settled();
    world.socket.lose();
    await settled();
    await world.clock.pass(250);
    await world.open();
    await world.clock.pass(600_000);
    assert.equal(live.state, 'open');
    assert.equal(world.clock.timers.size, 0);
  });

  test('an abandoned socket is not heard any more', async () => {
    const live = world.client({ openTimeout: 1_000 });
    await world.clock.pass(1_000);
    const [old] = world.sockets;
    old.open();
    old.receive({ topic: 'ghost' });
    old.lose(4500, 'ghost');
    await settled();
    assert.equal(live.state, 'waiting');
    assert.deepEqual(world.of('message'), []);
  });

  test('a socket that cannot be made is a passing failure', async () => {
    world.WebSocket = class { constructor() { throw new DOMException('mixed content', 'SecurityError'); } };
    const live = world.client();
    await settled();
    assert.equal(live.state, 'waiting');
    assert.equal(world.of('error')[0].error.name, 'SecurityError');
  });

  test('opened resolves when open and rejects when it ends', async () => {
    const live = world.client();
    const opened = live.opened();
    await world.open();
    await opened;
    await live.opened();
    world.socket.lose();
    const again = live.opened();
    live.close(4000, 'enough');
    await assert.rejects(again, { message: 'the live session is closed 4000 enough' });
    await assert.rejects(live.opened(), (error) => error.cause === live.status);
  });

  test('opened listens no longer than it waits', async () => {
    const live = world.client();
    const kept = [];
    live.addEventListener = (_, listener) => kept.push(listener);
    live.removeEventListener = (_, listener) => kept.splice(kept.indexOf(listener), 1);
    live.opened();
    await world.open();
    kept[0]();
    await live.opened();
    assert.deepEqual(kept, []);
  });

  test('opened waits through failures', async () => {
    const live = world.client();
    const opened = live.opened();
    await settled();
    world.socket.lose();
    await settled();
    await world.clock.pass(250);
    await world.open();
    await opened;
  });
});

describe('coming back', () => {
  /** Fails every handshake and gathers how long each wait was to be. */
  async function waits(count) {
    const delays = [];
    for (let n = 0; n < count; n++) {
      await settled();
      world.socket.lose();
      await settled();
      delays.push(world.live.status.retryAt - world.clock.time);
      await world.clock.pass(delays.at(-1));
    }
    return delays;
  }

  test('the waits grow to a limit', async () => {
    world.clock.luck = 0.5;
    world.client();
    assert.deepEqual(await waits(8), [125, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  test('the waits are random from nothing to the whole: no beat is fixed', async () => {
    world.clock.luck = 0;
    world.client();
    assert.deepEqual(await waits(3), [0, 0, 0]);
    world.clock.luck = 0.999;
    assert.deepEqual(await waits(1), [0.999 * 2_000]);
  });

  test('backoff can be set', async () => {
    world.client({ backoff: { base: 10, max: 30 } });
    assert.deepEqual(await waits(4), [5, 10, 15, 15]);
  });

  test('an option that is undefined has its default', async () => {
    world.client({ backoff: { base: undefined, max: undefined }, queue: { size: undefined, ttl: undefined }, openTimeout: undefined });
    assert.deepEqual(await waits(2), [125, 250]);
  });

  test('waits stay finite after a thousand failures', async () => {
    world.clock.luck = 0.5;
    world.client();
    assert.equal((await waits(1_100)).at(-1), 5_000);
  });

  test('a session that lived five seconds begins the backoff anew, a shorter one does not', async () => {
    const live = world.client();
    await waits(4);
    await world.open();
    await world.clock.pass(4_999);
    world.socket.lose();
    await settled();
    assert.equal(live.status.attempt, 5);
    await world.clock.pass(10_000);
    await world.open();
    await world.clock.pass(5_000);
    world.socket.lose();
    assert.equal(live.status.attempt, 1);
    assert.equal(live.status.retryAt - world.clock.time, 125);
  });

  test('it returns from every passing close code', async () => {
    await world.opened();
    for (const code of [1000, 1001, 1006, 1011, 1012, 4008, 4009, 4012, 4499, 5000]) {
      world.socket.lose(code, 'bye');
      assert.equal(world.live.state, 'waiting', `${code}`);
      assert.equal(world.live.status.code, code);
      await world.clock.pass(10_000);
      await world.open();
    }
  });

  test('it stays away after 4500 to 4999', async () => {
    for (const code of [4500, 4501, 4750, 4999]) {
      world = new World();
      const live = await world.opened();
      world.socket.lose(code, 'too many odd messages');
      assert.deepEqual({ ...live.status }, { state: 'ended', attempt: 0, code, reason: 'too many odd messages', httpStatus: null, retryAt: null });
      await world.hears('online');
      await world.hears('visibilitychange');
      await world.clock.pass(600_000);
      assert.equal(world.sockets.length, 1);
      assert.equal(world.clock.timers.size, 0);
    }
  });

  test('connect opens again after the end, as if for the first time', async () => {
    const live = world.client();
    await settled();
    await world.clock.pass(20_000);
    assert.notEqual(live.status.attempt, 0);
    await world.open();
    world.socket.lose(4500, 'no');
    live.connect();
    await settled();
    assert.deepEqual({ ...live.status }, { state: 'connecting', attempt: 0, code: null, reason: '', httpStatus: null, retryAt: null });
    await world.open();
    assert.equal(live.state, 'open');
    world.socket.lose();
    await world.hears('online');
    assert.equal(live.state, 'connecting', 'the page is heard again');
  });
});

describe('closing', () => {
  test('close is passed on and final', async () => {
    const live = await world.opened();
    live.close(4000, 'bye');
    assert.deepEqual(world.socket.closedWith, [4000, 'bye']);
    assert.equal(live.state, 'closed');
    world.socket.lose(4000, 'bye');
    await world.hears('online');
    await world.hears('visibilitychange');
    await world.clock.pass(600_000);
    assert.equal(world.sockets.length, 1);
    assert.equal(world.clock.timers.size, 0);
    live.close();
    assert.equal(live.status.code, 4000, 'the first word stands');
    assert.equal(world.of('state').filter(({ state }) => state === 'closed').length, 1);
  });

  test('it is 1000 by default', async () => {
    (await world.opened()).close();
    assert.deepEqual(world.socket.closedWith, [1000, '']);
    assert.equal(world.live.status.code, 1000);
  });

  test('a code that the socket does not take is thrown at the caller and closes nothing', async () => {
    const live = await world.opened();
    assert.throws(() => live.close(1001), { name: 'InvalidAccessError' });
    assert.equal(live.state, 'open');
    assert.equal(live.send('a'), true);
  });

  test('while waiting, connecting or probing it is final too', async () => {
    const live = world.client();
    await settled();
    live.close();
    assert.equal(world.socket.readyState, CLOSING);
    live.connect();
    await settled();
    world.answer = () => new Promise(() => {});
    world.socket.lose();
    await settled();
    live.close();
    live.connect();
    await world.open();
    world.socket.lose();
    live.close();
    assert.equal(live.status.retryAt, null);
    await world.clock.pass(600_000);
    assert.equal(live.state, 'closed');
    assert.equal(world.sockets.length, 3);
  });

  test('what is queued is dropped and told, at close and at the end', async () => {
    for (const end of [() => world.live.close(), () => world.socket.lose(4500, 'no')]) {
      world = new World();
      const live = world.client();
      live.send('a', 1);
      await settled();
      end();
      assert.deepEqual(world.of('drop'), [{ type: 'drop', topic: 'a', data: 1, why: 'closed' }]);
    }
  });

  test('a client that is closed leaves nothing at the page', async () => {
    const heard = new Map();
    const { addEventListener } = world.page;
    world.page.addEventListener = function (type, listener, { signal }) {
      heard.set(type, signal);
      addEventListener.call(this, type, listener, { signal });
    };
    const live = await world.opened();
    assert.deepEqual([...heard.keys()].sort(), ['offline', 'online', 'pagehide', 'pageshow', 'visibilitychange']);
    live.close();
    for (const signal of heard.values()) assert.ok(signal.aborted);
  });
});

describe('status', () => {
  test('each change is told with a frozen snapshot', async () => {
    const live = world.client();
    await world.open();
    world.socket.lose(1001, 'shutting down');
    const { retryAt } = live.status;
    await world.clock.pass(250);
    const told = world.of('state').map(({ type, ...status }) => status);
    assert.deepEqual(told, [
      { state: 'open', attempt: 0, code: null, reason: '', httpStatus: null, retryAt: null },
      { state: 'waiting', attempt: 1, code: 1001, reason: 'shutting down', httpStatus: null, retryAt },
      { state: 'connecting', attempt: 1, code: 1001, reason: 'shutting down', httpStatus: null, retryAt: null },
    ]);
    assert.equal(retryAt, 1_000_000 + 125);
    await world.open();
    assert.deepEqual({ ...live.status }, { state: 'open', attempt: 1, code: null, reason: '', httpStatus: null, retryAt: null });
    assert.ok(Object.isFrozen(live.status));
    assert.equal(live.status.state, live.state);
  });

  test('a listener of the status may close or connect', async () => {
    const live = await world.opened();
    live.addEventListener('state', ({ detail }) => {
      if (detail.state === 'waiting') live.close();
      else if (detail.state === 'closed' && world.sockets.length < 3) live.connect();
    });
    world.socket.lose();
    await settled();
    assert.equal(live.state, 'connecting');
    world.socket.lose();
    await settled();
    assert.equal(live.state, 'connecting');
    await world.open();
    assert.equal(live.state, 'open');
    assert.equal(world.clock.timers.size, 0);
  });
});

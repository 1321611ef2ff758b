// What the page tells: the network, visibility, the back/forward cache.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CLOSING, World, asks, settled } from './world.mjs';

let world;
beforeEach(() => { world = new World(); });
afterEach(() => world.end());

describe('the page', () => {
  const waiting = async () => {
    const live = await world.opened();
    world.clock.luck = 0.999;
    world.socket.lose();
    assert.equal(live.state, 'waiting');
    return live;
  };

  for (const type of ['online', 'visibilitychange', 'pageshow']) {
    test(`${type} ends the waiting, with one socket`, async () => {
      const live = await waiting();
      await world.hears(type);
      await world.hears(type);
      assert.equal(live.state, 'connecting');
      await world.open();
      await world.clock.pass(600_000);
      assert.equal(world.sockets.length, 2);
      assert.equal(live.state, 'open');
    });
  }

  test('a page that is hidden hastens nothing', async () => {
    const live = await waiting();
    world.page.document.visibilityState = 'hidden';
    await world.hears('visibilitychange');
    assert.equal(live.state, 'waiting');
  });

  test('all of them leave an open session alone', async () => {
    const live = await world.opened();
    for (const type of ['online', 'visibilitychange', 'pageshow']) await world.hears(type);
    assert.equal(live.state, 'open');
    assert.equal(world.sockets.length, 1);
  });

  test('online begins the backoff anew', async () => {
    const live = world.client();
    for (let n = 0; n < 6; n++) {
      await settled();
      world.socket.lose();
      await settled();
      if (n < 5) await world.clock.pass(10_000);
    }
    assert.equal(live.status.attempt, 6);
    await world.hears('online');
    world.socket.lose();
    await settled();
    assert.equal(live.status.attempt, 1);
  });

  test('c76 offline gives the socket up, so that what is sent is kept', async () => {
    const live = await world.opened();
    world.clock.luck = 0.999;
    await world.hears('offline');
    assert.equal(world.sockets[0].readyState, CLOSING);
    assert.equal(live.state, 'waiting');
    assert.equal(live.status.reason, 'offline');
    assert.equal(live.send('kept'), false);
    await world.hears('online');
    await world.open();
    assert.deepEqual(world.socket.sent, [{ topic: 'kept' }]);
  });

  test('offline while waiting changes nothing', async () => {
    const live = await waiting();
    const before = live.status;
    await world.hears('offline');
    assert.equal(live.status, before);
  });

  test('offline gives a handshake up, and online makes a new one', async () => {
    world.client();
    await settled();
    await world.hears('offline');
    await world.hears('online');
    assert.equal(world.sockets.length, 2);
  });

  test('c76 a page that goes into the cache closes its socket, waits, and returns at once', async () => {
    const live = await world.opened();
    live.subscribe('a', () => {});
    await world.hears('pagehide', { persisted: true });
    assert.equal(world.socket.readyState, CLOSING);
    assert.equal(world.clock.timers.size, 0);
    assert.equal(live.send('kept'), false);
    await world.clock.pass(30_000);
    assert.equal(world.sockets.length, 1);
    await world.hears('pageshow', { persisted: true });
    await world.open();
    assert.deepEqual(world.socket.sent, [asks('a'), { topic: 'kept' }]);
  });

  test('a page that goes for good keeps its socket, for a last word', async () => {
    const live = await world.opened();
    await world.hears('pagehide', { persisted: false });
    assert.equal(live.send('bye'), true);
  });
});

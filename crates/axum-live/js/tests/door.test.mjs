// Tokens, and a door that refuses.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { World, settled } from './world.mjs';

let world;
beforeEach(() => { world = new World(); });
afterEach(() => world.end());

describe('token', () => {
  test('it is asked before every attempt and goes into the query', async () => {
    let count = 0;
    world.client({ token: async () => `t&${++count}`, tokenParam: 'key' }, '/ws?room=a');
    await world.open();
    await world.reopen();
    assert.deepEqual(world.sockets.map(({ url }) => new URL(url).search), ['?room=a&key=t%261', '?room=a&key=t%262']);
  });

  test('c56 after 4001 it is asked anew, and the session comes back with a fresh one', async () => {
    let count = 0;
    const live = world.client({ token: async () => `t${++count}` });
    await world.open();
    world.socket.lose(4001, 'the credentials have expired');
    assert.equal(live.state, 'waiting');
    await world.clock.pass(10_000);
    await world.open();
    assert.equal(live.state, 'open');
    assert.deepEqual(world.sockets.map(({ url }) => new URL(url).search), ['?token=t1', '?token=t2']);
  });

  test('undefined and null add nothing', async () => {
    for (const token of [() => undefined, async () => null, undefined]) {
      world = new World();
      world.client({ token });
      await settled();
      assert.equal(world.socket.url, 'wss://app.example/ws');
    }
  });

  test('a rejection, or a throw, is a passing failure that is told', async () => {
    for (const token of [() => Promise.reject(new Error('no token')), () => { throw new Error('no token'); }]) {
      world = new World();
      const live = world.client({ token });
      await settled();
      assert.equal(live.state, 'waiting');
      assert.equal(world.of('error')[0].error.message, 'no token');
      assert.equal(world.probes.length, 0);
      await world.clock.pass(250);
      assert.equal(world.of('error').length, 2);
    }
  });

  test('one that never comes does not hold the client for ever', async () => {
    let asked = 0, late;
    const live = world.client({ token: () => ++asked === 1 ? new Promise((resolve) => { late = resolve; }) : 'quick' });
    await world.clock.pass(10_000);
    assert.equal(live.state, 'waiting');
    await world.clock.pass(250);
    await world.open();
    late('late');
    await settled();
    assert.deepEqual(world.sockets.map(({ url }) => new URL(url).search), ['?token=quick']);
  });

  test('one that comes after close opens nothing', async () => {
    let given;
    const live = world.client({ token: () => new Promise((resolve) => { given = resolve; }) });
    live.close();
    given('t');
    await settled();
    assert.equal(world.sockets.length, 0);
    assert.equal(live.state, 'closed');
  });

  test('one that fails after close changes nothing', async () => {
    let failed;
    const live = world.client({ token: () => new Promise((_, reject) => { failed = reject; }) });
    live.close();
    failed(new Error('too late'));
    await settled();
    assert.equal(live.state, 'closed');
    assert.deepEqual(world.of('error'), []);
  });

  test('the last one is not kept', async () => {
    const tokens = ['t', null];
    world.client({ token: () => tokens.shift() });
    await world.open();
    await world.reopen();
    assert.deepEqual(world.sockets.map(({ url }) => new URL(url).search), ['?token=t', '']);
  });
});

describe('the door', () => {
  const fails = async () => {
    await settled();
    world.socket.lose();
    await settled();
  };

  test('401 and 403 are a refusal: no more attempts, and the page wakes nothing', async () => {
    for (const status of [401, 403]) {
      world = new World();
      world.answer = async () => status;
      const live = world.client();
      const opened = assert.rejects(live.opened(), { message: `the live session is refused ${status}` });
      await fails();
      await opened;
      assert.equal(live.state, 'refused');
      assert.equal(live.status.httpStatus, status);
      for (const type of ['online', 'pageshow', 'visibilitychange']) await world.hears(type);
      await world.clock.pass(600_000);
      assert.equal(world.sockets.length, 1);
    }
  });

  test('the probe is a plain GET of the same address, uncached, with cookies, and follows nothing', async () => {
    world.client({ token: () => 't' }, '/ws?room=a');
    await fails();
    const [{ url, method, cache, credentials, redirect }] = world.probes;
    assert.deepEqual({ url, method, cache, credentials, redirect },
      { url: 'https://app.example/ws?room=a&token=t', method: undefined, cache: 'no-store', credentials: 'include', redirect: 'manual' });
  });

  test('every other answer, and none, is a passing failure', async () => {
    for (const status of [0, 200, 302, 400, 404, 426, 429, 500, 503]) {
      world = new World();
      world.answer = async () => status;
      const live = world.client();
      await fails();
      assert.equal(live.state, 'waiting', `${status}`);
      assert.equal(live.status.httpStatus, status || null);
      assert.equal(live.status.code, 1006);
      assert.notEqual(live.status.retryAt, null);
    }
    world = new World();
    const live = world.client();
    await fails();
    assert.equal(live.state, 'waiting');
    assert.equal(live.status.httpStatus, null);
  });

  test('a session that had opened is not probed', async () => {
    await world.opened();
    world.socket.lose();
    await settled();
    assert.equal(world.probes.length, 0);
  });

  test('with a token function a fresh token is tried at once before the refusal', async () => {
    let count = 0;
    world.answer = async () => 401;
    const live = world.client({ token: () => `${++count}` });
    await fails();
    assert.equal(live.state, 'connecting');
    assert.equal(world.sockets.length, 2);
    assert.equal(new URL(world.socket.url).search, '?token=2');
    await fails();
    assert.equal(live.state, 'refused');
    await world.clock.pass(600_000);
    assert.equal(count, 2);
    live.connect();
    await fails();
    assert.equal(live.state, 'connecting', 'after connect there is a second try again');
  });

  test('a fresh token that is good opens, and the next refusal has its second try again', async () => {
    world.answer = async () => 401;
    const live = world.client({ token: () => 't' });
    await fails();
    await world.open();
    assert.equal(live.state, 'open');
    world.socket.lose();
    await world.clock.pass(250);
    await fails();
    assert.equal(live.state, 'connecting');
  });

  test('connect tries again after a refusal, and what was sent meanwhile is kept', async () => {
    world.answer = async () => 403;
    const live = world.client();
    live.send('before');
    await fails();
    assert.equal(live.send('after'), false);
    live.connect();
    await world.open();
    assert.deepEqual(world.socket.sent, [{ topic: 'before' }, { topic: 'after' }]);
  });

  test('a probe without an answer is given up after openTimeout', async () => {
    world.answer = () => new Promise(() => {});
    const live = world.client({ openTimeout: 2_000 });
    await fails();
    assert.equal(live.state, 'waiting');
    assert.equal(live.status.retryAt, null);
    await world.clock.pass(2_000);
    assert.notEqual(live.status.retryAt, null);
    assert.ok(world.probes[0].signal.aborted);
    assert.equal(live.status.code, 1006);
  });

  test('a probe that is answered after close, or after the network returned, changes nothing', async () => {
    let answered;
    world.answer = () => new Promise((resolve) => { answered = resolve; });
    const live = world.client();
    await fails();
    await world.hears('online');
    await world.open();
    answered(401);
    await settled();
    assert.equal(live.state, 'open');
    assert.ok(world.probes[0].signal.aborted);
  });
});

// Everything, in any order.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { CLOSING, CONNECTING, OPEN, World, settled } from './world.mjs';

let world;
beforeEach(() => { world = new World(); });
afterEach(() => world.end());

describe('whatever happens in whatever order', () => {
  /** A small generator, so that a failure names the seed that repeats it. */
  const random = (seed) => () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let word = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };

  test('there is at most one socket and one timer, no duplicate subscription, and a way back', async () => {
    for (let seed = 1; seed <= 150; seed++) {
      world = new World();
      const chance = random(seed);
      const pick = (...choices) => choices[Math.floor(chance() * choices.length)];
      world.clock.random = chance;
      world.answer = async () => pick(200, 401, 426, 503);
      const tokens = [() => 't', () => null, () => { throw new Error('no token'); }];
      const live = world.client({ token: pick(undefined, async () => 't', async () => pick(...tokens)()) });
      const stops = [];
      const alive = () => world.socket?.readyState < CLOSING;
      const steps = {
        open: () => world.socket?.readyState === CONNECTING && world.socket.open(),
        lose: () => alive() && world.socket.lose(pick(1000, 1001, 1006, 1006, 4008, 4500)),
        ghost: () => world.sockets[0]?.readyState === CLOSING && world.sockets[0].lose(pick(1006, 4500)),
        online: () => world.hears('online'),
        offline: () => world.hears('offline'),
        visible: () => world.hears('visibilitychange'),
        hide: () => world.hears('pagehide', { persisted: true }),
        show: () => world.hears('pageshow', { persisted: true }),
        wait: () => world.clock.pass(pick(0, 100, 1_000, 12_000)),
        connect: () => live.connect(),
        close: () => chance() < 0.2 && live.close(),
        subscribe: () => stops.push(live.subscribe(pick('a', 'b'), () => {})),
        stop: () => stops.splice(Math.floor(chance() * stops.length), 1)[0]?.(),
        send: () => live.send('m', {}),
        settle: settled,
      };
      const trail = [];
      const judge = () => {
        const where = `seed ${seed}: ${trail.join(' ')}`;
        assert.ok(world.clock.timers.size <= 1, where);
        assert.deepEqual(world.faults, [], where);
        if (live.state === 'open' && world.socket.readyState === OPEN) {
          const asked = new Set();
          for (const { topic, data } of world.socket.sent) {
            if (topic === 'subscribe') assert.ok(!asked.has(data.topic) && asked.add(data.topic), where);
            if (topic === 'unsubscribe') assert.ok(asked.delete(data.topic), where);
          }
        }
      };
      for (let n = 0; n < 40; n++) {
        trail.push(pick(...Object.keys(steps)));
        await steps[trail.at(-1)]();
        judge();
      }
      world.answer = async () => 426;
      live.connect();
      for (let n = 0; n < 50 && live.state !== 'open'; n++) {
        await world.clock.pass(1_000);
        if (world.socket?.readyState === CONNECTING) world.socket.open();
      }
      assert.equal(live.state, 'open', `seed ${seed}: ${trail.join(' ')}`);
      judge();
    }
  });
});

// What surrounds the client in its tests: a clock that stands still, sockets, a page and a door that do as they are told.
import assert from 'node:assert/strict';
import { LiveClient } from '../live.js';

export const CONNECTING = 0, OPEN = 1, CLOSING = 2, CLOSED = 3;

/** The world of one client. `sockets` are those that it made, oldest first. */
export class World {
  clock = new Clock();
  page = Object.assign(new EventTarget(), {
    location: { href: 'https://app.example/chat/room?x=1' },
    document: { visibilityState: 'visible' },
  });
  sockets = [];
  probes = [];
  answer = () => Promise.reject(new TypeError('nobody is there'));
  events = [];
  faults = [];   // what must never happen, whatever a test is about: noted here, since the client may survive a throw

  constructor() {
    const world = this;
    this.WebSocket = class extends Socket {
      constructor(...made) {
        super(...made);
        if (world.sockets.some(({ readyState }) => readyState < CLOSING)) world.faults.push('a second socket');
        this.faults = world.faults;
        world.sockets.push(this);
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }

  fetch = (url, request) => {
    this.probes.push({ url, ...request });
    return new Promise((answered, failed) => {
      if (request.signal.aborted) failed(request.signal.reason);
      request.signal.addEventListener('abort', () => failed(request.signal.reason));
      this.answer(url).then((status) => answered({ status }), failed);
    });
  };

  client(options = {}, url = '/ws') {
    const { WebSocket, fetch, clock, page } = this;
    const live = new LiveClient(url, { ...options, env: { WebSocket, fetch, clock, page } });
    for (const type of ['state', 'message', 'drop', 'error']) {
      live.addEventListener(type, (event) => {
        event.preventDefault();   // keeps what the tests provoke off the console
        this.events.push({ type, ...event.detail });
      });
    }
    this.live = live;
    return live;
  }

  async opened(options, url) {
    const live = this.client(options, url);
    await this.open();
    return live;
  }

  async open() {
    await settled();
    this.socket.open();
    await settled();
  }

  /** Breaks the open socket and waits for the next one to be asked for and opened. */
  async reopen() {
    this.socket.lose();
    await settled();
    await this.clock.pass(10_000);
    await this.open();
  }

  end() {
    this.live?.close();
    assert.deepEqual(this.faults, []);
  }

  of(type) {
    return this.events.filter((event) => event.type === type);
  }

  hears(type, properties = {}) {
    this.page.dispatchEvent(Object.assign(new Event(type), properties));
    return settled();
  }
}

class Socket {
  readyState = CONNECTING;
  sent = [];

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
  }

  open() {
    this.readyState = OPEN;
    this.onopen({});
  }

  receive(message) {
    this.onmessage({ data: typeof message === 'object' && !(message instanceof ArrayBuffer) ? JSON.stringify(message) : message });
  }

  /** The end of it, as the browser tells it. */
  lose(code = 1006, reason = '') {
    this.readyState = CLOSED;
    if (code === 1006) this.onerror({});
    this.onclose({ code, reason });
  }

  send(frame) {
    if (this.readyState !== OPEN) this.faults.push(`${frame} to a socket that is not open`);
    this.sent.push(JSON.parse(frame));
  }

  close(code, reason) {
    if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999)) throw new DOMException('no', 'InvalidAccessError');
    if (this.readyState >= CLOSING) return;
    this.readyState = CLOSING;   // and there it stays: no test may depend on a close that comes in time
    this.closedWith = [code, reason];
  }
}

/** A clock that stands still until it is told to go on. */
class Clock {
  time = 1_000_000;
  luck = 0.5;
  timers = new Map();
  now = () => this.time;
  random = () => this.luck;
  setTimeout = (callback, ms) => {
    const timer = {};
    this.timers.set(timer, { at: this.time + ms, callback });
    return timer;
  };
  clearTimeout = (timer) => this.timers.delete(timer);

  async pass(ms) {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const [timer, next] = [...this.timers].sort(([, one], [, other]) => one.at - other.at)[0] ?? [];
      if (!next || next.at > end) break;
      this.timers.delete(timer);
      this.time = next.at;
      next.callback();
      await settled();
    }
    this.time = end;
  }
}

/** After every promise that can go on has gone on. */
export const settled = () => new Promise(setImmediate);

export const asks = (topic) => ({ topic: 'subscribe', data: { topic } });
export const leaves = (topic) => ({ topic: 'unsubscribe', data: { topic } });

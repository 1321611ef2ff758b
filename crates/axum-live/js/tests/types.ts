// Never run: every use that live.d.ts promises compiles, and each line under @ts-expect-error does not.
import { LiveClient, type LiveOptions, type LiveState, type LiveStatus } from '../live.js';

interface Line {
  user: string;
  text: string;
}

const options: LiveOptions = {
  token: async () => (await fetch('/token')).text(),
  tokenParam: 'ticket',
  protocols: ['chat.v2'],
  init: (live) => live.send('init', {}),
  subscribe: 'join',
  unsubscribe: 'part',
  backoff: { max: 30_000 },
  queue: { size: 10 },
  openTimeout: 5_000,
  connect: false,
  env: { WebSocket, fetch, page: new EventTarget(), clock: { now: Date.now, setTimeout, clearTimeout, random: Math.random } },
};

const live = new LiveClient(new URL('wss://example.com/ws'), options);
new LiveClient('/ws');
new LiveClient('/ws', { token: () => undefined, protocols: 'chat.v2', init: async () => {} });

const target: EventTarget = live;
const off: () => void = live.on('*', (data, topic: string) => console.log(topic, data.anything));
const stop: () => void = live.subscribe<Line>('room:lobby', ({ user, text }) => console.log(user, text));
const went: boolean = live.send('say', { text: 'hello' });
live.send('ping');
live.connect();
live.close();
live.close(4000, 'bye');
const opened: Promise<void> = live.opened();
const state: LiveState = live.state;
const status: LiveStatus = live.status;
const numbers: (number | null)[] = [status.attempt, status.code, status.httpStatus, status.retryAt];

live.addEventListener('state', ({ detail }) => detail.state === 'waiting' && detail.retryAt);
live.addEventListener('message', ({ detail: { topic, data } }) => console.log(topic.length, data.text), { once: true });
live.addEventListener('drop', function ({ detail }) { this.send(detail.topic, detail.why === 'stale'); });
live.addEventListener('error', (event) => { event.preventDefault(); console.log(event.detail.error, event.detail.frame); });
live.addEventListener('anything', (event: Event) => event.type);
live.removeEventListener('state', null);

// @ts-expect-error an address is needed
new LiveClient();
// @ts-expect-error a misspelt option
new LiveClient('/ws', { tokens: () => 'x' });
// @ts-expect-error a token is a string
new LiveClient('/ws', { token: async () => 7 });
// @ts-expect-error a topic is a string
live.send(7);
// @ts-expect-error a listener is needed
live.subscribe('room:lobby');
// @ts-expect-error no such state
if (live.state === 'opened') stop();
// @ts-expect-error the state is read
live.state = 'open';
// @ts-expect-error a snapshot is read
live.status.attempt = 1;
// @ts-expect-error no such reason
live.addEventListener('drop', ({ detail }) => detail.why === 'old');

export { numbers, off, opened, state, target, went };

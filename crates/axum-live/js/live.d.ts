/**
 * A live session that outlives its sockets: it connects by itself, comes back when the line breaks, and subscribes again.
 *
 * ```js
 * import { LiveClient } from '/live.js';
 *
 * const live = new LiveClient('/ws', { token: async () => (await fetch('/token')).text() });
 * live.subscribe('room:lobby', (data) => console.log(data));
 * live.send('say', { room: 'lobby', text: 'hello' });
 * live.addEventListener('state', ({ detail }) => console.log(detail.state));
 * ```
 *
 * There is never more than one socket. What a server, a listener or the network does wrong is told by events and never
 * thrown at the page.
 *
 * What was sent on a socket that broke may or may not have arrived, and what others published meanwhile is missing:
 * where that matters, have the server tell the present state whenever a session opens.
 */
export class LiveClient extends EventTarget {
  /**
   * Connects, unless `connect` is `false`.
   *
   * @param url where a `LiveLayer` answers. A relative one is taken from `location`; `http` becomes `ws`, `https` `wss`.
   * @throws TypeError when a WebSocket cannot reach such an address.
   */
  constructor(url: string | URL, options?: LiveOptions);

  /** What it is doing. */
  readonly state: LiveState;

  /** What it is doing and why: a frozen snapshot, a new one at each change. */
  readonly status: LiveStatus;

  /**
   * Opens again after `closed`, `ended` or `refused`, as if for the first time; while `waiting` it stops waiting and
   * tries at once; while `connecting` or `open` it does nothing.
   */
  connect(): void;

  /**
   * Ends for good, after what was sent has been written. What is still queued is dropped; listeners and subscriptions
   * stay, for a later `connect()`.
   *
   * @param code 1000 (the default), or 3000 to 4999.
   * @param reason at most 123 bytes; empty by default.
   * @throws DOMException when the socket takes no such code or reason; nothing is closed then.
   */
  close(code?: number, reason?: string): void;

  /**
   * Resolves once it is open, at once if it is. Rejects once it is `closed`, `ended` or `refused`, at once if it is, with
   * an `Error` whose `cause` is the status. It does not connect.
   */
  opened(): Promise<void>;

  /**
   * Sends a message. While there is no open socket it is queued instead, as `data` is now.
   *
   * @returns `true` when it went to the socket; `false` when it is queued, or when it was dropped because the session
   * is `closed` or `ended`. The `drop` event tells each message that will never be sent.
   * @throws TypeError when JSON cannot say `data`, or `topic` is no string.
   */
  send(topic: string, data?: unknown): boolean;

  /**
   * Listens to a topic without asking the server for it; `'*'` listens to all.
   *
   * @returns a function that stops it, and does no harm when called again.
   */
  on<Data = any>(topic: string, listener: LiveListener<Data>): () => void;

  /**
   * Listens to a topic and asks the server for it: when its first listener comes, and on each open. When the last one
   * has gone the server is asked to stop.
   *
   * @returns a function that stops it, and does no harm when called again.
   */
  subscribe<Data = any>(topic: string, listener: LiveListener<Data>): () => void;

  addEventListener<Type extends keyof LiveEvents>(
    type: Type,
    listener: ((this: LiveClient, event: LiveEvents[Type]) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<Type extends keyof LiveEvents>(
    type: Type,
    listener: ((this: LiveClient, event: LiveEvents[Type]) => void) | null,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

/**
 * Hears one message. `data` is `null` when the message had none. A listener that throws, or whose promise rejects, is
 * told by the `error` event and stops no other.
 */
export type LiveListener<Data = any> = (data: Data, topic: string) => unknown;

/**
 * - `connecting`: a token is asked for, or a handshake is under way.
 * - `open`: a session is open.
 * - `waiting`: the line broke or a handshake failed; it is found out why, or the next attempt has its time.
 * - `refused`: the door answered 401 or 403. No more attempts until `connect()`. What is sent is queued.
 * - `ended`: the server closed with 4500 to 4999, which say that coming back would fare no better.
 * - `closed`: by `close()`, or not connected yet.
 *
 * The online, visibilitychange and pageshow events of the page end the waiting at once; after `online` the backoff begins
 * anew. At `offline` the socket is given up, since it would swallow for minutes what is sent. A page that goes into the
 * back/forward cache (pagehide) waits, without a socket, until it returns.
 */
export type LiveState = 'connecting' | 'open' | 'waiting' | 'refused' | 'ended' | 'closed';

export interface LiveStatus {
  readonly state: LiveState;
  /** How many attempts and short sessions have failed since a session last lived 5 seconds; 0 at first. */
  readonly attempt: number;
  /** The close code of the last socket, 1006 when there was none; `null` while open, or when no socket was closed. */
  readonly code: number | null;
  /** Words to that, the server's or our own; may be empty. Show it as text: it comes from outside. */
  readonly reason: string;
  /** What a plain GET was answered after a failed handshake; `null` when nobody answered or nobody was asked. */
  readonly httpStatus: number | null;
  /** When the next attempt begins, in ms since 1970, if that has been decided. */
  readonly retryAt: number | null;
}

export interface LiveOptions {
  /**
   * Asked before every attempt; by default there is none. A string is added to the address's query, `undefined` and
   * `null` add nothing. When it rejects, the attempt has failed and is made again.
   *
   * The probe after a failed handshake carries the same token, so a ticket that is good for one use only has to last for
   * both.
   */
  token?: () => string | null | undefined | PromiseLike<string | null | undefined>;

  /** Name of the query parameter that carries the token; `'token'` by default. */
  tokenParam?: string;

  /** Subprotocols to offer; none by default. */
  protocols?: string | string[];

  /**
   * Runs on each open, while `state` is `open` and before anything else is sent: what it sends at once, before its first
   * `await`, goes out first; then the subscriptions, then what was queued. Its promise is not waited for.
   */
  init?: (live: LiveClient) => unknown;

  /** Topic of the message that asks for a subscription, whose data is `{ topic }`; `'subscribe'` by default. */
  subscribe?: string;

  /** Topic of the message that ends a subscription, whose data is `{ topic }`; `'unsubscribe'` by default. */
  unsubscribe?: string;

  /**
   * How long to wait between attempts: at random between 0 and `base * 2 ** attempt`, at most `max`, so that the clients
   * of a server that restarts do not return in step. In ms; 250 and 10,000 by default.
   */
  backoff?: { base?: number; max?: number };

  /**
   * What is kept while there is no open socket: at most `size` messages, of which the oldest goes first (100 by default),
   * and none longer than `ttl` ms (60,000 by default), which is looked at when a session opens.
   */
  queue?: { size?: number; ttl?: number };

  /**
   * How long an attempt may take, from asking for the token to the open socket, in ms; 10,000 by default. Raise it where
   * a token is typed in by a person. A probe may take as long again.
   */
  openTimeout?: number;

  /** Whether to connect at once; `true` by default. */
  connect?: boolean;

  /** What it finds around it; for tests, and for places without a `WebSocket` of their own. */
  env?: LiveEnvironment;
}

export interface LiveEnvironment {
  /** The global `WebSocket` by default. */
  WebSocket?: new (url: string, protocols?: string | string[]) => any;

  /**
   * The global `fetch` by default. Asks the socket's address by GET, with cookies, after a handshake that failed. On
   * another origin the server has to let the page read the answer (CORS), or a refusal looks like a dead network.
   */
  fetch?: (url: string, init: RequestInit) => Promise<{ status: number }>;

  /** The system's by default. `now` in ms since 1970, `random` from 0 to below 1. */
  clock?: {
    now(): number;
    setTimeout(callback: () => void, ms: number): any;
    clearTimeout(timer: any): void;
    random(): number;
  };

  /** Tells of the network and the page's visibility, and where relative addresses begin; `globalThis` by default. */
  page?: object;
}

export interface LiveEvents {
  /** The status changed. */
  state: CustomEvent<LiveStatus>;

  /** A message came, before its listeners hear it. */
  message: CustomEvent<{ topic: string; data: any }>;

  /** A message will never be sent: the queue was `full`, it had become `stale`, or the session is `closed` or `ended`. */
  drop: CustomEvent<{ topic: string; data: any; why: 'full' | 'stale' | 'closed' }>;

  /**
   * A listener, `init` or `token` threw, no socket could be made, or a `frame` was not understood. It goes to the console
   * too, unless `preventDefault()` is called.
   */
  error: CustomEvent<{ error: unknown; frame?: string | ArrayBuffer }>;
}

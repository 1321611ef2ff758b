// The browser client of axum-live. What everything does, with its defaults and units, is told in live.d.ts.

const LIVED = 5_000;            // ms after which a session has lived, and its loss is a new story
const REFUSALS = [401, 403];
const OPEN = 1;                 // WebSocket.OPEN

// Wrapped, since a browser's functions refuse to run as methods of another object.
const surroundings = {
  get WebSocket() { return globalThis.WebSocket; },
  fetch: (...request) => fetch(...request),
  page: globalThis,
  clock: {
    now: () => Date.now(),
    setTimeout: (callback, ms) => setTimeout(callback, ms),
    clearTimeout: (timer) => clearTimeout(timer),
    random: () => Math.random(),
  },
};

export class LiveClient extends EventTarget {
  #url;
  #options;
  #env;

  #status = Object.freeze({ state: 'closed', attempt: 0, code: null, reason: '', httpStatus: null, retryAt: null });
  #life = new AbortController();   // from connect() to the end: the page's events are heard
  #run = new AbortController();    // an attempt and its socket, a probe or a wait; once aborted, strangers
  #socket = null;
  #timer;
  #openedAt = null;
  #failures = 0;
  #doubted = false;                // the door has refused a token, and a fresh one is to be tried

  #listeners = new Map();          // topic → entries; an object, so that one function may listen twice
  #wanted = new Map();             // topic → how many subscribe to it
  #asked = new Set();              // topics whose subscription this very socket was asked for
  #queue = [];

  constructor(url, {
    token, tokenParam = 'token', protocols = [], init, subscribe = 'subscribe', unsubscribe = 'unsubscribe',
    backoff: { base = 250, max = 10_000 } = {}, queue: { size = 100, ttl = 60_000 } = {}, openTimeout = 10_000,
    connect = true, env,
  } = {}) {
    super();
    this.#env = { ...surroundings, ...env };
    this.#url = socketUrl(url, this.#env.page.location?.href);
    this.#options = { token, tokenParam, protocols, init, subscribe, unsubscribe, base, max, size, ttl, openTimeout };
    if (connect) this.connect();
  }

  get state() { return this.#status.state; }
  get status() { return this.#status; }

  connect() {
    if (this.state === 'connecting' || this.state === 'open') return;
    if (this.state !== 'waiting') this.#begin();
    this.#attempt();
  }

  close(code = 1000, reason = '') {
    if (this.state === 'closed') return;
    this.#socket?.close(code, reason);   // first: it throws at the caller what is no code or no reason
    this.#end('closed', { code, reason });
  }

  opened() {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.state === 'connecting' || this.state === 'waiting') return;
        this.removeEventListener('state', look);
        if (this.state === 'open') return resolve();
        const { state, code, httpStatus, reason } = this.#status;
        const words = [state, httpStatus ?? code, reason].filter(Boolean).join(' ');
        reject(new Error(`the live session is ${words}`, { cause: this.#status }));
      };
      this.addEventListener('state', look);
      look();
    });
  }

  send(topic, data) {
    const frame = encode(topic, data);
    if (this.#transmit(frame)) return true;
    const message = { topic, data, frame, at: this.#env.clock.now() };
    if (this.state === 'closed' || this.state === 'ended') {
      this.#drop([message], 'closed');
    } else {
      this.#queue.push(message);
      this.#drop(this.#queue.splice(0, this.#queue.length - this.#options.size), 'full');
    }
    return false;
  }

  on(topic, listener) {
    if (typeof listener !== 'function') throw new TypeError('a listener is a function');
    const entry = { listener };
    if (!this.#listeners.has(topic)) this.#listeners.set(topic, new Set());
    this.#listeners.get(topic).add(entry);
    return () => {
      entry.listener = null;   // not even a message that is being told right now
      const entries = this.#listeners.get(topic);
      if (entries?.delete(entry) && entries.size === 0) this.#listeners.delete(topic);
    };
  }

  subscribe(topic, listener) {
    const off = this.on(topic, listener);
    this.#wanted.set(topic, (this.#wanted.get(topic) ?? 0) + 1);
    this.#ask(topic);
    let stopped = false;
    return () => {
      if (stopped) return;
      stopped = true;
      off();
      this.#release(topic);
    };
  }

  // ---- Coming and going -----------------------------------------------------------------------------------------

  #begin() {
    this.#failures = 0;
    this.#doubted = false;
    this.#set({ code: null, reason: '', httpStatus: null });
    this.#life = new AbortController();
    const hear = (type, heard) => this.#env.page.addEventListener?.(type, heard, { signal: this.#life.signal });
    hear('online', () => this.#online());
    hear('offline', () => this.#offline());
    hear('visibilitychange', () => this.#env.page.document?.visibilityState === 'visible' && this.#wake());
    hear('pageshow', () => this.#wake());
    hear('pagehide', ({ persisted }) => persisted && this.#suspend());
  }

  async #attempt() {
    const { signal } = this.#supersede();
    this.#after(this.#options.openTimeout, () => this.#retry({ reason: 'no answer in time' }));
    this.#show({ state: 'connecting', retryAt: null });
    try {
      const url = await this.#address();
      if (!signal.aborted) this.#open(url, signal);
    } catch (error) {
      if (signal.aborted) return;
      this.#retry({ reason: 'no token, or no socket' });
      this.#report(error);
    }
  }

  async #address() {
    const url = new URL(this.#url);
    const token = await this.#options.token?.();
    if (token !== undefined && token !== null) url.searchParams.set(this.#options.tokenParam, token);
    return url.href;
  }

  #open(url, signal) {
    const ws = new this.#env.WebSocket(url, this.#options.protocols);
    const own = (heard) => (event) => { if (!signal.aborted) heard(event); };
    this.#socket = ws;
    ws.binaryType = 'arraybuffer';
    ws.onopen = own(() => this.#welcome(signal));
    ws.onmessage = own(({ data }) => this.#receive(data));
    ws.onclose = own(({ code, reason }) => this.#lost({ code, reason }, url));
    ws.onerror = () => {};   // a close follows; elsewhere than in a browser an error that nobody hears is thrown
  }

  #welcome(signal) {
    this.#env.clock.clearTimeout(this.#timer);
    this.#openedAt = this.#env.clock.now();
    this.#doubted = false;
    this.#asked.clear();
    this.#set({ state: 'open', code: null, reason: '', httpStatus: null });
    if (this.#options.init) this.#call(this.#options.init, this);
    for (const topic of this.#wanted.keys()) this.#ask(topic);
    this.#flush();
    if (!signal.aborted) this.#show();
  }

  async #lost(closed, url) {
    if (closed.code >= 4500 && closed.code <= 4999) return this.#end('ended', closed);
    if (this.#openedAt !== null) return this.#retry(closed);
    const { signal } = this.#supersede();
    this.#after(this.#options.openTimeout, () => this.#retry(closed));
    this.#show({ state: 'waiting', ...closed });
    const httpStatus = await this.#probe(url, signal);
    if (signal.aborted) return;
    if (!REFUSALS.includes(httpStatus)) return this.#retry({ ...closed, httpStatus });
    if (this.#doubted || !this.#options.token) return this.#end('refused', { ...closed, httpStatus });
    this.#doubted = true;
    this.#attempt();
  }

  /** A browser does not tell the status of a handshake that failed; that of a plain GET it does. */
  async #probe(url, signal) {
    try {
      const request = { cache: 'no-store', credentials: 'include', redirect: 'manual', signal };
      const { status } = await this.#env.fetch(url.replace(/^ws/, 'http'), request);
      return status || null;   // 0 is a redirect that was not followed
    } catch {
      return null;
    }
  }

  #retry({ code = null, reason = '', httpStatus = null }) {
    this.#supersede();
    const { base, max } = this.#options;
    const delay = this.#env.clock.random() * Math.min(max, base * 2 ** this.#failures++);
    this.#after(delay, () => this.#attempt());
    this.#show({ state: 'waiting', code, reason, httpStatus, retryAt: this.#env.clock.now() + delay });
  }

  #end(state, told) {
    this.#supersede();
    this.#life.abort();
    const left = state === 'refused' ? [] : this.#queue.splice(0);
    this.#show({ state, retryAt: null, ...told });
    this.#drop(left, 'closed');
  }

  /**
   * Abandons what is under way, its timer, probe and socket, for a new run. The socket's close is not waited for: on a
   * network that died it comes after minutes.
   */
  #supersede() {
    this.#run.abort();
    this.#env.clock.clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = null;
    if (this.#openedAt !== null && this.#env.clock.now() - this.#openedAt >= LIVED) this.#failures = 0;
    this.#openedAt = null;
    return this.#run = new AbortController();
  }

  /** The one timer: whatever is under way, it waits for one time only. */
  #after(ms, callback) {
    this.#timer = this.#env.clock.setTimeout(callback, ms);
  }

  // ---- What the page tells --------------------------------------------------------------------------------------

  #wake() {
    if (this.state === 'waiting') this.#attempt();
  }

  #online() {
    if (this.state === 'waiting') this.#failures = 0;   // they were another network's
    this.#wake();
  }

  /** A socket outlives its network by minutes, in which all that is sent goes nowhere. */
  #offline() {
    if (this.state === 'open' || this.state === 'connecting') this.#retry({ reason: 'offline' });
  }

  /** An open socket keeps a page out of the back/forward cache, or is broken by it without a word. */
  #suspend() {
    this.#supersede();
    this.#show({ state: 'waiting', code: null, reason: 'page hidden', retryAt: null });
  }

  // ---- Messages -------------------------------------------------------------------------------------------------

  #transmit(frame) {
    if (this.#socket?.readyState !== OPEN) return false;   // a socket that is closing would swallow it
    this.#socket.send(frame);
    return true;
  }

  #flush() {
    const now = this.#env.clock.now();
    const stale = [];
    while (this.#queue.length > 0) {
      const [first] = this.#queue;
      if (now - first.at > this.#options.ttl) stale.push(first);
      else if (!this.#transmit(first.frame)) break;
      this.#queue.shift();
    }
    this.#drop(stale, 'stale');
  }

  #ask(topic) {
    if (this.#asked.has(topic) || !this.#transmit(encode(this.#options.subscribe, { topic }))) return;
    this.#asked.add(topic);
  }

  #release(topic) {
    const left = this.#wanted.get(topic) - 1;
    if (left > 0) return this.#wanted.set(topic, left);
    this.#wanted.delete(topic);
    if (this.#asked.delete(topic)) this.#transmit(encode(this.#options.unsubscribe, { topic }));
  }

  #receive(frame) {
    let message;
    try {
      message = decode(frame);
    } catch (error) {
      return this.#report(error, frame);
    }
    const { topic, data } = message;
    const entries = new Set([...this.#listeners.get(topic) ?? [], ...this.#listeners.get('*') ?? []]);
    this.#tell('message', message);
    for (const { listener } of entries) if (listener) this.#call(listener, data, topic);
  }

  /** Runs what is not ours, now; what it throws, now or later, is told and stops nothing. */
  async #call(callback, ...values) {
    try {
      await callback(...values);
    } catch (error) {
      this.#report(error);
    }
  }

  // ---- Telling --------------------------------------------------------------------------------------------------

  #set(changes) {
    this.#status = Object.freeze({ ...this.#status, ...changes, attempt: this.#failures });
  }

  #show(changes) {
    this.#set(changes);
    this.#tell('state', this.#status);
  }

  #drop(messages, why) {
    for (const { topic, data } of messages) this.#tell('drop', { topic, data, why });
  }

  #report(error, frame) {
    if (this.#tell('error', { error, frame })) console.error(error);
  }

  #tell(type, detail) {
    return this.dispatchEvent(new CustomEvent(type, { detail, cancelable: type === 'error' }));
  }
}

function socketUrl(address, base) {
  const url = new URL(address, base);
  url.protocol = url.protocol.replace(/^http/, 'ws');
  url.hash = '';
  if (!/^wss?:$/.test(url.protocol)) throw new TypeError(`a WebSocket cannot reach ${url}`);
  return url.href;
}

function encode(topic, data) {
  if (typeof topic !== 'string') throw new TypeError('a topic is a string');
  return JSON.stringify({ topic, data });
}

function decode(frame) {
  const message = JSON.parse(typeof frame === 'string' ? frame : new TextDecoder().decode(frame));
  if (typeof message?.topic !== 'string') throw new TypeError('a frame without a topic');
  return { topic: message.topic, data: message.data ?? null };
}

// Clients by the hundred, which are no browsers: a socket each, that speaks as much WebSocket as it needs.
import { once } from 'node:events';
import { connect } from 'node:net';

/** A client that is open. It drops what it hears, until it stalls. */
export class Client {
  static async open(port, path) {
    const client = new Client();
    client.socket = connect({ port, host: '127.0.0.1' });
    client.closed = new Promise((closed) => client.socket.once('close', closed));
    client.socket.on('error', () => {});
    client.socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`
      + 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    const [head] = await once(client.socket, 'data');
    if (!head.toString('latin1').startsWith('HTTP/1.1 101')) throw new Error(head.toString('latin1'));
    client.heard = Buffer.alloc(0);
    client.socket.on('data', (bytes) => { client.heard = Buffer.concat([client.heard, bytes]).subarray(-4096); });
    return client;
  }

  send(topic, data) {
    const payload = Buffer.from(JSON.stringify({ topic, data }));
    const head = payload.length < 126 ? Buffer.from([0x81, 0x80 | payload.length]) : Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255]);
    this.socket.write(Buffer.concat([head, Buffer.alloc(4), payload]));   // masked with zeros
  }

  /** Reads no more. */
  stall() {
    this.socket.pause();
  }

  end() {
    this.socket.destroy();
  }

  /** The code of the close frame with which the server ends. The client, which answers nothing but that, hangs up. */
  async code() {
    for (;;) {
      for (let at = 0; at + 4 <= this.heard.length; at += 1) {
        if (this.heard[at] === 0x88 && at + 2 + this.heard[at + 1] === this.heard.length) {
          this.end();
          return this.heard.readUInt16BE(at + 2);
        }
      }
      await Promise.race([once(this.socket, 'data'), this.closed.then(() => { throw new Error('closed without a close frame'); })]);
    }
  }
}

/** So many at once, a few dozen handshakes at a time. */
export async function crowd(port, count, path) {
  const clients = [];
  for (let at = 0; at < count; at += 50) {
    const some = Array.from({ length: Math.min(50, count - at) }, (_, index) => Client.open(port, path(at + index)));
    clients.push(...await Promise.all(some));
  }
  return clients;
}

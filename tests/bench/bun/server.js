// Bun with its native publish, uWebSockets inside: `bun server.js --port P [--attached]`.
const after = (option) => process.argv[process.argv.indexOf(option) + 1];

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(after("--port")),
  fetch(request, server) {
    if (!server.upgrade(request)) return new Response("WebSocket only", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(ws, text) {
      const { topic, data } = JSON.parse(text);
      const publish = () => server.publish(data.topic, JSON.stringify({ topic: data.topic, data: data.data }));
      if (topic === "subscribe") {
        ws.subscribe(data.topic);
        ws.send('{"topic":"ack","data":null}');
      } else if (topic === "publish") {
        publish();
      } else if (topic === "echo") {
        ws.send(JSON.stringify({ topic, data }));
      } else if (topic === "measure") {
        const start = Bun.nanoseconds();
        if (data.from === "handler") publish();
        const took = data.from === "handler" ? Bun.nanoseconds() - start : null;
        ws.send(JSON.stringify({ topic: "measured", data: took }));
      }
    },
  },
});

// Whoever started it has gone.
if (process.argv.includes("--attached")) process.stdin.on("end", () => process.exit()).resume();
console.log(`listening on http://127.0.0.1:${server.port}`);

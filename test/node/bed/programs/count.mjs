/** The state of a Node.js program: strings on the heap, timers, an open file and a listening socket. See hog.c for what it does. */
import { openSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';

const [mebibytes, port] = process.argv.slice(2).map(Number);
const entries = Array.from({ length: mebibytes * 4096 }, (_, number) => `${number}:`.padEnd(200, String(number)));
const isIntact = (entry, number) => entry === `${number}:`.padEnd(200, String(number));
const file = openSync('/count', 'w');
let count = 0;

createServer((client) => {
  client.on('error', () => {});
  client.end(`count=${count} data=${entries.every(isIntact) ? 'ok' : 'corrupt'}\n`);
}).listen(port);

setInterval(() => {
  count++;
  writeSync(file, `${count}\n`, 0);
  console.log(count);
}, 100);

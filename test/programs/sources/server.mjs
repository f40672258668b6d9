import { Worker } from 'node:worker_threads';
import express from 'express';

const started = process.hrtime.bigint();
const strings = Array.from({ length: 200_000 }, (_, index) => `string number ${index}`);
let ticks = 0;
let worker = 0;
setInterval(() => ticks++, 50);
const counting = `const { parentPort } = require('node:worker_threads'); setInterval(() => parentPort.postMessage(1), 50);`;
new Worker(counting, { eval: true }).on('message', () => worker++);

const app = express();
app.get('/', (_, response) => response.send('hello\n'));
app.get('/facts', (_, response) => {
  const length = strings.reduce((sum, string) => sum + string.length, 0);
  response.send(`ticks ${ticks}\nworker ${worker}\nstarted ${started}\nstrings ${length}\n`);
});
app.listen(8000);

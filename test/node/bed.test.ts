import { connect } from 'node:net';
import { afterAll, beforeAll, it } from 'vitest';
import { NodeBed } from './bed/bed.ts';
import { hog, HOG_PORT } from './bed/workloads.ts';

let bed: NodeBed;

beforeAll(async () => {
  bed = await NodeBed.start();
});
afterAll(async () => {
  await bed?.[Symbol.asyncDispose]();
});

it('runs a pod', async () => {
  await bed.cluster.applyObjects(hog('first', { node: 'node1' }));
  await bed.cluster.kubectl('wait', '--for=condition=Ready', 'pod/first', '--timeout=60s');
  const ip = await bed.cluster.kubectl('get', 'pod', 'first', '-o', 'jsonpath={.status.podIP}');
  console.log(
    ip,
    await bed.cluster.kubectl('logs', 'first'),
    await bed.cluster.kubectl('exec', 'first', '--', 'cat', '/count'),
  );
  console.log(await say(ip));
});

async function say(host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    connect({ host, port: HOG_PORT })
      .setEncoding('utf8')
      .on('data', (part: string) => (text += part))
      .on('error', reject)
      .on('close', () => resolve(text));
  });
}

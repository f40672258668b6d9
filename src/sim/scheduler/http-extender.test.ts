import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HttpExtender } from './extender-transport.ts';
import { TestCluster } from './test-cluster.ts';
import { VirtualClock } from '../virtual-clock.ts';

describe('HttpExtender', () => {
  let server: Server;
  let baseUrl = '';
  let connections = 0;
  const requests: string[] = [];
  let delayMs = 0;

  beforeEach(async () => {
    connections = 0;
    delayMs = 0;
    requests.length = 0;
    server = createServer((request, response) => {
      requests.push(`${request.method} ${request.url}`);
      request.resume().on('end', () => setTimeout(() => response.end('{}'), delayMs));
    }).on('connection', () => connections++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it('posts to the verb over one connection', async () => {
    const clock = new VirtualClock();
    const extender = new HttpExtender({ baseUrl, clock, paths: { preempt: 'evict' } });
    expect(await extender.call('filter', '{}')).toEqual({ status: 200, body: '{}' });
    await extender.call('preempt', '{}');
    await extender.close();
    expect(requests).toEqual(['POST /v1/filter', 'POST /v1/evict']);
    expect(connections).toBe(1);
  });

  it('fails when the answer takes too long', async () => {
    delayMs = 5000;
    const extender = new HttpExtender({ baseUrl, clock: new VirtualClock(), timeoutMs: 50 });
    await expect(extender.call('filter', '{}')).rejects.toThrow(/timeout/i);
  });

  it('stops virtual time while a call is under way', async () => {
    delayMs = 30;
    const cluster = new TestCluster();
    const extender = new HttpExtender({ baseUrl, clock: cluster.clock });
    let answeredMs = 0;
    const startMs = cluster.clock.now();
    void extender.call('preempt', '{}').then(() => (answeredMs = cluster.clock.now()));
    await cluster.clock.advance(60_000);
    await extender.close();
    expect(answeredMs).toBe(startMs);
  });
});

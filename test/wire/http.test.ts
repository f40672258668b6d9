import { mkdtemp, rm, writeFile, readFile } from 'node:fs/promises';
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { connect as tcpConnect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startServer, type RunningServer, type ServerOptions, type ServerTls } from '../../src/http/server.ts';
import { fileTlsSource } from '../../src/http/tls-source.ts';
import { createLog } from '../../src/observe/log.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { VirtualClock } from '../../src/sim/virtual-clock.ts';
import { Pki, type Certificate } from '../cluster/control-plane/pki.ts';
import { readFixtures } from './fixtures.ts';
import { makeCallbacks } from './make-callbacks.ts';

const preemptBody = readFixtures().find(({ verb }) => verb === 'preempt')?.text ?? '';
const running: RunningServer[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((server) => server.close()));
});

async function start(overrides: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const server = await startServer({
    address: '127.0.0.1',
    port: 0,
    tls: null,
    callbacks: makeCallbacks({ withPolicy: false }).callbacks,
    readiness: () => ({ ready: true, reasons: [] }),
    debugState: () => ({ displacements: [] }),
    metrics: new Metrics(),
    log: createLog('silent'),
    clock: new VirtualClock({ startMs: Date.now() }),
    ...overrides,
  });
  running.push(server);
  return server;
}

interface Response {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly localPort: number;
}

function call(
  server: RunningServer,
  method: string,
  path: string,
  body = '',
  options: RequestOptions = {},
): Promise<Response> {
  const send = options.ca === undefined ? httpRequest : httpsRequest;
  return new Promise((resolve, reject) => {
    const request = send({ host: '127.0.0.1', port: server.port, method, path, ...options }, (response) => {
      const chunks: Buffer[] = [];
      const localPort = response.socket.localPort ?? 0;
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          localPort,
        });
      });
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** A connection on which `text` was sent, and nothing else will be. */
function opened(server: RunningServer, text: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = tcpConnect(server.port, '127.0.0.1', () => socket.write(text, () => resolve(socket)));
    socket.on('error', reject);
  });
}

/** Resolves when the other side has ended the connection, in whatever way. */
function closedBy(socket: Socket): Promise<void> {
  socket.removeAllListeners('error').on('error', () => undefined);
  socket.resume();
  return new Promise((resolve) => socket.once('close', () => resolve()));
}

describe('paths', () => {
  it('answers the extender with a length, and without what only costs bytes', async () => {
    const { status, headers, body } = await call(await start(), 'POST', '/v1/preempt', preemptBody);
    expect(status).toBe(200);
    expect(headers).toMatchObject({ 'content-type': 'application/json', 'content-length': String(body.length) });
    for (const name of ['etag', 'x-powered-by', 'transfer-encoding']) expect(headers).not.toHaveProperty(name);
    expect(JSON.parse(body)).toHaveProperty('NodeNameToMetaVictims');
  });

  it('says which paths there are', async () => {
    const server = await start();
    for (const path of ['/preempt', '/v1/Preempt', '/v1/preempt/', '/', '/%zz']) {
      const { status, body } = await call(server, 'POST', path, '{}');
      expect(status, path).toBe(404);
      expect(JSON.parse(body)).toMatchObject({
        code: 'NotFound',
        message: expect.stringContaining('/v1/preempt') as string,
      });
    }
  });

  it('says which method a path takes', async () => {
    const server = await start();
    const { status, headers, body } = await call(server, 'GET', '/v1/preempt');
    expect([status, headers.allow]).toEqual([405, 'POST']);
    expect(JSON.parse(body)).toEqual({ code: 'MethodNotAllowed', message: 'this path takes POST only' });
    expect((await call(server, 'POST', '/healthz')).status).toBe(405);
    expect((await call(server, 'HEAD', '/healthz')).status).toBe(200);
  });

  it('refuses a body that is too large, declared or not', async () => {
    const server = await start({ maxBodyBytes: 1000 });
    const large = 'x'.repeat(1001);
    for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
      const { status, body, headers: answered } = await call(server, 'POST', '/v1/filter', large, { headers });
      expect(status).toBe(413);
      expect(JSON.parse(body)).toEqual({ code: 'BodyTooLarge', message: 'the body is larger than 1000 bytes' });
      expect(answered.connection).toBe('close');
    }
    expect((await call(server, 'POST', '/v1/filter', 'x'.repeat(1000))).status).toBe(400);
  });

  it('answers whatever comes at once, and says of the rest that it is too much', async () => {
    const server = await start();
    const head = `POST /v1/preempt HTTP/1.1\r\nHost: x\r\nContent-Length: ${preemptBody.length}\r\n\r\n`;
    const stuck = await Promise.all(Array.from({ length: 32 }, () => opened(server, head)));
    await expect
      .poll(async () => JSON.parse((await call(server, 'POST', '/v1/filter', '{}')).body) as unknown)
      .toEqual({ code: 'Overloaded', message: 'more than 32 calls are under way' });
    // Neither probes nor the webhook stand behind the verbs.
    expect((await call(server, 'GET', '/healthz')).status).toBe(200);
    expect((await call(server, 'POST', '/v1/admit-pod', '{')).status).toBe(400);
    for (const socket of stuck) socket.destroy();
    await expect.poll(async () => (await call(server, 'POST', '/v1/preempt', preemptBody)).status).toBe(200);
  });

  it('decides nothing for a call that arrives later than its caller waits', async () => {
    let asked = 0;
    const { callbacks } = makeCallbacks({ withPolicy: false });
    const preempt: typeof callbacks.preempt = (request) => {
      asked++;
      return callbacks.preempt(request);
    };
    const server = await start({ callTimeoutMs: 0, callbacks: { ...callbacks, preempt } });
    const { status, body } = await call(server, 'POST', '/v1/preempt', preemptBody);
    expect([status, JSON.parse(body), asked]).toEqual([
      503,
      { code: 'CallTooLate', message: 'the body took longer to arrive than the 0 ms that callers wait' },
      0,
    ]);
  });

  it('is ready when it says so, and says what is missing', async () => {
    let readiness = { ready: false, reasons: ['index: pods not listed yet'] };
    const server = await start({ readiness: () => readiness });
    const before = await call(server, 'GET', '/readyz');
    expect([before.status, JSON.parse(before.body)]).toEqual([
      503,
      { code: 'NotReady', message: 'not ready: index: pods not listed yet' },
    ]);
    expect((await call(server, 'GET', '/healthz')).status).toBe(200);
    readiness = { ready: true, reasons: [] };
    expect((await call(server, 'GET', '/readyz')).status).toBe(200);
  });

  it('counts its calls', async () => {
    const server = await start();
    await call(server, 'POST', '/v1/preempt', preemptBody);
    await call(server, 'POST', '/v1/preempt', '{');
    await call(server, 'POST', '/v1/admit-pod', '{');
    const { headers, body } = await call(server, 'GET', '/metrics');
    expect(headers['content-type']).toContain('text/plain');
    expect(body).toContain('reprieve_extender_requests_total{verb="preempt",code="200"} 1');
    expect(body).toContain('reprieve_extender_requests_total{verb="preempt",code="400"} 1');
    expect(body).toContain('reprieve_extender_requests_total{verb="admit-pod",code="400"} 1');
    expect(body).toContain('reprieve_extender_request_duration_seconds_count{verb="preempt"} 2');
  });

  it('shows its state, and a defect there ends nothing', async () => {
    const server = await start({ debugState: () => ({ displacements: ['d1'] }) });
    expect(JSON.parse((await call(server, 'GET', '/debug/state')).body)).toEqual({ displacements: ['d1'] });
    const broken = await start({
      debugState: () => {
        throw new Error('no');
      },
    });
    expect((await call(broken, 'GET', '/debug/state')).status).toBe(500);
    expect((await call(broken, 'GET', '/healthz')).status).toBe(200);
  });

  it('writes one line for what a person would ask about, with the cause of a failure', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('info', { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
    const { callbacks } = makeCallbacks({ withPolicy: false });
    const preempt = () => ({ reason: 'Saving' as const, candidates: [], node: null, displacementId: 'd1', saving: 1 });
    const filter = () => {
      throw new Error('defect');
    };
    const server = await start({ log, callbacks: { ...callbacks, preempt, filter } });
    await call(server, 'POST', '/v1/preempt', preemptBody);
    await call(server, 'POST', '/v1/filter', readFixtures()[0]?.text ?? '');
    await call(server, 'POST', '/v1/preempt', '{');
    await call(server, 'POST', '/v1/prioritize', readFixtures()[0]?.text ?? '');
    expect(lines).toMatchObject([
      { level: 'info', verb: 'preempt', displacement: 'd1', reason: 'Saving', pod: 'default/serving-0', status: 200 },
      { level: 'error', verb: 'filter', status: 500, err: { message: 'defect' } },
      { level: 'warn', verb: 'preempt', status: 400, code: 'MalformedBody' },
    ]);
  });
});

describe('connections', () => {
  it('are kept for the next call', async () => {
    const server = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const first = await call(server, 'POST', '/v1/preempt', preemptBody, { agent });
    const second = await call(server, 'POST', '/v1/nothing', preemptBody, { agent });
    const third = await call(server, 'POST', '/v1/preempt', '{', { agent });
    expect(first.headers['keep-alive']).toBe('timeout=120');
    expect(first.headers.connection).toBe('keep-alive');
    // The body of the second was not read: its connection is not used again.
    expect(second.localPort).toBe(first.localPort);
    expect(third.status).toBe(400);
    agent.destroy();
  });

  it('end after a verb where this replica does not lead, so that the caller comes to the one that does', async () => {
    let leads = false;
    const server = await start({ leads: () => leads });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const follower = await call(server, 'POST', '/v1/preempt', preemptBody, { agent });
    const probe = await call(server, 'GET', '/readyz', '', { agent });
    leads = true;
    const leader = await call(server, 'POST', '/v1/preempt', preemptBody, { agent });
    expect([follower, probe, leader].map(({ headers }) => headers.connection)).toEqual([
      'close',
      'keep-alive',
      'keep-alive',
    ]);
    agent.destroy();
  });

  it('survive garbage on one of them', async () => {
    const server = await start();
    await new Promise<void>((resolve) => {
      const socket = tcpConnect(server.port, '127.0.0.1', () => socket.end('\0\0 not HTTP\r\n\r\n'));
      socket.on('error', () => undefined);
      socket.on('close', () => resolve());
      socket.resume();
    });
    expect((await call(server, 'GET', '/healthz')).status).toBe(200);
  });

  it('are closed gracefully: the call under way is answered, idle ones go, new ones are refused', async () => {
    const entered = Promise.withResolvers<void>();
    const finish = Promise.withResolvers<void>();
    const { callbacks } = makeCallbacks({ withPolicy: false });
    const admitPod = async () => {
      entered.resolve();
      await finish.promise;
      return { gate: false, reason: 'NoTicket' as const };
    };
    const server = await start({ callbacks: { ...callbacks, admitPod } });
    const agent = new Agent({ keepAlive: true });
    await call(server, 'GET', '/healthz', '', { agent }); // leaves an idle connection behind
    const underWay = call(server, 'POST', '/v1/admit-pod', reviewOfPod(), { agent: new Agent({ keepAlive: true }) });
    await entered.promise;
    const closed = server.close();
    await expect(call(server, 'GET', '/healthz')).rejects.toThrow('ECONNREFUSED');
    finish.resolve();
    expect((await underWay).status).toBe(200);
    await closed;
    await server.close(); // again is harmless
  });

  it.each([
    ['that never asks anything', ''],
    ['that stopped within a head', 'POST /v1/preempt HT'],
    ['that stopped within a body', 'POST /v1/preempt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{'],
  ])('do not keep the server from closing: one %s', async (_, text) => {
    const clock = new VirtualClock({ startMs: Date.now() });
    const server = await start({ clock });
    const socket = await opened(server, text);
    await call(server, 'GET', '/healthz'); // answered after what came before it was read
    const closed = server.close();
    const cut = closedBy(socket);
    await clock.advance(10_000);
    await expect(Promise.all([closed, cut])).resolves.toHaveLength(2);
  });

  it('that end within a body are no defect of ours', async () => {
    const messages = new MessageQueue();
    const log = createLog('info', { write: (line) => messages.push(line) });
    const server = await start({ log });
    const socket = await opened(server, 'POST /v1/preempt HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{');
    await call(server, 'GET', '/healthz');
    socket.destroy();
    expect(JSON.parse(await messages.next())).toMatchObject({ level: 'warn', code: 'ClientGone', verb: 'preempt' });
  });

  it('cannot be had where somebody else listens', async () => {
    const { port } = await start();
    await expect(start({ port })).rejects.toMatchObject({
      code: 'AddressInUse',
      message: `cannot listen on 127.0.0.1:${port}: another process does; stop it, or set server.port`,
    });
    await expect(start({ address: '192.0.2.1' })).rejects.toMatchObject({ code: 'AddressUnavailable' });
  });
});

describe('TLS', () => {
  let dir: string;
  let pki: Pki;
  let ca: string;
  let serving: Certificate;
  let tls: ServerTls;
  let scheduler: Certificate;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'reprieve-http-'));
    pki = await Pki.create(join(dir, 'pki'));
    serving = await pki.certificate('serving', { commonName: 'reprieve' }, ['IP:127.0.0.1']);
    scheduler = await pki.certificate('scheduler', { commonName: 'system:kube-scheduler' });
    ca = await readFile(pki.ca.certPath, 'utf8');
    tls = tlsOf(serving);
  });

  afterAll(() => rm(dir, { recursive: true }));

  function tlsOf({ certPath, keyPath }: Certificate, clientCaFile: string | null = pki.ca.certPath): ServerTls {
    const source = fileTlsSource({ certFile: certPath, keyFile: keyPath }, { clientCaFile }, () => Date.now());
    return { source, clientCaFile, allowedClientNames: ['system:kube-scheduler'] };
  }

  /** Fresh connections, so that each call shakes hands. */
  async function options(client?: Certificate): Promise<RequestOptions> {
    const files = client && { cert: await readFile(client.certPath), key: await readFile(client.keyPath) };
    return { ca, agent: new HttpsAgent({ keepAlive: false, ca, ...files }) };
  }

  it('answers the extender to the client it knows, and to nobody else', async () => {
    const server = await start({ tls });
    const stranger = await pki.certificate('stranger', { commonName: 'somebody' });
    const elsewhere = await Pki.create(join(dir, 'elsewhere'));
    const forged = await elsewhere.certificate('forged', { commonName: 'system:kube-scheduler' });
    const preempt = async (client?: Certificate) => {
      const { status, body } = await call(server, 'POST', '/v1/preempt', preemptBody, await options(client));
      return [status, (JSON.parse(body) as { code?: string }).code];
    };
    expect(await preempt(scheduler)).toEqual([200, undefined]);
    expect(await preempt()).toEqual([401, 'ClientCertificateRequired']);
    expect(await preempt(forged)).toEqual([401, 'ClientCertificateRequired']);
    expect(await preempt(stranger)).toEqual([403, 'ClientNotAllowed']);
    expect((await call(server, 'GET', '/debug/state', '', await options())).status).toBe(401);
  });

  it('answers the webhook and the probes to clients without a certificate', async () => {
    const server = await start({ tls });
    expect((await call(server, 'POST', '/v1/admit-pod', reviewOfPod(), await options())).status).toBe(200);
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      expect((await call(server, 'GET', path, '', await options())).status).toBe(200);
    }
  });

  it('asks for no certificate where no authority is configured', async () => {
    const server = await start({ tls: tlsOf(serving, null) });
    expect((await call(server, 'POST', '/v1/preempt', preemptBody, await options())).status).toBe(200);
  });

  it('tells a client that speaks HTTP what is wrong, and the log once', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('info', { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) });
    const server = await start({ tls, log });
    for (let count = 0; count < 3; count++) {
      const { status, body } = await call(server, 'POST', '/v1/preempt', preemptBody);
      expect({ status, body }).toEqual({ status: 400, body: 'this port speaks HTTPS: use https:// in the URL\n' });
    }
    expect(lines.map(({ level, client, msg, err }) => ({ level, client, msg, err }))).toEqual([
      {
        level: 'warn',
        client: '127.0.0.1',
        msg: 'a client speaks HTTP to this HTTPS port; use https:// in its URL (kube-scheduler: urlPrefix)',
        err: undefined,
      },
    ]);
  });

  it('offers no session to resume: a resumed one would count as authorized', async () => {
    const server = await start({ tls });
    const sessions: Buffer[] = [];
    const status = await new Promise<string>((resolve, reject) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: server.port, ca }, () => {
        socket.end('GET /debug/state HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      });
      let text = '';
      socket.on('session', (session: Buffer) => sessions.push(session));
      socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
      socket.on('end', () => resolve(text.split('\r\n')[0] ?? ''));
      socket.on('error', reject);
    });
    expect(status).toBe('HTTP/1.1 401 Unauthorized');
    const resumed = await new Promise<boolean>((resolve, reject) => {
      const session = sessions[0];
      const socket = tlsConnect({ host: '127.0.0.1', port: server.port, ca, ...(session && { session }) }, () => {
        resolve(socket.isSessionReused());
        socket.destroy();
      });
      socket.on('error', reject);
    });
    expect(resumed).toBe(false);
  });

  it('takes changed files over, and keeps the old ones while they do not fit together', async () => {
    const clock = new VirtualClock({ startMs: Date.now() });
    const rotating = { certPath: join(dir, 'tls.crt'), keyPath: join(dir, 'tls.key') };
    const install = async (cert: Certificate, key: Certificate): Promise<void> => {
      await writeFile(rotating.certPath, await readFile(cert.certPath));
      await writeFile(rotating.keyPath, await readFile(key.keyPath));
    };
    const first = await pki.certificate('first', { commonName: 'first' }, ['IP:127.0.0.1']);
    const second = await pki.certificate('second', { commonName: 'second' }, ['IP:127.0.0.1']);
    await install(first, first);

    const messages = new MessageQueue();
    const log = createLog('info', { write: (line) => messages.push((JSON.parse(line) as { msg: string }).msg) });
    const server = await start({ tls: tlsOf(rotating), clock, log });
    expect(await commonName(server)).toBe('first');

    await install(second, first);
    await clock.advance(60_000);
    expect(await messages.next()).toContain('serving the former one');
    expect(await commonName(server)).toBe('first');

    await install(second, second);
    // The next look is planned when the last one is over, which the log line comes a moment before.
    await clock.settle();
    await clock.advance(60_000);
    expect(await messages.next()).toBe('serving the changed certificate');
    expect(await commonName(server)).toBe('second');
  });

  it('closes though somebody connects and never shakes hands', async () => {
    const clock = new VirtualClock({ startMs: Date.now() });
    const server = await start({ tls, clock });
    const socket = await opened(server, '');
    expect((await call(server, 'GET', '/healthz', '', await options())).status).toBe(200);
    const closed = server.close();
    const cut = closedBy(socket);
    await clock.advance(10_000);
    await expect(Promise.all([closed, cut])).resolves.toHaveLength(2);
  });

  it('does not start with files that it cannot serve', async () => {
    await expect(start({ tls: tlsOf({ ...serving, certPath: join(dir, 'missing') }) })).rejects.toMatchObject({
      code: 'TlsFilesInvalid',
    });
    await expect(start({ tls: tlsOf({ ...serving, keyPath: pki.ca.keyPath }) })).rejects.toMatchObject({
      code: 'TlsFilesInvalid',
    });
    const expired = await pki.certificate('expired', { commonName: 'reprieve' }, ['IP:127.0.0.1']);
    await pki.dated(expired, { from: new Date('2024-01-01T00:00:00Z'), to: new Date('2024-01-02T00:00:00Z') });
    await expect(start({ tls: tlsOf(expired) })).rejects.toMatchObject({ code: 'ServingCertificateOutdated' });
  });

  function commonName(server: RunningServer): Promise<string> {
    return new Promise((resolve, reject) => {
      const socket = tlsConnect({ host: '127.0.0.1', port: server.port, ca }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });
  }
});

/** Lines that are waited for one after the other. */
class MessageQueue {
  readonly #messages: string[] = [];
  #wake = Promise.withResolvers<void>();

  push(message: string): void {
    this.#messages.push(message);
    this.#wake.resolve();
  }

  async next(): Promise<string> {
    while (this.#messages.length === 0) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
    return this.#messages.shift() ?? '';
  }
}

function reviewOfPod(): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: 'r1',
      operation: 'CREATE',
      resource: { group: '', version: 'v1', resource: 'pods' },
      namespace: 'default',
      object: { metadata: { generateName: 'train-' }, spec: { containers: [] } },
    },
  });
}

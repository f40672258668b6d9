import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CertificateIssue } from '../config/configuration.ts';
import { startServer, type RunningServer } from '../http/server.ts';
import { RESOURCES } from '../kube/resources.ts';
import { KubeClient } from '../kube/client.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { ApiServer } from '../sim/api-server/api-server.ts';
import { VirtualClock } from '../sim/virtual-clock.ts';
import { makeCallbacks } from '../../test/wire/make-callbacks.ts';
import { serverTls } from './server-tls.ts';

const ISSUE: CertificateIssue = {
  source: 'issue',
  secretName: 'reprieve-serving',
  names: null,
  webhookConfiguration: null,
  guardConfiguration: null,
  validityMs: 90 * 24 * 3_600_000,
};

let clock: VirtualClock;
let api: ApiServer;
let lines: { readonly level: string; readonly msg: string; readonly message?: string; readonly serial?: string }[];
let running: RunningServer | null;

beforeEach(async () => {
  clock = new VirtualClock({ startMs: Date.now() }); // handshakes verify by the machine's clock
  api = new ApiServer({ clock });
  lines = [];
  running = null;
  await new KubeClient(api).create(RESOURCES.namespaces, null, { metadata: { name: 'given' } });
});
afterEach(() => running?.close());

async function start(): Promise<RunningServer> {
  const log = createLog('info', { write: (line) => lines.push(JSON.parse(line) as (typeof lines)[number]) });
  const configured = { certificate: ISSUE, clientCaFile: null, allowedClientNames: [] };
  running = await startServer({
    address: '127.0.0.1',
    port: 0,
    tls: await serverTls(configured, { transport: api, clock, log, namespace: 'given' }),
    callbacks: makeCallbacks({ withPolicy: false }).callbacks,
    readiness: () => ({ ready: true, reasons: [] }),
    debugState: () => ({}),
    metrics: new Metrics(),
    log,
    clock,
  });
  return running;
}

function authority(): string {
  const [secret] = api.list(RESOURCES.secrets, 'given') as unknown as { data: Record<string, string> }[];
  return Buffer.from(secret?.data['ca.crt'] ?? '', 'base64').toString();
}

/** What the server shows to a client that trusts the authority in the Secret and asks for `name`. */
function shown({ port }: RunningServer, name: string): Promise<{ serial: string; names: string }> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, servername: name, ca: authority() }, () => {
      const { serialNumber: serial, subjectaltname: names = '' } = socket.getPeerCertificate();
      socket.destroy();
      resolve({ serial, names });
    });
    socket.on('error', reject);
  });
}

/** The look each minute asks the API server, and issuing runs on other threads: until the log has said what came of it. */
async function nextLook(said: string): Promise<void> {
  const before = lines.length;
  await clock.settle();
  await clock.advance(60_000);
  while (!lines.slice(before).some(({ msg }) => msg.includes(said))) await new Promise((next) => setImmediate(next));
}

describe('a server that issues its certificate itself', () => {
  it('shows one that is good for the Service and for this machine', async () => {
    const server = await start();
    const { names } = await shown(server, 'reprieve.given.svc');
    expect(names).toBe(
      'DNS:reprieve.given.svc, DNS:reprieve.given.svc.cluster.local, DNS:reprieve-extender.given.svc, DNS:reprieve-extender.given.svc.cluster.local, DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    );
    expect(lines).toMatchObject([
      { level: 'info', message: expect.stringContaining('given/reprieve-serving') as string },
    ]);
  });

  it('shows another one within a minute, on the same listener', async () => {
    const server = await start();
    const first = await shown(server, 'localhost');
    await new KubeClient(api).delete(RESOURCES.secrets, 'given', 'reprieve-serving');
    await nextLook('serving the changed certificate');
    const second = await shown(server, 'localhost');
    expect(second.serial).not.toBe(first.serial);
    expect(lines.at(-1)?.serial).toBe(second.serial);
  });

  it('keeps the former one while the API server is away, and says so', async () => {
    const server = await start();
    const first = await shown(server, 'localhost');
    api.hooks.intercept = () => Promise.resolve('reset');
    await nextLook('serving the former one');
    expect(await shown(server, 'localhost')).toEqual(first);
  });

  it('does not start without the first one, and says what to look at', async () => {
    api.hooks.intercept = () =>
      Promise.resolve({ status: 403, headers: {}, body: { message: 'secrets is forbidden' } });
    const [[outcome]] = await Promise.all([Promise.allSettled([start()]), clock.advance(61_000)]);
    expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'CertificateUnavailable' } });
    expect(String((outcome as PromiseRejectedResult).reason)).toMatch(
      /secrets is forbidden; check .*deploy\/rbac\.yaml/,
    );
  });
});

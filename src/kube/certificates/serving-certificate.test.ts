import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer } from 'node:tls';
import { beforeEach, describe, expect, it } from 'vitest';
import { ApiServer } from '../../sim/api-server/api-server.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';
import { KubeClient } from '../client.ts';
import { RESOURCES } from '../resources.ts';
import type { KubeObject } from '../transport.ts';
import { certificatesIn } from './serving-files.ts';
import { CertificateKeeper, type CertificateKeeperOptions, type CertificateNotice } from './serving-certificate.ts';

const DAY_MS = 24 * 3_600_000;
const NAMES = ['reprieve.reprieve-system.svc', 'localhost', '127.0.0.1', '::1'];

let clock: VirtualClock;
let server: ApiServer;
let client: KubeClient;
let notices: CertificateNotice[];

beforeEach(async () => {
  clock = new VirtualClock({ startMs: Date.now() }); // handshakes below verify by the machine's clock
  server = new ApiServer({ clock });
  client = new KubeClient(server);
  notices = [];
  await client.create(RESOURCES.namespaces, null, { metadata: { name: 'reprieve-system' } });
});

function keeper(more: Partial<CertificateKeeperOptions> = {}): CertificateKeeper {
  return new CertificateKeeper({
    client,
    clock,
    namespace: 'reprieve-system',
    secretName: 'reprieve-serving',
    webhookConfiguration: 'reprieve',
    guardConfiguration: 'reprieve-guard',
    names: NAMES,
    validityMs: 90 * DAY_MS,
    onNotice: (notice) => notices.push(notice),
    random: () => 0,
    ...more,
  });
}

async function applyWebhooks(...clientConfigs: readonly object[]): Promise<void> {
  const webhooks = clientConfigs.map((clientConfig, index) => ({ name: `hook-${index}.reprieve.dev`, clientConfig }));
  await client.create(RESOURCES.mutatingWebhooks, null, { metadata: { name: 'reprieve' }, webhooks });
}

const text = (encoded: string | undefined): string => Buffer.from(encoded ?? '', 'base64').toString();
const secret = (): KubeObject & { readonly type?: string; readonly data?: Readonly<Record<string, string>> } =>
  server.list(RESOURCES.secrets)[0] as KubeObject;
const bundle = (): string => text(secret().data?.['ca.crt']);
const kinds = (): string[] => notices.map(({ kind }) => kind);
const caBundles = (): (string | undefined)[] => {
  const [configuration] = server.list(RESOURCES.mutatingWebhooks) as unknown as {
    webhooks: { clientConfig: { caBundle?: string } }[];
  }[];
  return (configuration?.webhooks ?? []).map(({ clientConfig }) => clientConfig.caBundle);
};
const setData = (data: Readonly<Record<string, string | null>>): Promise<KubeObject> =>
  client.patch(RESOURCES.secrets, 'reprieve-system', 'reprieve-serving', { data }, { type: 'merge' });
const daysLeft = (certificate: X509Certificate | undefined): number =>
  Math.round(((certificate?.validToDate.getTime() ?? 0) - clock.now()) / DAY_MS);

/** Whether a client that trusts `ca` alone shakes hands with a server that shows `shown`, under `name`. */
async function isAccepted(shown: { cert: string; key: string }, ca: string, name = 'localhost'): Promise<boolean> {
  const listener = createServer(shown, (socket) => socket.end()).on('tlsClientError', () => undefined);
  await once(listener.listen(0, '127.0.0.1'), 'listening');
  const { port } = listener.address() as AddressInfo;
  try {
    const socket = connect({ port, host: '127.0.0.1', ca, ...(name !== '127.0.0.1' && { servername: name }) });
    return await new Promise((resolve) => {
      socket.once('secureConnect', () => resolve(true)).once('error', () => resolve(false));
    });
  } finally {
    listener.close();
  }
}

describe('the first certificate', () => {
  it('is kept in a Secret, and verifies under each of its names', async () => {
    const served = await keeper().current();
    expect(secret()).toMatchObject({ type: 'kubernetes.io/tls', metadata: { name: 'reprieve-serving' } });
    expect(Object.keys(secret().data ?? {}).toSorted()).toEqual(['ca.crt', 'ca.key', 'tls.crt', 'tls.key']);
    for (const name of ['localhost', '127.0.0.1', 'reprieve.reprieve-system.svc']) {
      expect(await isAccepted(served, bundle(), name), name).toBe(true);
    }
    expect(await isAccepted(served, bundle(), 'elsewhere')).toBe(false);
    expect(daysLeft(certificatesIn(served.cert)[0])).toBe(90);
    expect(daysLeft(certificatesIn(bundle())[0])).toBe(365);
  });

  it('is taken over by a second replica, which writes nothing', async () => {
    const first = await keeper().current();
    const version = server.resourceVersion;
    expect(await keeper().current()).toEqual(first);
    expect(server.resourceVersion).toBe(version);
  });

  it('is one and the same for replicas that start at one moment', async () => {
    const all = await Promise.all([keeper(), keeper(), keeper()].map((replica) => replica.current()));
    expect(new Set(all.map(({ cert }) => cert)).size).toBe(1);
    expect(kinds().filter((kind) => kind === 'issued')).toHaveLength(1);
  });

  it('is given to each webhook, whatever else stands there', async () => {
    await applyWebhooks(
      { url: 'https://127.0.0.1:9443/v1/admit-pod' },
      { service: { name: 'reprieve' }, caBundle: '' },
    );
    await keeper().current();
    expect(caBundles().map(text)).toEqual([bundle(), bundle()]);
    expect(server.list(RESOURCES.mutatingWebhooks)[0]).toMatchObject({
      webhooks: [
        { name: 'hook-0.reprieve.dev', clientConfig: { url: 'https://127.0.0.1:9443/v1/admit-pod' } },
        { name: 'hook-1.reprieve.dev', clientConfig: { service: { name: 'reprieve' } } },
      ],
    });
  });

  it('is given to the guard, where it is there', async () => {
    const replica = keeper();
    await replica.current();
    const webhooks = [{ name: 'deletions.reprieve.dev', clientConfig: { service: { name: 'reprieve' } } }];
    await client.create(RESOURCES.validatingWebhooks, null, { metadata: { name: 'reprieve-guard' }, webhooks });
    await replica.current();
    expect(server.list(RESOURCES.validatingWebhooks)).toMatchObject([
      {
        webhooks: [
          { clientConfig: { service: { name: 'reprieve' }, caBundle: Buffer.from(bundle()).toString('base64') } },
        ],
      },
    ]);
  });

  it('is served without webhooks, said once, and given to them when they come', async () => {
    const replica = keeper();
    await replica.current();
    await replica.current();
    expect(kinds()).toEqual(['issued', 'webhook-missing']);
    await applyWebhooks({ url: 'https://127.0.0.1:9443/v1/admit-pod' });
    await replica.current();
    expect(caBundles().map(text)).toEqual([bundle()]);
    expect(kinds().at(-1)).toBe('published');
  });

  it('leaves the webhooks alone where none are named', async () => {
    await applyWebhooks({ url: 'https://127.0.0.1:9443/v1/admit-pod' });
    await keeper({ webhookConfiguration: null }).current();
    expect(caBundles()).toEqual([undefined]);
  });

  it('leaves a bundle alone that holds more than ours', async () => {
    await keeper({ webhookConfiguration: null }).current();
    const more = Buffer.from(`# somebody else's\n${bundle()}`).toString('base64');
    await applyWebhooks({ url: 'https://127.0.0.1:9443/v1/admit-pod', caBundle: more });
    await keeper().current();
    expect(caBundles()).toEqual([more]);
  });

  it('is waited for while the API server is away, for a minute', async () => {
    let away = 3;
    server.hooks.intercept = () => Promise.resolve(away-- > 0 ? 'reset' : null);
    const first = keeper().current();
    await clock.advance(10_000);
    await expect(first).resolves.toHaveProperty('cert');
    expect(kinds()).toEqual(['retry', 'retry', 'retry', 'issued', 'webhook-missing']);

    server.hooks.intercept = () => Promise.resolve('reset');
    const [outcome] = await Promise.all([Promise.allSettled([keeper().current()]), clock.advance(60_000)]);
    expect(outcome).toMatchObject([{ status: 'rejected', reason: { name: 'TransportError' } }]);
  });

  it('is that of the Secret when the answer to its creation was lost', async () => {
    server.hooks.intercept = ({ method }) => Promise.resolve(method === 'POST' ? 'reset-after' : null);
    const first = keeper().current();
    while (server.list(RESOURCES.secrets).length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1000);
    expect((await first).cert).toBe(text(secret().data?.['tls.crt']));
  });
});

describe('a renewal', () => {
  it('comes after two thirds of the life of the serving certificate, from the same authority', async () => {
    const replica = keeper();
    const first = await replica.current();
    const authority = bundle();
    await clock.advance(59 * DAY_MS);
    expect(await replica.current()).toEqual(first);
    await clock.advance(2 * DAY_MS);
    const second = await replica.current();
    expect(second).not.toEqual(first);
    expect(second.key).not.toBe(first.key);
    expect(daysLeft(certificatesIn(second.cert)[0])).toBe(90);
    expect(bundle()).toBe(authority);
    expect(notices.at(-1)?.message).toContain('two thirds of its life');
  });

  it('of the authority keeps the old one in the bundle, and both ways of verifying, until it has expired', async () => {
    await applyWebhooks({ url: 'https://127.0.0.1:9443/v1/admit-pod' });
    clock = new VirtualClock({ startMs: Date.now() - 250 * DAY_MS });
    const replica = keeper();
    const first = await replica.current();
    const oldAuthority = bundle();
    await clock.advance(250 * DAY_MS); // now, for the handshakes
    const second = await replica.current();
    const [next, old] = certificatesIn(bundle());
    expect(old?.toString()).toBe(oldAuthority);
    expect(caBundles().map(text)).toEqual([bundle()]);
    expect(await isAccepted(second, oldAuthority)).toBe(true);
    expect(await isAccepted(second, next?.toString() ?? '')).toBe(true);
    expect(await isAccepted(second, bundle())).toBe(true);
    expect(await isAccepted(first, next?.toString() ?? '')).toBe(false);

    await clock.advance(61 * DAY_MS); // a new serving certificate: still vouched for
    const third = await replica.current();
    expect(certificatesIn(third.cert)).toHaveLength(2);
    expect(certificatesIn(third.cert)[1]?.toString()).toBe(certificatesIn(second.cert)[1]?.toString());

    await clock.advance(55 * DAY_MS); // 366 since the old one was made
    const fourth = await replica.current();
    expect(certificatesIn(bundle()).map(String)).toEqual([next?.toString()]);
    expect(certificatesIn(fourth.cert)).toHaveLength(1);
  });

  it('is served only after the webhooks know its authority', async () => {
    await applyWebhooks({ url: 'https://127.0.0.1:9443/v1/admit-pod' });
    const replica = keeper();
    await replica.current();
    const known = caBundles();
    await client.delete(RESOURCES.secrets, 'reprieve-system', 'reprieve-serving');
    const refusal = { status: 403, headers: {}, body: { kind: 'Status', message: 'no' } };
    const isPatchOfWebhooks = (path: string, method: string): boolean =>
      method === 'PATCH' && path.includes('mutatingwebhook');
    server.hooks.intercept = ({ path, method }) => Promise.resolve(isPatchOfWebhooks(path, method) ? refusal : null);
    await expect(replica.current()).rejects.toMatchObject({ status: 403 });
    expect(caBundles()).toEqual(known);
    delete server.hooks.intercept;
    const served = await replica.current();
    expect(caBundles().map(text)).toEqual([bundle()]);
    expect(served.cert).toBe(text(secret().data?.['tls.crt']));
  });

  it('fails at once while the API server is away: there is a former certificate to serve', async () => {
    const replica = keeper();
    const first = await replica.current();
    server.hooks.intercept = () => Promise.resolve('reset');
    await expect(replica.current()).rejects.toThrow(/reset/);
    delete server.hooks.intercept;
    expect(await replica.current()).toEqual(first);
  });

  it('loses against another replica that was faster, and takes what that one wrote', async () => {
    const replica = keeper();
    await replica.current();
    await clock.advance(61 * DAY_MS);
    let other: string | null = null;
    server.hooks.intercept = async ({ method, path }) => {
      if (method !== 'PATCH' || !path.includes('secrets') || other !== null) return null;
      other = ''; // the write below comes through here, too
      other = (await keeper().current()).cert;
      return null;
    };
    expect((await replica.current()).cert).toBe(other);
    expect(kinds().filter((kind) => kind === 'issued')).toHaveLength(2);
  });

  it('names the certificate as the configuration does by now, however an address is spelled', async () => {
    const first = await keeper({ names: ['LOCALHOST', '0:0:0:0:0:0:0:1'] }).current();
    expect(await keeper({ names: ['::1', 'localhost'] }).current()).toEqual(first);
    const second = await keeper({ names: ['localhost', '10.0.0.1'] }).current();
    expect(certificatesIn(second.cert)[0]?.subjectAltName).toBe('DNS:localhost, IP Address:10.0.0.1');
    expect(notices.at(-2)?.message).toContain('other names');
  });

  it('never outlives the authority', async () => {
    await keeper({ validityMs: 365 * DAY_MS }).current();
    await clock.advance(200 * DAY_MS);
    const [serving] = certificatesIn((await keeper({ names: ['localhost'], validityMs: 365 * DAY_MS }).current()).cert);
    expect(serving?.validTo).toBe(certificatesIn(bundle())[0]?.validTo);
  });
});

describe('a Secret that cannot be used', () => {
  const garbage = Buffer.from('garbage').toString('base64');
  const cases: Record<string, { data: Record<string, string | null>; why: string; keepsAuthority: boolean }> = {
    'no authority': { data: { 'ca.crt': null }, why: 'ca.crt holds no certificate', keepsAuthority: false },
    'an authority that cannot be read': { data: { 'ca.crt': garbage }, why: 'ca.crt holds no', keepsAuthority: false },
    'no key of the authority': { data: { 'ca.key': null }, why: 'ca.key is not that of ca.crt', keepsAuthority: false },
    'no certificate': { data: { 'tls.crt': '' }, why: 'tls.crt holds no certificate', keepsAuthority: true },
    'a key that cannot be read': { data: { 'tls.key': garbage }, why: 'tls.key is not that of', keepsAuthority: true },
    'base64 of nothing': { data: { 'tls.crt': '!!' }, why: 'tls.crt holds no certificate', keepsAuthority: true },
  };
  for (const [sentence, { data, why, keepsAuthority }] of Object.entries(cases)) {
    it(`is replaced, and said so: ${sentence}`, async () => {
      await keeper().current();
      const [authority] = certificatesIn(bundle());
      await setData(data);
      const served = await keeper().current();
      expect(await isAccepted(served, bundle())).toBe(true);
      expect(certificatesIn(bundle())[0]?.fingerprint256 === authority?.fingerprint256).toBe(keepsAuthority);
      expect(notices.findLast(({ kind }) => kind === 'issued')?.message).toContain(why);
    });
  }

  it('is replaced where its certificate is of another authority', async () => {
    await keeper().current();
    const { 'ca.crt': caCrt = '', 'ca.key': caKey = '' } = secret().data ?? {};
    await client.delete(RESOURCES.secrets, 'reprieve-system', 'reprieve-serving');
    await keeper().current();
    await setData({ 'ca.crt': caCrt, 'ca.key': caKey });
    expect(await isAccepted(await keeper().current(), text(caCrt))).toBe(true);
    expect(notices.findLast(({ kind }) => kind === 'issued')?.message).toContain('not signed by ca.crt');
  });

  it('keeps an authority in the bundle whose key is lost: who trusts it is served by others yet', async () => {
    const before = await keeper().current();
    await setData({ 'ca.key': null });
    await keeper().current();
    expect(certificatesIn(bundle())).toHaveLength(2);
    expect(await isAccepted(before, bundle())).toBe(true);
  });

  it('keeps what else it holds, and its type', async () => {
    await client.create(RESOURCES.secrets, 'reprieve-system', {
      metadata: { name: 'reprieve-serving', labels: { team: 'a' } },
      type: 'Opaque',
      data: { note: garbage },
    });
    await keeper().current();
    expect(secret()).toMatchObject({ type: 'Opaque', metadata: { labels: { team: 'a' } }, data: { note: garbage } });
    expect(secret().data).toHaveProperty('tls.crt');
  });

  it('is told without any of its contents', async () => {
    const served = await keeper().current();
    await setData({ 'ca.key': Buffer.from(served.key).toString('base64') });
    await keeper().current();
    const said = JSON.stringify(notices);
    for (const line of served.key.split('\n').filter((part) => part.length > 20)) expect(said).not.toContain(line);
    expect(said).not.toContain('PRIVATE KEY');
  });
});

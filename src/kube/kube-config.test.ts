import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { cachedFor, loadKubeConfig } from './kube-config.ts';

const folder = mkdtempSync(join(tmpdir(), 'reprieve-kubeconfig-'));
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('loadKubeConfig', () => {
  it('reads the server, the certificates, tokens, and the tokens of plugins, by context', async () => {
    const plugin = join(folder, 'plugin.sh');
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'from-plugin' },
    };
    writeFileSync(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`);
    chmodSync(plugin, 0o755);
    const path = join(folder, 'config');
    const cluster = { server: 'https://127.0.0.1:6443/', 'certificate-authority-data': base64('CA') };
    const contexts = ['certificate', 'token', 'plugin', 'password'];
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'certificate',
      clusters: [{ name: 'c', cluster }],
      contexts: contexts.map((name) => ({ name, context: { cluster: 'c', user: name } })),
      users: [
        { name: 'certificate', user: { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') } },
        { name: 'token', user: { token: 'static' } },
        { name: 'plugin', user: { exec: { apiVersion: 'client.authentication.k8s.io/v1', command: plugin } } },
        { name: 'password', user: { username: 'u', password: 'p' } },
      ],
    };
    writeFileSync(path, JSON.stringify(config));

    const access = await loadKubeConfig({ path });
    expect(access).toMatchObject({ server: 'https://127.0.0.1:6443', insecureSkipTlsVerify: false });
    expect([access.ca, access.cert, access.key].map(String)).toEqual(['CA', 'CERT', 'KEY']);
    expect(await access.authorization()).toBeNull();
    const headers = await Promise.all(
      contexts.slice(1).map(async (context) => (await loadKubeConfig({ path, context })).authorization()),
    );
    expect(headers).toEqual(['Bearer static', 'Bearer from-plugin', `Basic ${base64('u:p')}`]);
    await expect(loadKubeConfig({ path, context: 'missing' })).rejects.toThrow(/missing/);
  });

  it('says where it looked when there is no kubeconfig at all', async () => {
    vi.stubEnv('KUBECONFIG', '');
    vi.stubEnv('HOME', folder);
    vi.stubEnv('KUBERNETES_SERVICE_HOST', '');
    await expect(loadKubeConfig()).rejects.toThrow(
      `there is no kubeconfig at ${join(folder, '.kube/config')}, and this is no pod with a service account`,
    );
  });
});

describe('cachedFor', () => {
  it('loads again only after its time, once for all callers, and lives with a load that fails', async () => {
    let nowMs = 0;
    let loads = 0;
    let fails = false;
    const load = (): Promise<number> => (fails ? Promise.reject(new Error('gone')) : Promise.resolve(++loads));
    const get = cachedFor(60_000, load, () => nowMs);
    expect(await Promise.all([get(), get()])).toEqual([1, 1]);
    nowMs = 59_999;
    expect(await get()).toBe(1);
    nowMs = 60_000;
    expect(await get()).toBe(2);
    nowMs = 120_000;
    fails = true;
    expect(await get()).toBe(2);
    fails = false;
    expect(await get()).toBe(3);
  });

  it('fails while there is nothing to fall back on', async () => {
    await expect(cachedFor(1, () => Promise.reject(new Error('no token')))()).rejects.toThrow('no token');
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
/** Tokens rotate long before they expire, and a plugin caches until its token expires: as often as client-go. */
const REFRESH_MS = 60_000;

/** Where the API server is, and who we are. */
export interface ClusterAccess {
  /** `https://host:port`, perhaps with a path in front of all others. */
  readonly server: string;
  readonly ca: Buffer | null;
  readonly cert: Buffer | null;
  readonly key: Buffer | null;
  /** The kubeconfig says not to verify the server; null trusts `ca`, or the machine's authorities. */
  readonly insecureSkipTlsVerify: boolean;
  /** Name to verify the server by, where that is not its host. */
  readonly serverName: string | null;
  /** Value of the `Authorization` header; null where the client certificate is enough. Cheap to call for each request. */
  authorization(): Promise<string | null>;
}

export interface LoadKubeConfigOptions {
  /** A kubeconfig; absent: $KUBECONFIG, else the service account of this pod, else ~/.kube/config. */
  readonly path?: string;
  readonly context?: string;
}

/** Finds the cluster and the credentials, in the order that tools inside a pod need. */
export async function loadKubeConfig({ path, context }: LoadKubeConfigOptions = {}): Promise<ClusterAccess> {
  const given = path ?? process.env['KUBECONFIG'];
  if (!given && process.env['KUBERNETES_SERVICE_HOST'] && existsSync(join(SERVICE_ACCOUNT, 'token'))) {
    return inClusterAccess();
  }
  return fileAccess(path ?? null, context ?? null, given || join(homedir(), '.kube/config'));
}

function inClusterAccess(): ClusterAccess {
  const host = process.env['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = process.env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const token = cachedFor(REFRESH_MS, () => readFile(join(SERVICE_ACCOUNT, 'token'), 'utf8'));
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    ca: readFileSync(join(SERVICE_ACCOUNT, 'ca.crt')),
    cert: null,
    key: null,
    insecureSkipTlsVerify: false,
    serverName: null,
    authorization: async () => `Bearer ${(await token()).trim()}`,
  };
}

async function fileAccess(path: string | null, context: string | null, shown: string): Promise<ClusterAccess> {
  if (path === null && !process.env['KUBECONFIG'] && !existsSync(shown)) {
    // The library would take http://localhost:8080 for the cluster.
    throw new Error(`there is no kubeconfig at ${shown}, and this is no pod with a service account`);
  }
  // 0.7 s and 80 MB: only the commands that read a kubeconfig pay for it, the server in its pod does not.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (path === null) config.loadFromDefault();
  else config.loadFromFile(path);
  if (context !== null) config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(`loading ${shown}: no cluster for the context "${config.getCurrentContext()}"`);
  }
  // Also runs credential plugins (exec, OIDC); the certificates they give are read once, the tokens again and again.
  const credentials = async (): Promise<Credentials> => {
    const options: Credentials = {};
    await config.applyToHTTPSOptions(options as Parameters<typeof config.applyToHTTPSOptions>[0]);
    return options;
  };
  const first = await credentials();
  const header = cachedFor(REFRESH_MS, async () => authorizationIn(await credentials()));
  return {
    server: cluster.server.replace(/\/+$/, ''),
    ca: bufferOf(first.ca),
    cert: bufferOf(first.cert),
    key: bufferOf(first.key),
    insecureSkipTlsVerify: cluster.skipTLSVerify ?? false,
    serverName: cluster.tlsServerName ?? null,
    authorization: header,
  };
}

/** What client-node fills in of the options of `https.request`. */
interface Credentials {
  ca?: Buffer | string | null;
  cert?: Buffer | string | null;
  key?: Buffer | string | null;
  /** `user:password`. */
  auth?: string;
  headers?: Record<string, string>;
}

function authorizationIn({ headers, auth }: Credentials): string | null {
  const header = headers?.['Authorization'] ?? headers?.['authorization'];
  if (header) return header;
  return auth ? `Basic ${Buffer.from(auth).toString('base64')}` : null;
}

function bufferOf(content: Buffer | string | null | undefined): Buffer | null {
  return content ? Buffer.from(content as string) : null;
}

/**
 * The result of `load`, at most `maxAgeMs` old. A load that fails leaves the last result in use: a token file that is being
 * replaced must not fail a request. Callers at the same moment share one load.
 */
export function cachedFor<T>(
  maxAgeMs: number,
  load: () => Promise<T>,
  now: () => number = () => performance.now(),
): () => Promise<T> {
  let loadedAtMs = Number.NEGATIVE_INFINITY;
  let last: { readonly value: T } | null = null;
  let loading: Promise<T> | null = null;
  const reload = async (): Promise<T> => {
    try {
      const value = await load();
      last = { value };
      loadedAtMs = now();
      return value;
    } catch (error) {
      if (last === null) throw error;
      return last.value;
    } finally {
      loading = null;
    }
  };
  return () => {
    if (last !== null && now() - loadedAtMs < maxAgeMs) return Promise.resolve(last.value);
    loading ??= reload();
    return loading;
  };
}

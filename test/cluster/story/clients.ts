import { readFile } from 'node:fs/promises';
import { KubeClient } from '../../../src/kube/client.ts';
import { HttpTransport } from '../../../src/kube/http-transport.ts';
import type { ClusterAccess } from '../../../src/kube/kube-config.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { REPRIEVE_NAMESPACE } from './replica.ts';

/** Clients of a real API server, each in the name of somebody. */
export class Clients {
  readonly #cluster: ControlPlane;
  readonly #transports: HttpTransport[] = [];

  constructor(cluster: ControlPlane) {
    this.#cluster = cluster;
  }

  /** By a client certificate, as this user. */
  async user(commonName: string): Promise<KubeClient> {
    const { certPath, keyPath } = await this.#cluster.pki.certificate(`as-${commonName.replaceAll(':', '-')}`, {
      commonName,
    });
    return this.#client({ cert: await readFile(certPath), key: await readFile(keyPath) });
  }

  /** By the token that the agent on this node has; null: one that is bound to no node. The account has to exist. */
  async agent(node: string | null): Promise<KubeClient> {
    const bound = node === null ? [] : ['--bound-object-kind=Node', `--bound-object-name=${node}`];
    const token = await this.#cluster.kubectl('create', 'token', 'reprieve-agent', '-n', REPRIEVE_NAMESPACE, ...bound);
    return this.#client({ authorization: () => Promise.resolve(`Bearer ${token.trim()}`) });
  }

  async close(): Promise<void> {
    for (const transport of this.#transports) await transport.close();
  }

  async #client(as: Partial<ClusterAccess>): Promise<KubeClient> {
    const access: ClusterAccess = {
      server: this.#cluster.url,
      ca: await readFile(this.#cluster.caPath),
      cert: null,
      key: null,
      insecureSkipTlsVerify: false,
      serverName: null,
      authorization: () => Promise.resolve(null),
      ...as,
    };
    const transport = new HttpTransport({ access });
    this.#transports.push(transport);
    return new KubeClient(transport);
  }
}

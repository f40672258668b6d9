import { HttpTransport } from '../../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../../src/kube/kube-config.ts';
import type { ResourceType } from '../../../src/kube/resources.ts';
import type { ControlPlane } from '../control-plane/control-plane.ts';
import { History } from './history.ts';

/** Every version of more kinds than the lab itself keeps, over a connection of its own. */
export class Watching implements AsyncDisposable {
  readonly history: History;
  readonly #transport: HttpTransport;

  private constructor(transport: HttpTransport, history: History) {
    this.#transport = transport;
    this.history = history;
  }

  static async of(cluster: ControlPlane, types: readonly ResourceType[]): Promise<Watching> {
    const transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
    return new Watching(transport, await History.of(transport, types));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.history.stop();
    await this.#transport.close();
  }
}

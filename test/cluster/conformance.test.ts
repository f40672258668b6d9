import { HttpTransport } from '../../src/kube/http-transport.ts';
import { loadKubeConfig } from '../../src/kube/kube-config.ts';
import { describeApiConformance } from '../conformance/api-conformance.ts';
import { ControlPlane } from './control-plane/control-plane.ts';

let cluster: ControlPlane;

describeApiConformance({
  name: 'kube-apiserver',
  async start() {
    cluster = await ControlPlane.start();
    await cluster.applyFiles('deploy/crds/');
    await cluster.kubectl('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
    const transport = new HttpTransport({ access: await loadKubeConfig({ path: cluster.adminKubeconfigPath }) });
    return {
      transport,
      async stop() {
        await transport.close();
        await cluster.stop();
      },
    };
  },
  prepareNamespace: (namespace) => cluster.waitForDefaultServiceAccount(namespace),
});

import { KubeClient } from '../../kube/client.ts';
import type { KubeTransport } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { ClusterInformers } from './cluster-informers.ts';
import { startDeploymentController } from './deployment.ts';
import { startDisruptionController } from './disruption.ts';
import { startGarbageCollector } from './garbage-collector.ts';
import { startJobController } from './job.ts';
import { PodControl, type Controller, type ControllerContext } from './pod-control.ts';
import { startReplicaSetController, startReplicationController } from './replica-set.ts';
import { startStatefulSetController } from './stateful-set.ts';
import { startTaintEviction } from './taint-eviction.ts';

/**
 * Starts the part of kube-controller-manager that preemption touches. To be called before the informers start, so that
 * no event is missed; nothing is done before they are filled.
 */
export function startControllers(transport: KubeTransport, clock: Clock, informers: ClusterInformers): Controller {
  const client = new KubeClient(transport);
  const podControl = new PodControl(client, clock, informers);
  const context: ControllerContext = { client, clock, informers, podControl, ready: informers.synced() };
  const running = [
    startJobController(context),
    startDeploymentController(context),
    startReplicaSetController(context),
    startReplicationController(context),
    startStatefulSetController(context),
    startDisruptionController(context),
    startTaintEviction(context),
    startGarbageCollector(context),
  ];
  return {
    stop() {
      for (const controller of running) controller.stop();
    },
  };
}

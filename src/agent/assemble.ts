import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfiguration } from '../config/configuration.ts';
import type { NodeName } from '../domain/ids.ts';
import { KubeClient } from '../kube/client.ts';
import type { KubeTransport } from '../kube/transport.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../ports/clock.ts';
import { CriuCheckpointer } from './checkpointer/criu-checkpointer.ts';
import { DumpDesk } from './checkpointer/dump-desk.ts';
import { keptBytes } from './checkpointer/kept-space.ts';
import { memoryOf } from './checkpointer/space.ts';
import { NodeAgent, type NodeAgentOptions, type NodeEngines, type RestoreSide } from './node-agent.ts';
import type { NodeApi } from './node-api.ts';
import { RuntimeProcesses } from './pods/runtime-processes.ts';
import { capabilityOf } from './probe/capability.ts';
import { compatibilityOf, type NodeFacts } from './probe/node-facts.ts';
import { FileHands } from './restore/file-hands.ts';
import { RestoreDesk } from './restore/restore-desk.ts';
import { RestoreRequests } from './restore/requests.ts';
import { forgetOtherPods, PodResults } from './restore/results.ts';
import { Stager } from './restore/stager.ts';
import { runCommand } from './runtime/command.ts';
import { ContainerIndex } from './runtime/containers.ts';
import { Runc } from './runtime/runc.ts';
import { DiskStore } from './state/disk-store.ts';
import { checkpointsFolder } from './state/layout.ts';
import type { StateStore } from './state/state-store.ts';
import { Entitlements } from './transfer/entitlements.ts';
import { PeerIdentity } from './transfer/peer-identity.ts';
import { PeerServer } from './transfer/peer-server.ts';
import { PeerStates } from './transfer/peer-states.ts';

export interface AssembleOptions {
  readonly nodeName: NodeName;
  /** Of Reprieve itself. */
  readonly namespace: string;
  readonly settings: AgentConfiguration;
  readonly transport: KubeTransport;
  readonly clock: Clock;
  readonly log: Log;
}

/** The agent of the node this process runs on, with the runtime, the disk and the network of that node. */
export async function assembleAgent(options: AssembleOptions): Promise<NodeAgent> {
  const { settings, nodeName, namespace, transport, clock, log } = options;
  await mkdir(settings.stateDir, { recursive: true, mode: 0o700 });
  const { command, root } = settings.runtime;
  const run = runCommand;
  const runc = new Runc({ command, root, run });
  const index = new ContainerIndex({ bundles: settings.runtime.bundles, runc, clock });
  let facts: NodeFacts | null = null;
  const compatibility = (): string | null => facts && compatibilityOf(facts);
  const folder = join(settings.stateDir, 'peer');
  const identity =
    settings.peer && new PeerIdentity({ nodeName, folder, client: new KubeClient(transport), clock, log });
  const parts = { runc, index, compatibility, identity };
  return new NodeAgent({
    nodeName,
    namespace,
    transport,
    clock,
    log,
    engines: (api) => enginesOf(options, { api, ...parts }),
    recordsFolder: checkpointsFolder(settings.stateDir),
    maxConcurrentDumps: settings.maxConcurrentDumps,
    keepUnknownMs: settings.keepUnknownMs,
    probe: async () => {
      const capability = await capabilityOf(run, command);
      facts = capability.facts;
      return { ...capability, peerPort: settings.peer?.port ?? null };
    },
    compatibility,
    restores: (shared) => restoreSide(options, { ...shared, ...parts }),
  });
}

interface NodeParts {
  readonly runc: Runc;
  readonly index: ContainerIndex;
  /** Class of this node; null: not known. */
  readonly compatibility: () => string | null;
  /** Null: no states are given to other nodes, or fetched from there. */
  readonly identity: PeerIdentity | null;
}

/** A backend or a store is chosen here. */
function enginesOf(
  { settings, nodeName, clock, log }: AssembleOptions,
  { api, runc, index, compatibility, identity }: NodeParts & { readonly api: NodeApi },
): NodeEngines {
  const { stateDir } = settings;
  const run = runCommand;
  const roomBytes = async (): Promise<number> => (await store.freeBytes()) - (await keptBytes(settings));
  const peers = new PeerStates({ api, clock, identity, roomBytes });
  const store: StateStore = new DiskStore({ nodeName, stateDir, clock, peers });
  const desk = new DumpDesk({ settings, store, runc, run, clock, log, compatibility });
  const checkpointer = new CriuCheckpointer({ index, runc, run, memoryOf, desk, clock });
  return { processes: new RuntimeProcesses({ index, runc }), checkpointer, store };
}

type Shared = Parameters<NodeAgentOptions['restores']>[0] & NodeParts;

function restoreSide(
  { settings, nodeName, clock, log }: AssembleOptions,
  { pods, checkpoint, api, store, runc, index, compatibility, identity }: Shared,
): RestoreSide {
  const { stateDir, runDir, peer } = settings;
  const onError = (error: unknown): void => log.error({ err: error }, 'restoring');
  const stager = new Stager({ nodeName, api, compatibility, store });
  const requests = new RestoreRequests({
    runDir,
    clock,
    handler: (request, withdrawn, own) => desk.answer(request, withdrawn, own),
    // A wrapper that was killed outright may have left a restore that goes on: kubelet makes another container.
    onAbandoned: ({ id }) => runc.remove(id),
    onError,
  });
  const results = new PodResults({ runDir, clock, onResult: (podUid) => desk.resultSeen(podUid), onError });
  const hands = new FileHands({ settings, stager, store, run: runCommand, runc, index, compatibility });
  const desk = new RestoreDesk({ hands, pod: (uid) => pods.get(uid), api, clock, log, onError });
  let server: PeerServer | null = null;
  const stopped = new AbortController();
  return {
    podChanged: (before, after) => desk.podChanged(before, after),
    async start() {
      if (peer !== null && identity !== null) {
        await identity.load();
        const entitlements = new Entitlements({ api, checkpoint, clock, log });
        server = await PeerServer.start({ peer, identity, entitlements, stateDir, clock, log });
        void identity.run(stopped.signal);
      }
      const here = new Set(pods.list().map(({ metadata }) => metadata.uid as string));
      await rm(join(runDir, 'work'), { recursive: true, force: true }); // logs of former restores
      await mkdir(runDir, { recursive: true, mode: 0o700 });
      await forgetOtherPods(runDir, here);
      await store.closeOthers(here);
      desk.start(pods.list());
      await results.start();
      await requests.start();
    },
    async stop() {
      stopped.abort(new Error('the agent stops'));
      desk.stop();
      await requests.stop();
      await results.stop();
      await server?.close();
    },
  };
}

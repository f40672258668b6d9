import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentConfiguration } from '../config/configuration.ts';
import type { NodeName } from '../domain/ids.ts';
import type { KubeTransport } from '../kube/transport.ts';
import type { Log } from '../observe/log.ts';
import type { Clock } from '../ports/clock.ts';
import { DumpDesk } from './dump-desk.ts';
import { NodeAgent, type NodeAgentOptions, type RestoreSide } from './node-agent.ts';
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
import { FileStamps } from './state/file-stamps.ts';
import { memoryOf } from './state/space.ts';
import { checkpointsFolder, MANIFEST_FILE } from './state/layout.ts';
import { PeerServer } from './transfer/peer-server.ts';

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
  const { command, root, bundles } = settings.runtime;
  const run = runCommand;
  const runc = new Runc({ command, root, run });
  let facts: NodeFacts | null = null;
  const compatibility = (): string | null => facts && compatibilityOf(facts);
  const stamps = new FileStamps();
  const dumps = new DumpDesk({ settings, runc, run, clock, log, stamps, compatibility });
  const processes = new RuntimeProcesses({
    index: new ContainerIndex({ bundles, runc, clock }),
    runc,
    run,
    memoryOf,
    dump: (...dump) => dumps.dump(...dump),
    progress: (key) => dumps.progress(key),
  });
  return new NodeAgent({
    nodeName,
    namespace,
    transport,
    clock,
    log,
    processes,
    checkpointsFolder: checkpointsFolder(settings.stateDir),
    manifestFile: MANIFEST_FILE,
    maxConcurrentDumps: settings.maxConcurrentDumps,
    keepUnknownMs: settings.keepUnknownMs,
    probe: async () => {
      const capability = await capabilityOf(run, command);
      facts = capability.facts;
      return { ...capability, dumpSpeed: dumps.bytesPerSecond, peerPort: settings.peer?.port ?? null };
    },
    compatibility,
    restores: (shared) => restoreSide(options, { ...shared, runc, stamps, compatibility }),
  });
}

type Shared = Parameters<NodeAgentOptions['restores']>[0] & {
  readonly runc: Runc;
  readonly stamps: FileStamps;
  readonly compatibility: () => string | null;
};

function restoreSide(
  { settings, nodeName, clock, log }: AssembleOptions,
  { pods, api, runc, stamps, compatibility }: Shared,
): RestoreSide {
  const { stateDir, runDir, peer } = settings;
  const onError = (error: unknown): void => log.error({ err: error }, 'restoring');
  const stager = new Stager({ nodeName, stateDir, api, clock, compatibility, stamps, peer });
  const requests = new RestoreRequests({
    runDir,
    clock,
    handler: (request, withdrawn) => desk.answer(request, withdrawn),
    // A wrapper that was killed outright may have left a restore that goes on: kubelet makes another container.
    onAbandoned: ({ id }) => runc.remove(id),
    onError,
  });
  const results = new PodResults({ runDir, clock, onResult: (podUid) => desk.resultSeen(podUid), onError });
  const hands = new FileHands({ settings, stager, run: runCommand, runc, compatibility });
  const desk = new RestoreDesk({ hands, pod: (uid) => pods.get(uid), api, clock, log, onError });
  let server: PeerServer | null = null;
  return {
    podChanged: (before, after) => desk.podChanged(before, after),
    async start() {
      if (peer !== null) server = await PeerServer.start({ peer, stateDir, clock, log });
      const here = new Set(pods.list().map(({ metadata }) => metadata.uid as string));
      await rm(join(runDir, 'work'), { recursive: true, force: true }); // logs of former restores
      await mkdir(runDir, { recursive: true, mode: 0o700 });
      await forgetOtherPods(runDir, here);
      await stager.forgetOthers(here);
      desk.start(pods.list());
      await results.start();
      await requests.start();
    },
    async stop() {
      desk.stop();
      await requests.stop();
      await results.stop();
      await server?.close();
    },
  };
}

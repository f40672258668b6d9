import type { RestoreFailure } from '../../domain/condition-reasons.ts';
import type { KubeObject } from '../../kube/transport.ts';
import type { SavedPodLayout } from '../state/layout.ts';
import type { Manifest } from '../state/manifest.ts';
import type { RestoreRequest } from './request.ts';
import type { Outcome } from './results.ts';
import type { TicketWord } from './ticket-word.ts';

/** A state that was found, fetched and verified for one pod. */
export interface StagedState {
  /** Name of the PodCheckpoint, and the node it was made on: what people are told. */
  readonly checkpoint: string;
  readonly madeOn: string;
  readonly layout: SavedPodLayout;
  readonly manifest: Manifest;
}

export interface RestoreRefusal {
  readonly reason: RestoreFailure;
  readonly message: string;
}

export type Staging = { readonly refusal: RestoreRefusal } | { readonly refusal: null; readonly state: StagedState };

/** What a restore does on the node, and reads from the API server. `file-hands.ts` does it on the files of a real node. */
export interface RestoreHands {
  /** Finds the state a pod is to continue; may take minutes. Rejects where it cannot tell: it is called again. */
  stage(pod: KubeObject, stop: AbortSignal): Promise<Staging>;
  /** What the ticket says of the pod now. */
  word(pod: KubeObject, stop: AbortSignal): Promise<TicketWord>;
  /** Whether the container that is being created may have that state; null: it may. */
  refusal(request: RestoreRequest, state: StagedState): Promise<RestoreRefusal | null>;
  /** Name of another container of the pod that has a process now; null: none has. */
  running(request: RestoreRequest): Promise<string | null>;
  /**
   * Puts its files in place; with the first container also what the pod's containers share. Returns where to restore from. Rejects with
   * the reason of `stop` when nothing is written any more.
   */
  apply(
    request: RestoreRequest,
    state: StagedState,
    withShared: boolean,
    stop: AbortSignal,
  ): Promise<{ readonly imagePath: string; readonly workPath: string }>;
  /** Lets all containers of the pod run that were restored and left stopped. */
  letGo(podUid: string): Promise<void>;
  /** Ends what was restored of the pod, and waits for it; it counts as started cold, as whatever the kubelet starts in its place. */
  endRestored(podUid: string): Promise<void>;
  /** Takes that back: the container may start cold. */
  clean(request: RestoreRequest, withShared: boolean): Promise<void>;
  /** Nothing of the pod will be restored any more: removes the state that was brought here for it. */
  drop(podUid: string): Promise<void>;
  /** The pod is gone: removes all that is remembered of it. */
  forget(podUid: string): Promise<void>;
  /** How a container of a pod came up, as the wrapper has written it down; null: it has not yet. */
  outcome(podUid: string, container: string): Promise<Outcome | null>;
  /** What the runtime said when restoring this container failed last. */
  failure(request: RestoreRequest): Promise<string>;
}

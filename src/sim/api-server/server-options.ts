import type { ResourceType } from '../../kube/resources.ts';
import type { KubeObject, KubeRequest, KubeResponse } from '../../kube/transport.ts';
import type { Clock } from '../../ports/clock.ts';
import type { AdmissionReview } from './admission.ts';
import type { StoreEvent } from './collection.ts';

/** A request with the name of who sent it, as given to `ApiServer.transport(user)`. */
export interface ServerRequest extends KubeRequest {
  readonly user: string;
  /** The request asks for a watch. */
  readonly isWatch: boolean;
}

/**
 * What a test does to a request: an answer in place of the server's; `reset`, the connection breaks before the server
 * sees it; `reset-after`, the request takes effect and its answer is lost; null, nothing.
 */
export type Interception = KubeResponse | 'reset' | 'reset-after' | null;

/** Behaviour that is plugged in; all of it may be changed while the server runs. */
export interface ServerHooks {
  /** The mutating webhook for CREATE of pods. It fails open: whatever it throws, the pod is created as it was sent. */
  admitPod?: (review: AdmissionReview) => Promise<AdmissionReview>;
  /** Validation of what is written (CRD schemas): the reason for a 422, or null. `old` is null on create. */
  validate?: (type: ResourceType, object: KubeObject, old: KubeObject | null) => string | null;
  /** Consulted before a request is served. */
  intercept?: (request: ServerRequest) => Promise<Interception>;
  /** Told of every write in the moment it takes effect, before anybody else learns of it. */
  written?: (write: ServerWrite) => void;
}

/** One write, as it took effect. */
export interface ServerWrite extends StoreEvent {
  readonly kind: ResourceType;
  /** The request that did it; null for a new pod, whose request waited for the webhook in between. */
  readonly by: Omit<ServerRequest, 'isWatch'> | null;
}

export interface ApiServerOptions extends ServerHooks {
  readonly clock: Clock;
  /** How long every request takes. */
  readonly latencyMs?: number;
  /** How many writes of a kind a watch can go back, at least. */
  readonly historyLimit?: number;
  /** How often a watch that asked for them gets a bookmark; about what the real server does. */
  readonly bookmarkEveryMs?: number;
  /** Of the generated UIDs and names: equal seeds and equal requests give equal objects. */
  readonly seed?: number;
}

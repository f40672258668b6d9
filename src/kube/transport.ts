/**
 * How the Kubernetes adapters reach an API server: one request, or one watch. The real cluster (HTTP) and the embedded
 * cluster (in memory) both implement it, and `test/conformance` holds them to the same behaviour.
 */

/** Content types of PATCH. `strategic` is refused by the API server for custom resources (415). */
export type PatchType = 'merge' | 'json' | 'strategic';

export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute path without query, for example `/api/v1/namespaces/default/pods/web-0/status`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** A JSON value; the transport serialises it. The receiver must not change it. */
  readonly body?: unknown;
  readonly patchType?: PatchType;
  readonly signal?: AbortSignal;
  /** Asked as late as possible before anything is sent. False: nothing is, and the request rejects with {@link NotSentError}. */
  readonly maySend?: () => boolean;
}

export interface KubeResponse {
  readonly status: number;
  /** Lower-case names. `retry-after` (seconds) is the one that matters. */
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON body, or the text of a body that was not JSON (`/readyz`). */
  readonly body: unknown;
}

/** An object as it travels: parsed JSON, timestamps are RFC 3339 strings. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly deletionGracePeriodSeconds?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
  readonly finalizers?: readonly string[];
  /** Who wrote which fields. Informers and the index leave it out. */
  readonly managedFields?: readonly ManagedFields[];
}

/** The fields that one manager wrote by one kind of request (`metav1.ManagedFieldsEntry`). */
export interface ManagedFields {
  readonly manager?: string;
  readonly operation?: 'Apply' | 'Update';
  readonly apiVersion?: string;
  readonly time?: string;
  readonly fieldsType?: 'FieldsV1';
  readonly fieldsV1?: unknown;
  /** Absent for writes to the object itself. */
  readonly subresource?: string;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** One line of a watch. An `ERROR` carries a `Status` (410 after compaction) and ends the watch. */
export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: KubeObject;
}

export interface KubeWatch {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The `Status` of a refused watch (status is not 200); undefined otherwise. */
  readonly body?: unknown;
  /** Ends when the server closes the watch; throws `TransportError` when the connection breaks. Empty where the watch was refused. */
  readonly events: AsyncIterable<WatchEvent>;
}

export interface KubeTransport {
  /** Resolves with any HTTP status. Rejects with {@link TransportError} when there was no answer, and with the signal's reason on abort. */
  request(request: KubeRequest): Promise<KubeResponse>;
  /** Sends a GET with `watch=1` and resolves once the server has answered the headers. */
  watch(request: KubeRequest): Promise<KubeWatch>;
}

/** No answer from the API server: refused, reset, timed out. Whether the request took effect is unknown. */
export class TransportError extends Error {
  override readonly name = 'TransportError';
}

/** The request was held back: its sender may not write any more. Nothing was sent. */
export class NotSentError extends Error {
  override readonly name = 'NotSentError';
}

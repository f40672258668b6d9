import { apiErrorOf, KubeApiError } from './api-error.ts';
import { pathOf, type ResourceType } from './resources.ts';
import type { KubeObject, KubeTransport, WatchEvent } from './transport.ts';

const PAGE_LIMIT = 500;
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

export interface CollectionOptions {
  readonly resource: ResourceType;
  /** Absent: all namespaces. */
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  readonly transport: KubeTransport;
}

/** A part of a listing. The version of the last page is that of the listing. */
interface Page {
  readonly objects: readonly KubeObject[];
  readonly resourceVersion: string;
}

interface List {
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
  readonly items?: readonly KubeObject[];
}

/** The requests that read one collection of the API server. An answer other than 200 is thrown as a {@link KubeApiError}. */
export class Collection {
  readonly #options: CollectionOptions;

  constructor(options: CollectionOptions) {
    this.#options = options;
  }

  /** The version that the API server holds now; empty where it tells none. */
  async version(signal: AbortSignal): Promise<string> {
    const { metadata } = await this.#list({ limit: '1' }, signal);
    return metadata?.resourceVersion ?? '';
  }

  /** All objects. */
  async *pages(signal: AbortSignal): AsyncGenerator<Page, void> {
    let next = '';
    do {
      const { items, metadata } = await this.#list(
        { limit: String(PAGE_LIMIT), ...(next !== '' && { continue: next }) },
        signal,
      );
      yield { objects: items ?? [], resourceVersion: metadata?.resourceVersion ?? '' };
      next = metadata?.continue ?? '';
    } while (next !== '');
  }

  /** Changes since version `from`, with bookmarks; from null on: all objects, a bookmark ({@link endsInitialEvents}), then changes. */
  async watch(from: string | null, timeoutSeconds: number, signal: AbortSignal): Promise<AsyncIterable<WatchEvent>> {
    const { transport, resource, namespace } = this.#options;
    const query: Record<string, string> = {
      ...this.#selectors(),
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(timeoutSeconds),
      ...(from === null
        ? { sendInitialEvents: 'true', resourceVersionMatch: 'NotOlderThan' }
        : { resourceVersion: from }),
    };
    const watch = await transport.watch({ method: 'GET', path: pathOf(resource, namespace), query, signal });
    if (watch.status !== 200) throw apiErrorOf(`watching ${resource.plural}`, watch);
    return watch.events;
  }

  async #list(page: Record<string, string>, signal: AbortSignal): Promise<List> {
    const { transport, resource, namespace } = this.#options;
    const query = { ...this.#selectors(), ...page };
    const response = await transport.request({ method: 'GET', path: pathOf(resource, namespace), query, signal });
    if (response.status !== 200) throw apiErrorOf(`listing ${resource.plural}`, response);
    return response.body as List;
  }

  #selectors(): Record<string, string> {
    const { fieldSelector, labelSelector } = this.#options;
    return { ...(fieldSelector && { fieldSelector }), ...(labelSelector && { labelSelector }) };
  }
}

/** The bookmark by which a client knows that it has seen all objects. */
export function endsInitialEvents({ type, object: { metadata } }: WatchEvent): boolean {
  return type === 'BOOKMARK' && metadata.annotations?.[INITIAL_EVENTS_END] === 'true';
}

/** The `Status` in an ERROR line. */
export function errorIn({ object }: WatchEvent, doing: string): KubeApiError {
  const { code, reason, message, details } = object as unknown as {
    readonly code?: number;
    readonly reason?: string;
    readonly message?: string;
    readonly details?: { readonly retryAfterSeconds?: number };
  };
  const retryAfterMs = details?.retryAfterSeconds ? details.retryAfterSeconds * 1000 : null;
  return new KubeApiError(code ?? 500, reason ?? '', `${doing}: ${message ?? 'ERROR event'}`, retryAfterMs);
}

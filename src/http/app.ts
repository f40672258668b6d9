import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import type { ClientRules } from '../config/configuration.ts';
import type { ExtenderCallbacks } from '../engine/preemption/callbacks.ts';
import { AppError } from '../observe/error-codes.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { handleAdmission } from './admission.ts';
import { errorAnswer, jsonAnswer, type Answer } from './answer.ts';
import { CallGate } from './call-gate.ts';
import { EXTENDER_VERBS, handleExtender } from './extender-handler.ts';
import { handleGuard } from './guard.ts';
import { readRequestBody } from './request-body.ts';
import { clientRefusal } from './tls-context.ts';

/**
 * Full victim pods of a hundred nodes are about 3 MB (5 to 10 KB each, three hundred of them); this is far above and still
 * bounded.
 */
const DEFAULT_MAX_BODY_BYTES = 64 * 2 ** 20;
const DEFAULT_CALL_TIMEOUT_MS = 2_000;
/** kube-apiserver itself takes objects of 3 MiB at most; a review holds two of them. */
const MAX_REVIEW_BYTES = 8 * 2 ** 20;

/**
 * Reviews under way at the same time: 512 MiB of bodies at most. A review beyond them, or whose body took longer than
 * `timeoutSeconds` in deploy/webhook.yaml, is answered with a 503; with `failurePolicy: Ignore` its pod is created without a gate.
 */
const MAX_REVIEWS = 64;
const REVIEW_TIMEOUT_MS = 2_000;

interface Readiness {
  readonly ready: boolean;
  /** What is still missing, in words; empty when ready. */
  readonly reasons: readonly string[];
}

export interface AppOptions {
  readonly callbacks: ExtenderCallbacks;
  readonly readiness: () => Readiness;
  /** For `/debug/state`: a JSON value with names, uids and counts; never contents of pods. */
  readonly debugState: () => unknown;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tls: ClientRules | null;
  /**
   * Whether this replica answers the extender verbs for good; absent: always. One that does not closes the connection after
   * each answer: kube-scheduler keeps connections, and would stay with a former leader long after its Service has moved on.
   */
  readonly leads?: () => boolean;
  /** How long callers of the verbs wait; absent: 2 s, as in config/kube-scheduler.yaml. */
  readonly callTimeoutMs?: number;
  /** Longest body of an extender call. */
  readonly maxBodyBytes?: number;
}

type Handler = (request: Request) => Answer | Promise<Answer>;

interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Whether the client must show its certificate, where an authority is configured. */
  readonly needsClient: boolean;
  readonly isVerb?: true;
  readonly handle: Handler;
}

/**
 * All paths. The extender verbs and the debug dump need a client certificate where an authority for them is configured:
 * whoever can call `preempt` can have pods displaced. The webhooks do not, because kube-apiserver shows none by default: the one for
 * new pods changes nothing, and its answer says only whether a pod would be gated; the one for deletions and evictions saves only
 * pods that are about to go by the index (`src/engine/guard`). Probes and metrics do not, either.
 */
export function createApp(options: AppOptions): Express {
  const app = express();
  app.disable('etag');
  app.disable('x-powered-by');
  app.enable('case sensitive routing');
  app.enable('strict routing');
  const routes = routesOf(options);
  const { leads = () => true } = options;
  for (const { method, path, needsClient, isVerb, handle } of routes) {
    app.all(path, async (request, response) => {
      const isMethod = request.method === method || (method === 'GET' && request.method === 'HEAD');
      if (!isMethod) response.setHeader('Allow', method);
      if (isVerb && !leads()) response.setHeader('Connection', 'close');
      send(
        response,
        isMethod ? await answered(request, needsClient, handle, options.tls) : refused('MethodNotAllowed', { method }),
      );
    });
  }
  const paths = routes.map(({ path }) => path).join(', ');
  app.use((_request, response) => send(response, refused('NotFound', { paths })));
  // Express tells an error handler by its four parameters. What comes here is an URL that cannot be decoded, or a defect.
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const isBadUrl = error instanceof URIError;
    if (!isBadUrl) options.log.error({ err: error }, 'a request failed');
    send(response, isBadUrl ? refused('NotFound', { paths }) : errorAnswer(error));
  });
  return app;
}

function routesOf(options: AppOptions): readonly Route[] {
  const { callbacks, readiness, debugState, metrics } = options;
  const maxBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES;
  const gate = new CallGate({ timeoutMs: options.callTimeoutMs ?? DEFAULT_CALL_TIMEOUT_MS });
  const reviews = new CallGate({ timeoutMs: REVIEW_TIMEOUT_MS, maxCalls: MAX_REVIEWS });
  return [
    ...EXTENDER_VERBS.map((verb): Route => ({
      method: 'POST',
      path: `/v1/${verb}`,
      needsClient: true,
      isVerb: true,
      handle: recorded(options, verb, (request) =>
        gate.pass(
          () => readRequestBody(request, maxBytes),
          (body) => handleExtender(callbacks, verb, body),
        ),
      ),
    })),
    {
      method: 'POST',
      path: '/v1/admit-pod',
      needsClient: false,
      handle: recorded(options, 'admit-pod', (request) => {
        return reviews.pass(
          () => readRequestBody(request, MAX_REVIEW_BYTES),
          (body) => handleAdmission(callbacks, body),
        );
      }),
    },
    {
      method: 'POST',
      path: '/v1/guard',
      needsClient: false,
      isVerb: true,
      handle: recorded(options, 'guard', (request) => {
        return reviews.pass(
          () => readRequestBody(request, MAX_REVIEW_BYTES),
          (body) => handleGuard(callbacks, body),
        );
      }),
    },
    { method: 'GET', path: '/healthz', needsClient: false, handle: () => textAnswer('ok\n') },
    { method: 'GET', path: '/readyz', needsClient: false, handle: () => readinessAnswer(readiness()) },
    {
      method: 'GET',
      path: '/metrics',
      needsClient: false,
      handle: async () => textAnswer(await metrics.render(), metrics.contentType),
    },
    {
      method: 'GET',
      path: '/debug/state',
      needsClient: true,
      handle: () => jsonAnswer(`${JSON.stringify(debugState(), null, 2)}\n`),
    },
  ];
}

async function answered(
  request: Request,
  needsClient: boolean,
  handle: Handler,
  tls: ClientRules | null,
): Promise<Answer> {
  try {
    if (needsClient && tls !== null && request.socket instanceof TLSSocket) {
      const refusal = clientRefusal(request.socket, tls);
      if (refusal !== null) return refused(refusal);
    }
    return await handle(request);
  } catch (error) {
    return errorAnswer(error);
  }
}

/** Adds the counters and the one log line of a call. */
function recorded({ metrics, log }: AppOptions, verb: string, handle: Handler): Handler {
  return async (request) => {
    const startMs = performance.now(); // a Clock counts whole milliseconds, and most calls take less than one
    let answer: Answer;
    try {
      answer = await handle(request);
    } catch (error) {
      answer = errorAnswer(error, { verb });
    }
    const tookMs = performance.now() - startMs;
    metrics.inc('reprieve_extender_requests_total', { verb, code: String(answer.status) });
    metrics.observe('reprieve_extender_request_duration_seconds', { verb }, tookMs / 1000);
    logCall(log, answer, tookMs);
    return answer;
  };
}

/** Calls that change nothing are the many; only what a person would ask about is worth a line at `info`. */
function logCall(log: Log, { status, fields, error }: Answer, tookMs: number): void {
  const line = { ...fields, status, tookMs };
  if (error !== null) log.error({ ...line, err: error }, 'call failed');
  else if (status !== 200) log.warn(line, 'call refused');
  else if (fields['verb'] === 'preempt' || fields['gated'] || fields['refused']) log.info(line, 'call answered');
  else log.debug(line, 'call answered');
}

function readinessAnswer({ ready, reasons }: Readiness): Answer {
  return ready ? textAnswer('ok\n') : refused('NotReady', { reasons: reasons.join('; ') || 'starting' });
}

function refused(code: ConstructorParameters<typeof AppError>[0], fields: Record<string, string> = {}): Answer {
  return errorAnswer(new AppError(code, fields));
}

function textAnswer(body: string, contentType = 'text/plain; charset=utf-8'): Answer {
  return { status: 200, body, contentType, fields: {}, error: null };
}

/** Head and body in one write with a length: a chunked answer that is not read to its end costs Go's client the connection. */
function send(response: ServerResponse, answer: Answer): void {
  if (response.destroyed) return;
  const body = answer.bytes ?? answer.body;
  response.statusCode = answer.status;
  response.setHeader('Content-Type', answer.contentType);
  response.setHeader('Content-Length', Buffer.byteLength(body));
  // The rest of a body that nobody reads would otherwise be taken for the next request.
  if (!isRead(response.req)) response.setHeader('Connection', 'close');
  response.end(body);
}

function isRead(request: IncomingMessage): boolean {
  const length = request.headers['content-length'];
  const hasBody = request.headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
  return request.complete || !hasBody;
}

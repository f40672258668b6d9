import type { ResourceType } from '../../kube/resources.ts';
import type { KubeResponse } from '../../kube/transport.ts';

/** One reason why an object is not valid, in the words of `k8s.io/apimachinery/pkg/util/validation/field`. */
export interface FieldError {
  readonly field: string;
  readonly type: 'Required value' | 'Invalid value' | 'Forbidden' | 'Duplicate value' | 'Too long';
  readonly value?: unknown;
  readonly detail?: string;
}

interface StatusFields {
  readonly code: number;
  readonly reason: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

const CAUSES: Readonly<Record<FieldError['type'], string>> = {
  'Required value': 'FieldValueRequired',
  'Invalid value': 'FieldValueInvalid',
  Forbidden: 'FieldValueForbidden',
  'Duplicate value': 'FieldValueDuplicate',
  'Too long': 'FieldValueTooLong',
};

export const OPTIMISTIC_LOCK_MESSAGE =
  'the object has been modified; please apply your changes to the latest version and try again';

/** A refused request: thrown by the handlers, answered as a `Status`. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  readonly fields: StatusFields;

  constructor(fields: StatusFields) {
    super(fields.message);
    this.fields = fields;
  }

  get status(): Readonly<Record<string, unknown>> {
    const { code, reason, message, details } = this.fields;
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason !== '' && { reason }),
      ...(details && { details }),
      code,
    };
  }

  get response(): KubeResponse {
    const retryAfter = this.fields.details?.['retryAfterSeconds'];
    const headers: Record<string, string> = { 'content-type': 'application/json' };
    if (typeof retryAfter === 'number') headers['retry-after'] = String(retryAfter);
    return { status: this.fields.code, headers, body: this.status };
  }
}

/** `pods`, `podcheckpoints.reprieve.dev`: how messages name a collection. */
function groupResource(type: ResourceType): string {
  return type.group === '' ? type.plural : `${type.plural}.${type.group}`;
}

const detailsOf = (type: ResourceType, name: string): Record<string, unknown> => ({
  name,
  ...(type.group !== '' && { group: type.group }),
  kind: type.plural,
});

export function notFound(type: ResourceType, name: string): StatusError {
  const message = `${groupResource(type)} "${name}" not found`;
  return new StatusError({ code: 404, reason: 'NotFound', message, details: detailsOf(type, name) });
}

export function alreadyExists(type: ResourceType, name: string, isBeingDeleted: boolean): StatusError {
  const message = `${isBeingDeleted ? 'object is being deleted: ' : ''}${groupResource(type)} "${name}" already exists`;
  return new StatusError({ code: 409, reason: 'AlreadyExists', message, details: detailsOf(type, name) });
}

export function conflict(type: ResourceType, name: string, why: string): StatusError {
  const message = `Operation cannot be fulfilled on ${groupResource(type)} "${name}": ${why}`;
  return new StatusError({ code: 409, reason: 'Conflict', message, details: detailsOf(type, name) });
}

export function forbidden(type: ResourceType, name: string, why: string): StatusError {
  const message = `${groupResource(type)} "${name}" is forbidden: ${why}`;
  return new StatusError({ code: 403, reason: 'Forbidden', message, details: detailsOf(type, name) });
}

export function badRequest(message: string): StatusError {
  return new StatusError({ code: 400, reason: 'BadRequest', message });
}

export function internalError(message: string): StatusError {
  return new StatusError({
    code: 500,
    reason: 'InternalError',
    message: `Internal error occurred: ${message}`,
    details: { causes: [{ message }] },
  });
}

/** What the real server makes of an error that it has no words for: 500 without a reason. */
export function unclassified(message: string): StatusError {
  return new StatusError({ code: 500, reason: '', message });
}

export function expired(message: string): StatusError {
  return new StatusError({ code: 410, reason: 'Expired', message });
}

export function methodNotAllowed(): StatusError {
  return new StatusError({
    code: 405,
    reason: 'MethodNotAllowed',
    message: 'the server does not allow this method on the requested resource',
    details: {},
  });
}

/** The answer to a JSON patch that does not apply, a failed `test` among them. */
export function unprocessable(): StatusError {
  return new StatusError({
    code: 422,
    reason: 'Invalid',
    message: 'the server rejected our request due to an error in our request',
    details: {},
  });
}

export function unsupportedPatch(accepted: readonly string[]): StatusError {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  return new StatusError({ code: 415, reason: 'UnsupportedMediaType', message, details: {} });
}

export function invalid(
  kind: { group: string; kind: string },
  name: string,
  errors: readonly FieldError[],
): StatusError {
  const messages = errors.map((error) => `${error.field}: ${bodyOf(error)}`);
  const subject = kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  return new StatusError({
    code: 422,
    reason: 'Invalid',
    message: `${subject} "${name}" is invalid: ${messages.length === 1 ? messages[0] : `[${messages.join(', ')}]`}`,
    details: {
      name,
      ...(kind.group !== '' && { group: kind.group }),
      kind: kind.kind,
      causes: errors.map((error) => ({ reason: CAUSES[error.type], message: bodyOf(error), field: error.field })),
    },
  });
}

function bodyOf({ type, value, detail }: FieldError): string {
  const shown = value === undefined ? '' : `: ${JSON.stringify(value)}`;
  return `${type}${shown}${detail === undefined ? '' : `: ${detail}`}`;
}

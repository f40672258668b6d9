import type { Draft, StoredObject } from './api-object.ts';
import type { FieldError } from './status-error.ts';

const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const SUBDOMAIN_RULE =
  'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, ' +
  "'-' or '.', and must start and end with an alphanumeric character";
/** `TotalAnnotationSizeLimitB` of k8s.io/apimachinery/pkg/api/validation. */
const ANNOTATION_BYTES_LIMIT = 256 * 1024;

/** What every new object must satisfy. */
export function metadataErrors(draft: Draft): FieldError[] {
  const { name, labels = {}, annotations = {}, finalizers = [] } = draft.metadata;
  const errors: FieldError[] = [];
  if (!name) {
    errors.push({ field: 'metadata.name', type: 'Required value', detail: 'name or generateName is required' });
  } else if (name.length > 253 || !SUBDOMAIN.test(name)) {
    errors.push({ field: 'metadata.name', type: 'Invalid value', value: name, detail: SUBDOMAIN_RULE });
  }
  for (const [key, value] of Object.entries(labels)) {
    if (!isQualified(key)) errors.push({ field: 'metadata.labels', type: 'Invalid value', value: key });
    if (typeof value !== 'string' || !LABEL_VALUE.test(value)) {
      const detail =
        'a valid label must be an empty string or consist of alphanumeric characters, and at most 63 of them';
      errors.push({ field: 'metadata.labels', type: 'Invalid value', value, detail });
    }
  }
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (!isQualified(key.toLowerCase())) {
      errors.push({ field: 'metadata.annotations', type: 'Invalid value', value: key });
    }
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > ANNOTATION_BYTES_LIMIT) {
    errors.push({ field: 'metadata.annotations', type: 'Too long', detail: 'may not be more than 262144 bytes' });
  }
  for (const finalizer of finalizers) {
    if (!isQualified(finalizer)) errors.push({ field: 'metadata.finalizers', type: 'Invalid value', value: finalizer });
  }
  return [...errors, ...ownerErrors(draft)];
}

/** What an update may not change. */
export function metadataUpdateErrors(draft: Draft, old: StoredObject): FieldError[] {
  const errors: FieldError[] = [];
  const immutable = ['name', 'namespace', 'uid', 'deletionTimestamp', 'deletionGracePeriodSeconds'] as const;
  for (const name of immutable) {
    if (draft.metadata[name] === old.metadata[name]) continue;
    const value = draft.metadata[name] ?? null;
    errors.push({ field: `metadata.${name}`, type: 'Invalid value', value, detail: 'field is immutable' });
  }
  const added = (draft.metadata.finalizers ?? []).filter((finalizer) => !old.metadata.finalizers?.includes(finalizer));
  if (old.metadata.deletionTimestamp !== undefined && added.length > 0) {
    const found = `[]string{${added.map((finalizer) => `"${finalizer}"`).join(', ')}}`;
    const detail = `no new finalizers can be added if the object is being deleted, found new finalizers ${found}`;
    errors.push({ field: 'metadata.finalizers', type: 'Forbidden', detail });
  }
  return errors;
}

function ownerErrors(draft: Draft): FieldError[] {
  const errors: FieldError[] = [];
  let controllers = 0;
  for (const [i, owner] of (draft.metadata.ownerReferences ?? []).entries()) {
    for (const name of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (owner[name]) continue;
      const field = `metadata.ownerReferences[${i}].${name}`;
      errors.push({ field, type: 'Required value', detail: 'must not be empty' });
    }
    if (owner.controller) controllers++;
  }
  if (controllers > 1) {
    const detail = 'Only one reference can have Controller set to true';
    errors.push({ field: 'metadata.ownerReferences', type: 'Invalid value', detail });
  }
  return errors;
}

function isQualified(key: string): boolean {
  const [prefix, name, ...rest] = key.includes('/') ? key.split('/') : [null, key];
  if (rest.length > 0 || !QUALIFIED_NAME.test(name ?? '')) return false;
  return prefix === null || prefix === undefined ? true : prefix.length <= 253 && SUBDOMAIN.test(prefix);
}

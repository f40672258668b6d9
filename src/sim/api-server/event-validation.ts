import type { Draft } from './api-object.ts';
import { recordAt, textAt } from './json.ts';
import type { FieldError } from './status-error.ts';

/** `legacyValidateEvent` of the real server: what an Event sent to core/v1 must satisfy. */
export function eventErrors(draft: Draft): readonly FieldError[] {
  const errors: FieldError[] = [];
  const namespace = draft.metadata.namespace ?? '';
  const involved = textAt(recordAt(draft, 'involvedObject'), 'namespace');
  const isLegacy = textAt(draft, 'eventTime') === '';
  // An Event about an object of the cluster lives in `default`.
  const isMismatch =
    involved === ''
      ? !['', 'default', ...(isLegacy ? [] : ['kube-system'])].includes(namespace)
      : isLegacy && involved !== namespace;
  if (isMismatch) {
    const detail = 'does not match event.namespace';
    errors.push({ field: 'involvedObject.namespace', type: 'Invalid value', value: involved, detail });
  }
  if (isLegacy) return errors;

  const controller = textAt(draft, 'reportingComponent');
  if (controller === '') errors.push({ field: 'reportingComponent', type: 'Required value' });
  else if (!/^([a-z0-9.-]+\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(controller)) {
    errors.push({ field: 'reportingComponent', type: 'Invalid value', value: controller });
  }
  for (const [field, limit] of [
    ['reportingInstance', 128],
    ['action', 128],
    ['reason', 128],
  ] as const) {
    const value = textAt(draft, field);
    if (value === '') errors.push({ field, type: 'Required value' });
    else if (value.length > limit) {
      errors.push({ field, type: 'Invalid value', value: '', detail: `can have at most ${limit} characters` });
    }
  }
  if (textAt(draft, 'message').length > 1024) {
    errors.push({ field: 'message', type: 'Invalid value', value: '', detail: 'can have at most 1024 characters' });
  }
  return errors;
}

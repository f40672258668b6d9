import { API_GROUP, API_VERSION, type ResourceType } from '../resources.ts';
import type { Schema } from './schema.ts';

interface PrinterColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date' | 'boolean';
  readonly jsonPath: string;
  readonly description: string;
  /** 1 shows the column with `-o wide` only. */
  readonly priority?: 1;
}

export interface CustomResource {
  readonly resource: ResourceType;
  readonly shortName: string;
  readonly description: string;
  readonly spec: Schema<unknown>;
  /** Absent: the kind has no status. */
  readonly status?: Schema<unknown>;
  readonly columns: readonly PrinterColumn[];
  /** Fields that a `fieldSelector` may name. */
  readonly selectable?: readonly string[];
}

/** Where a printer column finds the status of a condition. */
export const conditionPath = (type: string): string => `.status.conditions[?(@.type=="${type}")].status`;

/**
 * Category of all our kinds: `kubectl get reprieve-all -A`. kubectl expands a category before it looks for a resource, so no
 * resource may have this name: with a category `reprieve`, `kubectl delete reprieve --all` would take the policies as well.
 */
export const CATEGORY = 'reprieve-all';

/** Which revision of the CRDs a cluster has: a whole number, see `revision.ts`. */
export const REVISION_ANNOTATION = `${API_GROUP}/crd-revision`;

/** Name of the CRD of a kind of ours. */
export function crdName({ plural }: ResourceType): string {
  return `${plural}.${API_GROUP}`;
}

/** The CustomResourceDefinition object of one of our kinds. */
export function customResourceDefinition(
  custom: CustomResource,
  revision: number,
): { readonly [field: string]: unknown } {
  const { resource, spec, status } = custom;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: crdName(resource), annotations: { [REVISION_ANNOTATION]: String(revision) } },
    spec: {
      group: API_GROUP,
      scope: resource.namespaced ? 'Namespaced' : 'Cluster',
      names: {
        kind: resource.kind,
        listKind: `${resource.kind}List`,
        plural: resource.plural,
        singular: resource.kind.toLowerCase(),
        shortNames: [custom.shortName],
        categories: [CATEGORY],
      },
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          ...(status && { subresources: { status: {} } }),
          ...(custom.selectable && { selectableFields: custom.selectable.map((jsonPath) => ({ jsonPath })) }),
          additionalPrinterColumns: custom.columns,
          schema: {
            openAPIV3Schema: {
              description: custom.description,
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: spec.json,
                ...(status && { status: status.json }),
              },
            },
          },
        },
      ],
    },
  };
}

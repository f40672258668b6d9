/** Why a saved pod is not brought back into a pod. */
export interface Refusal {
  readonly reason:
    'DigestMismatch' | 'ImagesDiffer' | 'Incompatible' | 'OwnerDiffers' | 'SecurityContextDiffers' | 'MountsDiffer';
  /** Names the difference. */
  readonly message: string;
}

import type { InputFault } from '@iopa/transport'

/** Faults as a sentence says them. */
export const listed = (faults: readonly InputFault[]): string =>
  faults.map(({ pointer, detail }) => `${pointer === '' ? 'the whole' : pointer}: ${detail}`).join('; ')

import type { CodecTable } from '@iopa/constants'
import type { Context } from './context.ts'
import type { BodyHolder } from './held-bytes.ts'
import { readsOf } from './reads.ts'
import type { RequestParts } from './request-parts.ts'
import type { Scope } from './scope.ts'
import { contextOf, PARTS, type SCOPE } from './slots.ts'

interface Reader extends BodyHolder {
  readonly environment: BodyHolder['environment'] & { readonly codecs: CodecTable }
  readonly [PARTS]: RequestParts
  readonly [SCOPE]: Scope
}

/**
 * What `context.json()` gives, without a promise: for a body that is in memory and not long. Undefined where it must be awaited, where it fails, and in
 * the run of a notification, whose reads count.
 */
export const jsonInMemory = (context: Context): unknown => {
  if (readsOf(context) !== undefined) return undefined
  const reader = contextOf(context) as unknown as Reader
  return reader[PARTS].jsonInMemory(reader, reader.environment.codecs)
}

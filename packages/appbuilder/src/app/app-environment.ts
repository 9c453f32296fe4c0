import { type Capabilities, type Codec, CodecTable, type Logger } from '@iopa/constants'
import { type Context, type Environment, isContext } from '@iopa/context'
import type { Clock } from '../transport/clock.ts'
import type { Limits } from '../transport/limits.ts'

/** What the contexts of one app share; `changed` is told of each path that a context names. */
export const environmentOf = (
  { limits, clock, logger }: { readonly limits: Limits; readonly clock: Clock; readonly logger: Logger },
  capabilities: Capabilities,
  codecs: Iterable<Codec> | undefined,
  changed: (path: string, origin: Context | null) => void
): Environment => ({
  live: 0,
  lastId: 0,
  capabilities,
  logger,
  codecs: new CodecTable(codecs),
  bodyLimit: limits.body,
  now: () => clock.now(),
  notify: (path, origin) => changed(path, isContext(origin) ? origin : null)
})

import type { Codec, IopaKeys, Logger } from '@iopa/constants'
import type { Clock, Limits } from '@iopa/transport'

/** Options of an app. */
export interface AppOptions<Required extends keyof IopaKeys = keyof IopaKeys> {
  /** Takes errors of the server; `console` unless given, false silences it. */
  readonly logger?: Logger | false
  readonly limits?: Partial<Limits>
  /** Codecs beside text, bytes and JSON. */
  readonly codecs?: Iterable<Codec>
  readonly clock?: Clock
  /** Keys that its middleware needs from the app that it is mounted in; alone it does not build. */
  readonly requires?: readonly Required[]
}

export const APP_OPTIONS: Record<keyof AppOptions, true> = { logger: true, limits: true, codecs: true, clock: true, requires: true }

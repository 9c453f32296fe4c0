import type { Clock, Upgrades } from '@iopa/transport'
import type { AdmissionRules } from './admission.ts'
import type { AnswerSettings } from './answer-writer.ts'
import type { Lingering } from './lingering.ts'

/** A connection of the listener, of any version of HTTP. */
export interface ServedConnection {
  /** Ends the connection, unless a request is in work on it. */
  finish(): void
  /** Ends its observations: the listener closes. */
  endEvents(): void
  /** Looks after the peer, at `now` in milliseconds of the clock. */
  sweep(now: number): void
}

/** What the connections of one listener share. */
export interface ConnectionSettings extends AdmissionRules, AnswerSettings {
  readonly clock: Clock
  readonly lingering: Lingering
  readonly upgrades: Upgrades
}

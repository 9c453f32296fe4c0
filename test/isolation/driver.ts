import type { Ledger } from './ledger.ts'

/** How a connection treats its answers. */
export const MODES = ['read', 'read', 'read', 'slow', 'abort', 'reset'] as const
type Mode = (typeof MODES)[number]

/** What one connection of one protocol does. */
interface Drive {
  readonly port: number
  readonly ledger: Ledger
  readonly random: () => number
  /** Requests to send. */
  readonly count: number
  readonly mode: Mode
}

/** Opens one connection, sends its requests and resolves when all are answered or the connection has ended. */
export type Driver = (drive: Drive) => Promise<void>

/** Milliseconds for which a peer stops reading, or after which it leaves. */
export const pause = (random: () => number): number => Math.floor(random() * 60)

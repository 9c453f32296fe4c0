import { optionError } from '../arguments/arguments.ts'

/** Bounds of a listener; times are milliseconds, sizes bytes. */
export interface Limits {
  /** Bytes of a request's body; beyond it 413. */
  readonly body: number
  /** Of the whole app: bytes of all bodies that requests hold in memory; beyond it 503. A quarter of what the platform gives unless set. */
  readonly bodyMemory: number
  /** Bytes of all header fields of a request. */
  readonly headerBytes: number
  /** Number of header fields of a request. */
  readonly headerCount: number
  /** Segments of a path. */
  readonly pathSegments: number
  /** Characters of one segment. */
  readonly segmentLength: number
  /** Open connections of a listener. */
  readonly connections: number
  /** Open connections from one address; loopback is not counted. */
  readonly connectionsPerAddress: number
  /** Requests that a listener works on at once; beyond it 503. */
  readonly inFlight: number
  /** Requests that one connection may have in work at once. */
  readonly inFlightPerConnection: number
  /** From a request's arrival to the first byte of its answer; then 504. Also for a whole message of a stream that has begun. */
  readonly requestTimeout: number
  /** For the whole header of a request, or until the first message of a connection begins. */
  readonly headerTimeout: number
  /** Without a byte in either direction; then the connection is closed. Also for the next chunk of an answer's stream. */
  readonly idleTimeout: number
  /** Messages waiting for one observer or peer. */
  readonly queueMessages: number
  /** Bytes waiting for one observer or peer. */
  readonly queueBytes: number
  /** Observers of a listener. */
  readonly observers: number
  /** Observers of one connection or endpoint. */
  readonly observersPerConnection: number
  /** For requests in work when `close` is called; then they are ended. Also for disposers of a scope, and for a handler that changes state after its answer has left. */
  readonly drainTimeout: number
  /** Of the whole app: requests that failed with 5xx which are logged one by one in a second; one line counts the others. */
  readonly failureLogs: number
}

const MIB = 1024 * 1024

export const DEFAULT_LIMITS: Limits = Object.freeze({
  body: MIB,
  bodyMemory: Number.POSITIVE_INFINITY,
  headerBytes: 16 * 1024,
  headerCount: 100,
  pathSegments: 64,
  segmentLength: 1024,
  connections: 10_000,
  connectionsPerAddress: 256,
  inFlight: 1024,
  inFlightPerConnection: 64,
  requestTimeout: 30_000,
  headerTimeout: 10_000,
  idleTimeout: 75_000,
  queueMessages: 1000,
  queueBytes: MIB,
  observers: 10_000,
  observersPerConnection: 1000,
  drainTimeout: 10_000,
  failureLogs: 50
})

/** `base` with `overrides`. @throws IopaError 500 for an unknown name, or a value that is not a positive number. */
export const mergeLimits = (base: Limits, overrides: Partial<Limits> | undefined): Limits => {
  if (overrides === undefined) return base
  for (const name of Object.keys(overrides)) {
    const value = overrides[name as keyof Limits]
    if (!(name in DEFAULT_LIMITS)) throw optionError(`There is no limit '${name}'; there are ${Object.keys(DEFAULT_LIMITS).join(', ')}.`)
    if (value !== undefined && !(value > 0)) throw optionError(`Limit '${name}' must be a positive number, not ${value}.`)
  }
  return Object.freeze({ ...base, ...Object.fromEntries(Object.entries(overrides).filter(([, value]) => value !== undefined)) })
}

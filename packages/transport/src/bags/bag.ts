import { IopaError } from '@iopa/constants'
import type { Payload } from '@iopa/context'
import type { PathLimits } from '@iopa/context/host'

/** Matches answers to requests: a whole number, or a string of up to 64 characters. */
export type BagSeq = number | string

/** A request as it crosses the network in a bag. */
export interface BagRequest {
  readonly method: string
  /** Canonical path; never percent-decoded. */
  readonly path: string
  /** Without the question mark; empty when there is none. */
  readonly query: string
  /** Names and values in turn. */
  readonly headers: string[]
  /** Empty when there is none. */
  readonly contentType: string
  readonly body: Uint8Array | null
  /** True begins an observation, false ends the one with the same `seq`. */
  readonly observe: boolean | undefined
  readonly seq: BagSeq | undefined
}

/** What a bag that cannot be a request turns into. */
export interface BagFault {
  readonly error: IopaError
  /** The seq of the refused bag, when it had a usable one. */
  readonly seq: BagSeq | undefined
}

/** Bounds of one request, beside the length of its line or datagram. */
export interface BagLimits extends PathLimits {
  /** Characters of all header names and values. */
  readonly headerBytes: number
  readonly headerCount: number
}

/** What of an answer a bag shows: an Answer of the core has all of it. */
export interface BagAnswer {
  readonly status: number
  readonly reason: string
  readonly headerPairs: readonly string[]
  readonly type: string
  /** True for a text that a codec made of a value, so its JSON needs no proof. */
  readonly encoded: boolean
  /** What goes over the wire; a stream must have been collected. */
  readonly payload: Payload
}

/** The members of a bag, as JSON gives them. */
export type BagMembers = Readonly<Record<string, unknown>>

/** The refusal of a bag. */
export const bad = (code: string, detail: string): IopaError => new IopaError(400, code, detail)

/** A name from the network, short enough for a sentence. */
export const shown = (name: string): string => (name.length > 64 ? `${name.slice(0, 64)}...` : name)

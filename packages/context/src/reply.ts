import type { HeadersInit } from '@iopa/constants'
import { heed } from './source-streams.ts'

const REPLY: unique symbol = Symbol.for('iopa.reply') as never

/** A status, body and headers that a handler returns together. */
export interface Reply {
  readonly [REPLY]: true
  readonly status: number
  /** Undefined leaves the body of the answer as it is. */
  readonly body: unknown
  readonly headers: HeadersInit | undefined
}

/** What a handler returns to set status, body and headers at once: `return reply(201, light, { location: '/lights/9' })`. */
export const reply = (status: number, body?: unknown, headers?: HeadersInit): Reply => {
  // A reply that is dropped must not end the process when its stream fails.
  if (typeof body === 'object' && body !== null) hear(body)
  return { [REPLY]: true, status, body, headers }
}

const hear = (body: object): void => {
  try {
    heed(body)
  } catch {
    // A hostile getter: the answer says so when it is made.
  }
}

/** True for a Reply of any copy of this package. */
export const isReply = (value: object): value is Reply => REPLY in value

import type { HeadersInit } from '@iopa/constants'

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
export const reply = (status: number, body?: unknown, headers?: HeadersInit): Reply => ({ [REPLY]: true, status, body, headers })

/** True for a Reply of any copy of this package. */
export const isReply = (value: object): value is Reply => REPLY in value

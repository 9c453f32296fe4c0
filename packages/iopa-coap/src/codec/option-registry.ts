/** Option numbers (RFC 7252 section 5.10, 7641, 7959, 7967, 8613, 8768, 9175, 9177; from 65000 those of IOPA, in the range for experiments, RFC 7252 section 12.2). */
export const OPTION = {
  IF_MATCH: 1,
  URI_HOST: 3,
  ETAG: 4,
  IF_NONE_MATCH: 5,
  OBSERVE: 6,
  URI_PORT: 7,
  LOCATION_PATH: 8,
  OSCORE: 9,
  URI_PATH: 11,
  CONTENT_FORMAT: 12,
  MAX_AGE: 14,
  URI_QUERY: 15,
  HOP_LIMIT: 16,
  ACCEPT: 17,
  LOCATION_QUERY: 20,
  BLOCK2: 23,
  BLOCK1: 27,
  SIZE2: 28,
  PROXY_URI: 35,
  PROXY_SCHEME: 39,
  SIZE1: 60,
  ECHO: 252,
  NO_RESPONSE: 258,
  REQUEST_TAG: 292,
  IDEMPOTENCY_KEY: 65000,
  SEEN: 65004,
  TRACEPARENT: 65020,
  PROBLEM_CODE: 65024,
  TRACESTATE: 65052,
  BAGGAGE: 65084
} as const

/** How the value of an option is read. */
type OptionFormat = 'empty' | 'opaque' | 'uint' | 'string'

/** What the registry knows of an option. */
export interface OptionDefinition {
  readonly number: number
  readonly name: string
  readonly format: OptionFormat
  /** Bounds of the value's length in bytes; a value outside them makes the option unrecognised (RFC 7252 section 5.4.3). */
  readonly min: number
  readonly max: number
  readonly repeatable: boolean
}

const option = (number: number, name: string, format: OptionFormat, min: number, max: number, repeatable = false): OptionDefinition => ({
  number,
  name,
  format,
  min,
  max,
  repeatable
})

/** Bytes of the longest value of an option of traces; a longer one is not sent, and not read: W3C Trace Context section 3.3.1.5 asks for 512 at least. */
export const LONGEST_TRACE = 512

/** Bytes of the longest code of a problem; a longer one is not sent. */
export const LONGEST_CODE = 64

/** The options that carry the headers of traces (W3C Trace Context, W3C Baggage). */
export const TRACE_OPTIONS: readonly (readonly [header: string, number: number])[] = [
  ['traceparent', OPTION.TRACEPARENT],
  ['tracestate', OPTION.TRACESTATE],
  ['baggage', OPTION.BAGGAGE]
]

/** The options that this implementation recognises. */
export const OPTIONS: readonly OptionDefinition[] = [
  option(OPTION.IF_MATCH, 'If-Match', 'opaque', 0, 8, true),
  option(OPTION.URI_HOST, 'Uri-Host', 'string', 1, 255),
  option(OPTION.ETAG, 'ETag', 'opaque', 1, 8, true),
  option(OPTION.IF_NONE_MATCH, 'If-None-Match', 'empty', 0, 0),
  option(OPTION.OBSERVE, 'Observe', 'uint', 0, 3),
  option(OPTION.URI_PORT, 'Uri-Port', 'uint', 0, 2),
  option(OPTION.LOCATION_PATH, 'Location-Path', 'string', 0, 255, true),
  option(OPTION.URI_PATH, 'Uri-Path', 'string', 0, 255, true),
  option(OPTION.CONTENT_FORMAT, 'Content-Format', 'uint', 0, 2),
  option(OPTION.MAX_AGE, 'Max-Age', 'uint', 0, 4),
  option(OPTION.URI_QUERY, 'Uri-Query', 'string', 0, 255, true),
  option(OPTION.HOP_LIMIT, 'Hop-Limit', 'uint', 1, 1),
  option(OPTION.ACCEPT, 'Accept', 'uint', 0, 2),
  option(OPTION.LOCATION_QUERY, 'Location-Query', 'string', 0, 255, true),
  option(OPTION.BLOCK2, 'Block2', 'uint', 0, 3),
  option(OPTION.BLOCK1, 'Block1', 'uint', 0, 3),
  option(OPTION.SIZE2, 'Size2', 'uint', 0, 4),
  option(OPTION.PROXY_URI, 'Proxy-Uri', 'string', 1, 1034),
  option(OPTION.PROXY_SCHEME, 'Proxy-Scheme', 'string', 1, 255),
  option(OPTION.SIZE1, 'Size1', 'uint', 0, 4),
  option(OPTION.ECHO, 'Echo', 'opaque', 1, 40),
  option(OPTION.NO_RESPONSE, 'No-Response', 'uint', 0, 1),
  option(OPTION.REQUEST_TAG, 'Request-Tag', 'opaque', 0, 8, true),
  // Elective and safe to forward: a proxy that does not know them hands them on (RFC 7252 section 5.4.2).
  option(OPTION.IDEMPOTENCY_KEY, 'Idempotency-Key', 'string', 1, 255),
  option(OPTION.SEEN, 'Iopa-Seen', 'opaque', 1, 8),
  option(OPTION.PROBLEM_CODE, 'Problem-Code', 'string', 1, LONGEST_CODE),
  // Elective, safe to forward and no part of the cache key: two requests that differ in their traces alone are the same (RFC 7252 section 5.4.6).
  option(OPTION.TRACEPARENT, 'Traceparent', 'string', 1, LONGEST_TRACE),
  option(OPTION.TRACESTATE, 'Tracestate', 'string', 1, LONGEST_TRACE),
  option(OPTION.BAGGAGE, 'Baggage', 'string', 1, LONGEST_TRACE)
]

const BY_NUMBER: ReadonlyMap<number, OptionDefinition> = new Map(OPTIONS.map(definition => [definition.number, definition]))

/** The definition of an option number, or undefined when it is not recognised. */
export const optionDefinition = (number: number): OptionDefinition | undefined => BY_NUMBER.get(number)

/** True for an odd number: an endpoint that does not recognise a critical option must reject the message (RFC 7252 section 5.4.6). */
export const isCritical = (number: number): boolean => (number & 1) === 1

/** What Max-Age means when it is absent, in seconds (RFC 7252 section 5.10.5). */
export const DEFAULT_MAX_AGE = 60

import { IopaError } from '@iopa/transport'
import { decode, encode, Tagged } from 'cborg'

/** A problem as RFC 9290 carries it; `type`, `status` and `members` are those of RFC 9457, tunnelled (RFC 9290 appendix B). */
export interface ConciseProblem {
  /** Short summary of the kind of problem. */
  readonly title?: string | undefined
  /** What happened this time, in words for the person who can correct it. */
  readonly detail?: string | undefined
  /** URI reference of this occurrence. */
  readonly instance?: string | undefined
  /** The CoAP code of the answer as its byte: 4.04 is 132. */
  readonly responseCode?: number | undefined
  /** Numbers of the options that were not understood. */
  readonly unprocessedOptions?: readonly number[] | undefined
  /** URI reference of the kind of problem. */
  readonly type?: string | undefined
  /** Neutral status, such as 404. */
  readonly status?: number | undefined
  /** Further members, JSON values by name. */
  readonly members?: Readonly<Record<string, unknown>> | undefined
}

// Standard Problem Detail Keys, RFC 9290 section 6.1.
const TITLE = -1
const DETAIL = -2
const INSTANCE = -3
const RESPONSE_CODE = -4
const UNPROCESSED_OPTION = -8
// The Custom Problem Detail Key of RFC 9290 appendix B, and the two members that have numbers in it.
const TUNNEL = 7807
const TUNNEL_TYPE = 0
const TUNNEL_STATUS = 1
// Language-tagged text, RFC 9290 appendix A.
const LANGUAGE_TAGGED = 38

/** A problem is short: more bytes are not read. */
const LONGEST = 64 * 1024

/** Keeps every tag: what is not understood is left out later. */
const TAGS = new Proxy<Record<number, ReturnType<typeof Tagged.decoder>>>({}, { get: (_, tag) => Tagged.decoder(Number(tag)) })

type Entries = ReadonlyMap<unknown, unknown>

/** Writes a problem as CBOR; what is undefined or has no JSON form is left out. */
export function encodeProblem(problem: ConciseProblem): Uint8Array {
  const map = new Map<number, unknown>()
  const set = (key: number, value: unknown): void => {
    if (value !== undefined) map.set(key, value)
  }
  set(TITLE, problem.title)
  set(DETAIL, problem.detail)
  set(INSTANCE, problem.instance)
  set(RESPONSE_CODE, problem.responseCode)
  const unprocessed = problem.unprocessedOptions
  if (unprocessed && unprocessed.length > 0) map.set(UNPROCESSED_OPTION, unprocessed.length === 1 ? unprocessed[0] : unprocessed)
  const tunnel = new Map<number | string, unknown>()
  if (problem.type !== undefined && problem.type !== 'about:blank') tunnel.set(TUNNEL_TYPE, problem.type)
  if (problem.status !== undefined) tunnel.set(TUNNEL_STATUS, problem.status)
  for (const [name, member] of Object.entries(problem.members ?? {})) {
    const text = JSON.stringify(member)
    if (text !== undefined) tunnel.set(name, JSON.parse(text))
  }
  if (tunnel.size > 0) map.set(TUNNEL, tunnel)
  // RFC 9290 section 2: the map is never empty.
  if (map.size === 0) map.set(TITLE, 'Error')
  return encode(map)
}

/**
 * Reads a problem; entries that are unknown or of another type are ignored, as RFC 9290 section 3 demands.
 * @throws IopaError 400 `malformed-problem` for bytes that are no map of CBOR.
 */
export function decodeProblem(bytes: Uint8Array): ConciseProblem {
  const entries = entriesOf(bytes)
  const problem: { -readonly [Name in keyof ConciseProblem]: ConciseProblem[Name] } = {}
  const title = textOf(entries.get(TITLE))
  const detail = textOf(entries.get(DETAIL))
  const instance = textOf(entries.get(INSTANCE))
  const code = entries.get(RESPONSE_CODE)
  const unprocessed = [entries.get(UNPROCESSED_OPTION)].flat().filter(isOptionNumber)
  if (title !== undefined) problem.title = title
  if (detail !== undefined) problem.detail = detail
  if (instance !== undefined) problem.instance = instance
  if (typeof code === 'number' && code >= 0 && code <= 255) problem.responseCode = code
  if (unprocessed.length > 0) problem.unprocessedOptions = unprocessed
  const tunnel = entries.get(TUNNEL)
  if (tunnel instanceof Map) {
    const members: Record<string, unknown> = Object.create(null)
    for (const [key, value] of tunnel as Entries) {
      if (key === TUNNEL_TYPE && typeof value === 'string') problem.type = value
      else if (key === TUNNEL_STATUS && typeof value === 'number') problem.status = value
      else if (typeof key === 'string') members[key] = jsonOf(value)
    }
    if (Object.keys(members).length > 0) problem.members = members
  }
  return problem
}

const entriesOf = (bytes: Uint8Array): Entries => {
  let map: unknown
  try {
    // A nesting that the stack cannot take ends here as well.
    map = bytes.length > LONGEST ? undefined : decode(bytes, { useMaps: true, rejectDuplicateMapKeys: true, tags: TAGS })
  } catch {
    map = undefined
  }
  if (map instanceof Map) return map
  throw new IopaError(400, 'malformed-problem', `Concise problem details are a CBOR map (RFC 9290 section 2) of at most ${LONGEST} bytes.`)
}

const isOptionNumber = (value: unknown): value is number => typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (!(value instanceof Tagged) || value.tag !== LANGUAGE_TAGGED || !Array.isArray(value.value)) return undefined
  const text: unknown = value.value[1]
  return typeof text === 'string' ? text : undefined
}

/**
 * The JSON value of a decoded one (RFC 8949 section 6.1): keys and large integers become text, bytes base64url, tags their content, what else JSON does
 * not have null. Objects have no prototype, so a key such as `__proto__` is only a key.
 */
function jsonOf(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64url')
  if (Array.isArray(value)) return value.map(jsonOf)
  if (value instanceof Tagged) return jsonOf(value.value)
  if (!(value instanceof Map)) return null
  const object: Record<string, unknown> = Object.create(null)
  for (const [name, member] of value) object[String(name)] = jsonOf(member)
  return object
}

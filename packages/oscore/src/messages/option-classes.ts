import type { MessageOption } from '@iopa/transport'
import { OPTION } from './option-numbers.ts'
import { splitProxyUri } from './proxy-uri.ts'

/** The options of a message by where they travel: inner ones are encrypted (class E), outer ones are for proxies (class U). There are none of class I. */
export interface SplitOptions {
  readonly inner: readonly MessageOption[]
  readonly outer: readonly MessageOption[]
  readonly observe: boolean
}

/** Outer only (RFC 8613 section 4.1, RFC 8768). All others, unknown ones too, are inner; Observe and No-Response are both. */
const OUTER: ReadonlySet<number> = new Set([OPTION.URI_HOST, OPTION.URI_PORT, OPTION.HOP_LIMIT, OPTION.PROXY_URI, OPTION.PROXY_SCHEME])

const NOTHING = new Uint8Array(0)
const byNumber = ([one]: MessageOption, [other]: MessageOption): number => one - other

/** Splits the options of a request. @throws IopaError 400 for a Proxy-Uri that cannot be split. */
export const splitRequest = (options: readonly MessageOption[]): SplitOptions => {
  const inner: MessageOption[] = []
  const outer: MessageOption[] = []
  let observe = false
  for (const option of options) {
    const [number, value] = option
    if (number === OPTION.OBSERVE) {
      observe = true
      inner.push(option)
      outer.push(option)
    } else if (number === OPTION.NO_RESPONSE) {
      // So that a proxy waits for nothing, and sends no error of its own (RFC 8613 section 4.1.3.6). The server reads the inner one.
      inner.push(option)
      outer.push(option)
    } else if (number === OPTION.PROXY_URI) {
      const { origin, path } = splitProxyUri(value)
      outer.push([number, origin])
      inner.push(...path)
    } else if (OUTER.has(number)) outer.push(option)
    else inner.push(option)
  }
  return { inner: inner.sort(byNumber), outer, observe }
}

/** Splits the options of a response. The inner Observe of a notification is empty, its order is that of the Partial IVs (RFC 8613 section 4.1.3.5.2). */
export const splitResponse = (options: readonly MessageOption[]): SplitOptions => {
  const observation = options.filter(([number]) => number === OPTION.OBSERVE)
  return {
    inner: options.map(option => (option[0] === OPTION.OBSERVE ? [OPTION.OBSERVE, NOTHING] : option)),
    outer: observation,
    observe: observation.length > 0
  }
}

/** The options that an opened request has: the inner ones, and the outer ones that are not protected by definition. Other outer ones are discarded (RFC 8613 section 8.2). */
export const mergeRequest = (inner: readonly MessageOption[], outer: readonly MessageOption[]): readonly MessageOption[] => {
  const added = outer.filter(([number]) => OUTER.has(number) && !inner.some(([other]) => other === number))
  return added.length === 0 ? inner : [...inner, ...added].sort(byNumber)
}

/** `options` with the OSCORE option, which they do not have. */
export const withOscore = (options: readonly MessageOption[], value: Uint8Array): readonly MessageOption[] => {
  const place = options.findIndex(([number]) => number > OPTION.OSCORE)
  const option: MessageOption = [OPTION.OSCORE, value]
  return place < 0 ? [...options, option] : [...options.slice(0, place), option, ...options.slice(place)]
}

/** The value of the one option with this number: undefined if there is none, null if there are several. */
export const singleOption = (options: readonly MessageOption[], number: number): Uint8Array | undefined | null => {
  let found: Uint8Array | undefined
  for (const [other, value] of options) {
    if (other !== number) continue
    if (found !== undefined) return null
    found = value
  }
  return found
}

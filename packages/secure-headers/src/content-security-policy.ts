import { optionError } from '@iopa/appbuilder/extension'

/** Stands in a directive for the nonce of each answer: `scriptSrc: ["'self'", NONCE]`. */
export const NONCE: unique symbol = Symbol('nonce')

/** Directives by name, in camel case, with their sources; false leaves a default out, `[]` is a directive without a value. */
export type PolicyDirectives = Readonly<Record<string, readonly (string | typeof NONCE)[] | false>>

/** Sent unless another value is given; `upgradeInsecureRequests` over TLS only. */
export const DEFAULT_DIRECTIVES: PolicyDirectives = {
  defaultSrc: ["'self'"],
  baseUri: ["'self'"],
  fontSrc: ["'self'", 'https:', 'data:'],
  formAction: ["'self'"],
  frameAncestors: ["'self'"],
  imgSrc: ["'self'", 'data:'],
  objectSrc: ["'none'"],
  scriptSrc: ["'self'"],
  scriptSrcAttr: ["'none'"],
  styleSrc: ["'self'", 'https:', "'unsafe-inline'"],
  upgradeInsecureRequests: []
}

/** CSP level 3 section 6, and its extensions that browsers know; in camel case. */
const NAMES = new Set(
  (
    'baseUri childSrc connectSrc defaultSrc fencedFrameSrc fontSrc formAction frameAncestors frameSrc imgSrc manifestSrc mediaSrc objectSrc prefetchSrc reportTo ' +
    'reportUri requireTrustedTypesFor sandbox scriptSrc scriptSrcAttr scriptSrcElem styleSrc styleSrcAttr styleSrcElem trustedTypes ' +
    'upgradeInsecureRequests webrtc workerSrc'
  ).split(' ')
)
// A value ends at a semicolon or comma (CSP level 3 section 2.3), and sources are separated by spaces.
const SOURCE = /^[\x21-\x2b\x2d-\x3a\x3c-\x7e]+$/
const KEYWORDS = new Set(['self', 'none', 'unsafe-inline', 'unsafe-eval', 'strict-dynamic', 'unsafe-hashes', 'report-sample', 'wasm-unsafe-eval'])

/** A policy as text, in parts between which the nonce stands. */
export class ContentSecurityPolicy {
  readonly hasNonce: boolean
  readonly #parts: readonly string[]

  /** @throws IopaError 500 for a name or source that browsers would read otherwise. */
  constructor(directives: PolicyDirectives, secure: boolean) {
    const lines: string[] = []
    for (const [name, sources] of Object.entries({ ...DEFAULT_DIRECTIVES, ...directives })) {
      if (sources === false || (name === 'upgradeInsecureRequests' && !secure)) continue
      lines.push([dashed(name), ...sourcesOf(name, sources)].join(' '))
    }
    this.#parts = lines.join('; ').split('\0')
    this.hasNonce = this.#parts.length > 1
  }

  /** The value of the header field. */
  text(nonce: string): string {
    return this.#parts.join(nonce)
  }
}

const sourcesOf = (name: string, sources: readonly (string | typeof NONCE)[]): string[] => {
  if (!Array.isArray(sources)) throw optionError(`The directive '${name}' of secureHeaders() is a list of sources, or false.`)
  return sources.map(source => {
    if (source === NONCE) return "'nonce-\0'"
    if (typeof source !== 'string' || !SOURCE.test(source))
      throw optionError(
        `The directive '${name}' of secureHeaders() has ${JSON.stringify(source)}: write one source an item, without spaces, ',' and ';'.`
      )
    if (KEYWORDS.has(source)) throw optionError(`The directive '${name}' of secureHeaders() has ${source}: write "'${source}'", with quotes in it.`)
    return source
  })
}

const dashed = (name: string): string => {
  if (!NAMES.has(name)) throw optionError(`'${name}' is no directive: write names in camel case, such as scriptSrc.`)
  return name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
}

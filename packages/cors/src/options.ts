import { checkOptions, optionError } from '@iopa/appbuilder/extension'
import type { OriginCheck } from './origins.ts'

/** Options of `cors()`; names are those of `hono/cors`. */
export interface CorsOptions {
  /**
   * The origins whose pages may read answers: `'*'` (the default, not with credentials), one or more origins such as `'https://app.example.com'`,
   * all below a domain as `'https://*.example.com'`, or a function that decides.
   */
  readonly origin?: string | readonly string[] | OriginCheck
  /** Methods that a preflight allows; the methods of the routes of the path unless given. */
  readonly methods?: readonly string[]
  /** Request fields that a preflight allows; those that it asks for unless given. */
  readonly allowHeaders?: readonly string[]
  /** Fields of answers that pages may read beside the few that the Fetch standard names. */
  readonly exposeHeaders?: readonly string[]
  /** True lets pages send cookies and other credentials; false unless given. */
  readonly credentials?: boolean
  /** Seconds for which browsers keep a preflight, 0 to 86,400; 5 in most browsers unless given. */
  readonly maxAge?: number
  /** True lets public pages call a server of a private network; false unless given. */
  readonly privateNetwork?: boolean
}

const OPTIONS: Record<keyof CorsOptions, true> = {
  origin: true,
  methods: true,
  allowHeaders: true,
  exposeHeaders: true,
  credentials: true,
  maxAge: true,
  privateNetwork: true
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const MOST_SECONDS = 86_400

/** @throws IopaError 500 that names the option. */
export const checkCorsOptions = (options: CorsOptions, caller: unknown): void => {
  checkOptions('cors()', options, OPTIONS, caller)
  const { credentials, privateNetwork, maxAge } = options
  for (const [name, value] of Object.entries({ credentials, privateNetwork }))
    if (value !== undefined && typeof value !== 'boolean') throw optionError(`'${name}' of cors() is true or false.`)
  if (maxAge !== undefined && !(Number.isInteger(maxAge) && maxAge >= 0 && maxAge <= MOST_SECONDS))
    throw optionError(`'maxAge' of cors() is a whole number of seconds from 0 to ${MOST_SECONDS}.`)
  for (const name of ['methods', 'allowHeaders', 'exposeHeaders'] as const) checkNames(name, options[name], credentials === true)
}

const checkNames = (option: string, names: readonly string[] | undefined, credentials: boolean): void => {
  if (names === undefined) return
  if (!Array.isArray(names)) throw optionError(`'${option}' of cors() is a list of names.`)
  for (const name of names) {
    if (typeof name !== 'string' || !TOKEN.test(name)) throw optionError(`'${option}' of cors() has ${JSON.stringify(name)}, which is no name.`)
    // Fetch, "CORS protocol and credentials": there it is the name '*' and allows nothing.
    if (name === '*' && credentials) throw optionError(`'${option}' of cors() cannot be '*' with credentials: browsers take it literally. Name them.`)
  }
}

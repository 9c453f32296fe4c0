import { isControlMethod, METHODS as KNOWN_METHODS, optionError } from '@iopa/transport'
import { codeOfMethod, METHODS } from './codes.ts'
import { optionDefinition } from './option-registry.ts'
import { LONGEST_TOKEN, USUAL_TOKEN } from './token-length.ts'

/** What an app takes beyond the messages that this package knows. */
export interface ExtensionOptions {
  /** Request codes beyond those of CoAP, each with the method that routes name it by: `{ '0.30': 'STATUS' }`. */
  readonly codes?: Readonly<Record<string, string>>
  /** Numbers of critical options that the app reads itself; messages with any other unknown critical option are refused. */
  readonly criticalOptions?: readonly number[]
  /** Bytes of the longest token of a request that the server takes (RFC 8974), from 8 to 65,804; 64 unless given. */
  readonly tokenLength?: number
}

/** The same with their values, for both roles. */
export interface Extensions {
  readonly codes: MethodCodes
  readonly critical: ReadonlySet<number>
  readonly tokenLength: number
}

const CODE = /^0\.(\d\d)$/
const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** They change how a message is read, so that no app can: OSCORE (RFC 8613) and Q-Block (RFC 9177). */
const NOT_OF_AN_APP: ReadonlySet<number> = new Set([9, 19, 31])

/** The request code that is written in dotted form; undefined for any other text. */
const requestCode = (text: string): number | undefined => {
  const digits = CODE.exec(text)?.[1]
  return digits === undefined || Number(digits) < 1 || Number(digits) > 31 ? undefined : Number(digits)
}

/** The methods of request codes: those of CoAP, and those that an app has named. */
export class MethodCodes {
  readonly #methods: (string | undefined)[] = [...METHODS]

  /** @throws IopaError 500 for a code that is none or has a method, and for a method that has a code or is no name. */
  constructor(named: Readonly<Record<string, string>> = {}) {
    for (const [text, method] of Object.entries(named)) {
      const code = requestCode(text)
      if (code === undefined) throw optionError(`'${text}' of codes is no request code: write one from 0.08 to 0.31.`)
      if (METHODS[code] !== undefined) throw optionError(`The code ${text} is ${METHODS[code]}: name another one in codes.`)
      if (typeof method !== 'string' || !METHOD.test(method)) throw optionError(`codes needs a method for ${text}, such as 'STATUS'.`)
      if (this.#codeOf(method) !== undefined || isControlMethod(method) || RESERVED.has(method.toUpperCase()))
        throw optionError(`'${method}' is a method already: give the code ${text} another one.`)
      this.#methods[code] = method
    }
  }

  /** Undefined for a code that has none. */
  methodOf(code: number): string | undefined {
    return this.#methods[code]
  }

  /** The code of a method. One that nothing names is written as code: `0.30`. */
  codeOf(method: string): number | undefined {
    const known = this.#codeOf(method)
    if (known !== undefined) return known
    const code = requestCode(method)
    return code === undefined || METHODS[code] !== undefined ? undefined : code
  }

  #codeOf(method: string): number | undefined {
    const known = codeOfMethod(method)
    if (known !== undefined) return known
    const code = this.#methods.indexOf(method, METHODS.length)
    return code < 0 ? undefined : code
  }
}

const RESERVED: ReadonlySet<string> = new Set(Object.values<string>(KNOWN_METHODS).map(method => method.toUpperCase()))

/** Reads the options. @throws IopaError 500 for what cannot be. */
export const extensionsOf = ({ codes, criticalOptions = [], tokenLength = 64 }: ExtensionOptions): Extensions => {
  if (!Number.isSafeInteger(tokenLength) || tokenLength < USUAL_TOKEN || tokenLength > LONGEST_TOKEN)
    throw optionError(`tokenLength is a number of bytes from ${USUAL_TOKEN} to ${LONGEST_TOKEN}, not ${String(tokenLength)}.`)
  for (const number of criticalOptions) {
    if (!Number.isInteger(number) || number < 1 || number > 65_535 || (number & 1) === 0)
      throw optionError(`criticalOptions has odd numbers from 1 to 65535, for others need not be named; ${String(number)} is none.`)
    if (optionDefinition(number) !== undefined || NOT_OF_AN_APP.has(number))
      throw optionError(`Option ${number} is not for an app to read: leave it out of criticalOptions.`)
  }
  return { codes: new MethodCodes(codes), critical: new Set(criticalOptions), tokenLength }
}

/** Those of an app that names none. */
export const NO_EXTENSIONS: Extensions = extensionsOf({})

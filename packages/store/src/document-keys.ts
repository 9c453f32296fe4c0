import { IopaError } from '@iopa/appbuilder'
import {
  expandPattern,
  type Pattern,
  type PatternValues,
  paramNames,
  parsePattern,
  type ResourceContract,
  type Schema,
  validate
} from '@iopa/appbuilder/extension'
import type { MaybePromise } from './turns.ts'

/** Between the parameters of a key: no path holds it. */
const BETWEEN = '\0'

/** Parameters by name, as they are parsed. */
export type Params = Readonly<Record<string, unknown>>

/** The identifiers of the documents of a contract: as programs write them, as keys, and as paths. */
export class DocumentKeys {
  readonly #pattern: Pattern
  readonly #params: Schema | undefined
  /** Of its parameters, in the order of the pattern. */
  readonly names: readonly string[]

  constructor({ pattern, params }: ResourceContract) {
    this.#pattern = parsePattern(pattern)
    this.#params = params
    this.names = namesOf(this.#pattern)
  }

  /** The key of parameters. */
  of(params: Params): string {
    const { names } = this
    if (names.length === 1) return String(params[names[0] as string])
    return names.map(name => String(params[name] ?? '')).join(BETWEEN)
  }

  /** The key of an identifier of the program. @throws IopaError 400 for one that is no path, 422 for parameters that are not valid. */
  ofProgram(id: unknown): MaybePromise<string> {
    const { names } = this
    if (id === '' && names.length === 0) return ''
    if (typeof id === 'string' && names.length !== 1)
      throw new IopaError(
        400,
        'bad-param',
        `A document of ${this.#pattern.text} has ${names.length === 0 ? 'no parameter' : `the parameters ${names.join(', ')}`}: give an object of them.`
      )
    const params = typeof id === 'string' ? { [names[0] as string]: id } : (id as Params)
    const checked = this.#params === undefined ? params : validate(this.#params, params, 'params')
    return checked instanceof Promise ? checked.then(parsed => this.#checked(parsed as Params)) : this.#checked(checked as Params)
  }

  /** The identifier of a key: the text of the one parameter, or an object of them all; empty text where there are none. */
  idOf(key: string): unknown {
    return this.names.length < 2 ? key : this.paramsOf(key)
  }

  /** The parameters of a key, as text. */
  paramsOf(key: string): Readonly<Record<string, string>> {
    const { names } = this
    if (names.length === 1) return { [names[0] as string]: key }
    const parts = key.split(BETWEEN)
    return Object.fromEntries(names.flatMap((name, at) => (parts[at] === undefined || parts[at] === '' ? [] : [[name, parts[at]]])))
  }

  /** The path of a key. @throws IopaError 400 where it has none. */
  pathOf(key: string): string {
    return expandPattern(this.#pattern, this.paramsOf(key))
  }

  #checked(params: Params): string {
    const key = this.of(params)
    this.pathOf(key)
    return key
  }
}

/** The path of a pattern whose parameters are among those of a document. */
export const pathWithin = (pattern: Pattern, params: PatternValues): string => expandPattern(pattern, params)

/** The names of the parameters of a pattern, in order. */
export const namesOf = ({ segments }: Pattern): string[] => segments.flatMap(paramNames)

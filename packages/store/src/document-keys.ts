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
  readonly #path: (params: PatternValues) => string
  /** What stands before and behind the one parameter; null where the pattern says more than that. */
  readonly #around: readonly [before: string, behind: string] | null
  /** Of its parameters, in the order of the pattern. */
  readonly names: readonly string[]
  readonly pattern: string

  constructor({ pattern, params }: ResourceContract) {
    this.pattern = pattern
    this.#pattern = parsePattern(pattern)
    this.#params = params
    this.names = namesOf(this.#pattern)
    this.#path = pathMaker(this.#pattern)
    this.#around = aroundOf(this.#pattern)
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
    return this.ofParams(typeof id === 'string' ? { [names[0] as string]: id } : (id as Params))
  }

  /** The key of parameters of the program. @throws as `ofProgram`. */
  ofParams(params: Params): MaybePromise<string> {
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

  /** What the keys begin with whose first parameters are these. */
  leading(params: Params, count: number): string {
    return this.names
      .slice(0, count)
      .map(name => String(params[name]) + BETWEEN)
      .join('')
  }

  /** The path of the key of a document. */
  pathOf(key: string): string {
    const around = this.#around
    return around !== null ? around[0] + key + around[1] : this.#path(this.paramsOf(key))
  }

  /** @throws IopaError 400 for parameters that no path has. */
  #checked(params: Params): string {
    const key = this.of(params)
    expandPattern(this.#pattern, this.paramsOf(key))
    return key
  }
}

const isPlain = ({ segments }: Pattern): boolean =>
  segments.every(segment => segment.kind === 'static' || (segment.kind === 'param' && segment.optional !== true))

/** The text around the one parameter of a plain pattern. */
const aroundOf = (pattern: Pattern): readonly [string, string] | null => {
  if (!isPlain(pattern) || namesOf(pattern).length !== 1) return null
  const at = pattern.segments.findIndex(({ kind }) => kind === 'param')
  const textOf = (segments: Pattern['segments']): string => segments.map(segment => `/${(segment as { value: string }).value}`).join('')
  return [`${textOf(pattern.segments.slice(0, at))}/`, textOf(pattern.segments.slice(at + 1))]
}

/** Makes the paths of a pattern from parameters that are known to fit. */
export const pathMaker = (pattern: Pattern): ((params: PatternValues) => string) => {
  const { segments } = pattern
  if (!isPlain(pattern)) return params => expandPattern(pattern, params)
  const parts = segments.map(segment => (segment.kind === 'static' ? { text: `/${segment.value}` } : { name: (segment as { name: string }).name }))
  return params => {
    let path = ''
    for (const part of parts) path += part.text ?? `/${params[part.name]}`
    return path
  }
}

/** The names of the parameters of a pattern, in order. */
export const namesOf = ({ segments }: Pattern): string[] => segments.flatMap(paramNames)

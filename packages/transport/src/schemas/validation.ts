import { IopaError, withOrigin } from '@iopa/constants'
import type { OutputOf, Schema, SchemaIssue, SchemaResult } from '../contract/schemas.ts'

/** One fault of a request, as the problem tells it. */
export interface InputFault {
  /** A JSON pointer (RFC 6901) to the member; the empty text is the whole. */
  readonly pointer: string
  readonly detail: string
  /** Where the value stands, unless in the body. */
  readonly in?: 'params' | 'query' | 'headers'
}

/** Faults that a problem tells: a peer may send a body with any number of them. */
const MOST_FAULTS = 64
const LONGEST_DETAIL = 512
const LONGEST_POINTER = 512

/**
 * What a schema gives for a value, at once unless the schema is asynchronous. `name` says whose schema it is, for the log.
 * @throws IopaError 422 `invalid-input` with `errors`, each a pointer and a detail; 500 `schema-failed` where the schema itself throws.
 */
export const validate = <S extends Schema>(schema: S, value: unknown, place?: InputFault['in'], name = 'A'): OutputOf<S> | Promise<OutputOf<S>> => {
  let result: SchemaResult<unknown> | Promise<SchemaResult<unknown>>
  try {
    result = schema['~standard'].validate(value)
  } catch (error) {
    throw schemaFailed(name, error)
  }
  if (!isPromise(result)) return outputOf(result, place) as OutputOf<S>
  return result.then(
    settled => outputOf(settled, place) as OutputOf<S>,
    error => {
      throw schemaFailed(name, error)
    }
  )
}

/** A promise of any realm, or another thenable of a schema's library. */
const isPromise = <T>(value: T | Promise<T>): value is Promise<T> => typeof (value as Partial<Promise<T>> | null)?.then === 'function'

/** The faults of a value; none where it is valid. @throws IopaError 500 `schema-failed` where the schema itself throws. */
export const faultsOf = (issues: readonly SchemaIssue[], place?: InputFault['in']): readonly InputFault[] =>
  issues.slice(0, MOST_FAULTS).map(issue => ({
    pointer: pointerOf(issue.path),
    detail: cut(String(issue.message), LONGEST_DETAIL),
    ...(place === undefined ? undefined : { in: place })
  }))

/** The error of input with these faults. */
export const invalidInput = (faults: readonly InputFault[]): IopaError => {
  const [first] = faults
  const where = first === undefined ? '' : `${first.in === undefined ? '' : `${first.in} `}${first.pointer}`
  return new IopaError(422, 'invalid-input', first === undefined ? 'The input is not valid.' : `${where === '' ? '' : `${where}: `}${first.detail}`, {
    extensions: { errors: faults }
  })
}

const outputOf = (result: SchemaResult<unknown>, place: InputFault['in']): unknown => {
  if (result.issues !== undefined) throw invalidInput(faultsOf(result.issues, place))
  return result.value
}

const pointerOf = (path: SchemaIssue['path']): string => {
  let pointer = ''
  for (const step of path ?? []) {
    const key = typeof step === 'object' ? step.key : step
    pointer += `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (pointer.length > LONGEST_POINTER) return cut(pointer, LONGEST_POINTER)
  }
  return pointer
}

const cut = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text)

const schemaFailed = (name: string, cause: unknown): IopaError =>
  withOrigin(new IopaError(500, 'schema-failed', `${name} schema threw instead of returning issues.`, { cause }), 'internal')

import type { Context } from '@iopa/appbuilder'
import { type InputFault, type Schema, validate } from '@iopa/appbuilder/extension'
import { isIopaError } from '@iopa/constants'
import { jsonInMemory } from '@iopa/context/host'
import type { ServedRequest } from './served-request.ts'

/** One part of a request, and the schema for it. */
export interface RequestPart {
  /** Takes the value of the part, validated, into the request; a promise where it has to wait. */
  readonly take: (request: ServedRequest) => Promise<void> | undefined
}

/** Where a part comes from and goes to. */
interface PartPlan {
  readonly place: InputFault['in']
  readonly read: (context: Context) => unknown
  readonly write: (request: ServedRequest, value: unknown) => void
}

const PARAMS: PartPlan = {
  place: 'params',
  // Schemas may look at the prototype, which the params of a route do not have.
  read: context => plainCopy(context['iopa.Params']),
  write: (request, value) => {
    request.params = value
  }
}
const QUERY: PartPlan = {
  place: 'query',
  read: context => recordOf(context.query),
  write: (request, value) => {
    request.query = value
  }
}
const HEADERS: PartPlan = {
  place: 'headers',
  read: context => recordOf(context.headers),
  write: (request, value) => {
    request.headers = value
  }
}

/** What a replica's fault leads to: it is logged, and the value stays as it came. */
export type ReplicaFault = (request: ServedRequest, error: unknown) => void

/** The parts of a request in the order in which they are validated, without its body. `name` says whose schemas they are. */
export const partsOf = (
  { params, query, headers }: { readonly params?: Schema | undefined; readonly query?: Schema | undefined; readonly headers?: Schema | undefined },
  name: string,
  tolerate: ReplicaFault
): RequestPart[] => [
  ...(params === undefined ? [] : [partOf(PARAMS, params, name, tolerate)]),
  ...(query === undefined ? [] : [partOf(QUERY, query, name, tolerate)]),
  ...(headers === undefined ? [] : [partOf(HEADERS, headers, name, tolerate)])
]

const partOf = ({ place, read, write }: PartPlan, schema: Schema, name: string, tolerate: ReplicaFault): RequestPart => {
  const whose = `${name}: the ${place}`
  const failed = (request: ServedRequest, error: unknown): void => {
    // The query and the headers of a change are its own: the GET that judges its precondition may ask for others.
    if (request.context['server.IsPrecondition'] && place !== 'params') return
    if (!request.context['server.IsReplica']) throw error
    tolerate(request, error)
  }
  return {
    take(request) {
      try {
        const value = validate(schema, read(request.context), place, whose)
        if (!(value instanceof Promise)) write(request, value)
        else
          return value.then(
            settled => write(request, settled),
            error => failed(request, error)
          )
      } catch (error) {
        failed(request, error)
      }
      return undefined
    }
  }
}

/** Makes of a body what its schema takes. */
export type Prepare = (request: ServedRequest, body: unknown) => unknown

/** The part that is the body, after `prepare`. An empty body is undefined, which most schemas refuse. */
export const bodyPart = (schema: Schema | undefined, name: string, prepare: Prepare | undefined, tolerate: ReplicaFault): RequestPart => {
  const whose = `${name}: the input`
  const keep = (request: ServedRequest, value: unknown): void => {
    request.input = value
    request.context['iopa.Input'] = value
  }
  const failed = (request: ServedRequest, value: unknown, error: unknown): void => {
    if (!request.context['server.IsReplica']) throw error
    tolerate(request, error)
    keep(request, value)
  }
  const take = (request: ServedRequest, body: unknown): Promise<void> | void => {
    const value = prepare === undefined ? body : prepare(request, body)
    if (schema === undefined) return keep(request, value)
    try {
      const valid = validate(schema, value, undefined, whose)
      if (!(valid instanceof Promise)) return keep(request, valid)
      return valid.then(
        settled => keep(request, settled),
        error => failed(request, value, error)
      )
    } catch (error) {
      return failed(request, value, error)
    }
  }
  const wait = (request: ServedRequest): Promise<void> =>
    request.context.json().then(
      body => take(request, body),
      async error => {
        // A request without a body and its type has no value; no bytes under a type are malformed.
        if (!isIopaError(error) || error.code !== 'malformed-json' || request.context['iopa.ContentType'] !== '') throw error
        if ((await request.context.bytes()).length > 0) throw error
        return take(request, undefined)
      }
    )
  return {
    take(request) {
      const body = jsonInMemory(request.context)
      return body === undefined ? wait(request) : (take(request, body) ?? undefined)
    }
  }
}

/** Takes the parts from `at` on, one after another: at once where none has to wait. */
export const takeParts = (parts: readonly RequestPart[], request: ServedRequest, at = 0): ServedRequest | Promise<ServedRequest> => {
  for (let n = at; n < parts.length; n++) {
    const waiting = (parts[n] as RequestPart).take(request)
    if (waiting !== undefined) return waiting.then(() => takeParts(parts, request, n + 1))
  }
  return request
}

/** An object of the values by name: arrays where a name stands more than once. */
const recordOf = (fields: Iterable<readonly [string, string]>): Record<string, string | string[]> => {
  const record: Record<string, string | string[]> = {}
  for (const [name, value] of fields) {
    if (!Object.hasOwn(record, name)) define(record, name, value)
    else {
      const known = record[name] as string | string[]
      if (typeof known === 'string') define(record, name, [known, value])
      else known.push(value)
    }
  }
  return record
}

const plainCopy = (params: Readonly<Record<string, string>>): Record<string, string> => {
  const copy: Record<string, string> = {}
  for (const name in params) define(copy, name, params[name] as string)
  return copy
}

/** `__proto__` is a name like any other. */
const define = (record: Record<string, string | string[]>, name: string, value: string | string[]): void => {
  if (name === '__proto__') Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true })
  else record[name] = value
}

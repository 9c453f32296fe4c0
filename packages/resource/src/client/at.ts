import {
  type Bag,
  type Client,
  expandPattern,
  faultsOf,
  IopaError,
  type PatternValues,
  parsePattern,
  type ReceivedAnswer,
  type ResourceContract,
  type ResourceTypes,
  type Schema
} from '@iopa/transport'
import { listed } from '../faults.ts'
import type { CallOptions, ResourceClient, Tagged } from './client-types.ts'
import { limitedSignal } from './limited-signal.ts'
import { problemOf } from './problems.ts'

/** What a typed client sends with: a client of any protocol, or an app of this process. */
export type Target = Pick<Client, 'send' | 'observe' | 'pathBase'> | InProcess

/** An app, as `new App()` makes it. */
export interface InProcess {
  invoke(request: Bag): Promise<ReceivedAnswer>
  observe(
    path: string,
    options?: { readonly signal?: AbortSignal; readonly headers?: Readonly<Record<string, string>> }
  ): AsyncIterable<ReceivedAnswer>
}

/** Options of `at`. */
export interface AtOptions {
  /** Media type of bodies that are sent and wanted, such as `application/cbor` where both sides have its codec; JSON unless given. */
  readonly type?: string
}

/** The parameters of a path, and options; nothing is needed for a path without parameters. */
type AtArguments<Params> = object extends Params ? [params?: Params, options?: AtOptions] : [params: Params, options?: AtOptions]

/** Options of a call, whatever its method is. */
interface AnyOptions extends CallOptions {
  readonly query?: unknown
  readonly headers?: unknown
  readonly ifMatch?: string
  readonly ifNoneMatch?: string
}

/**
 * The typed client of one resource: `at(client, light, { id: 'hall' })`. The contract's path is below the path of the client's URL.
 * @throws IopaError 400 `bad-param` for parameters that the path cannot have.
 */
export const at = <Types extends ResourceTypes>(
  target: Target,
  contract: ResourceContract<Types>,
  ...[params, { type } = {}]: AtArguments<Types['paramsInput']>
): ResourceClient<Types> => {
  const path = expandPattern(parsePattern(contract.pattern), (params ?? {}) as PatternValues)
  const resource = new ResourceAt(target, contract, path, type)
  const calls: Record<string, unknown> = { path }
  for (const method of Object.keys(contract.methods)) {
    const name = method.toLowerCase()
    calls[name] =
      name === 'get' || name === 'delete'
        ? (options?: AnyOptions) => resource.call(method, undefined, options)
        : (body?: unknown, options?: AnyOptions) => resource.call(method, body, options)
  }
  if ('GET' in contract.methods) {
    calls.read = (options?: AnyOptions) => resource.read(options)
    calls.observe = (options?: AnyOptions) => resource.observe(options)
  }
  return calls as ResourceClient<Types>
}

class ResourceAt {
  readonly #target: Target
  readonly #contract: ResourceContract
  readonly #path: string
  readonly #type: string | undefined

  constructor(target: Target, contract: ResourceContract, path: string, type: string | undefined) {
    this.#target = target
    this.#contract = contract
    this.#path = path
    this.#type = type
  }

  async call(method: string, body: unknown, options: AnyOptions = {}): Promise<unknown> {
    return (await this.#send(method, body, options)).state
  }

  /** The tag is asked for by a condition that no tag meets: the server makes one where its handler gives none. */
  async read(options: AnyOptions = {}): Promise<Tagged<unknown>> {
    return this.#send('GET', undefined, { ...options, ifNoneMatch: '"?"' })
  }

  async *observe(options: AnyOptions = {}): AsyncGenerator<unknown, void> {
    const { signal, settled, done } = limitedSignal(options)
    try {
      for await (const answer of this.#observed(options, signal)) {
        settled()
        yield await this.#valueOf('GET', answer)
      }
    } finally {
      done()
    }
  }

  async #send(method: string, body: unknown, options: AnyOptions): Promise<Tagged<unknown>> {
    const { signal, done } = limitedSignal(options)
    try {
      const target = this.#target
      const bag = { ...this.#bag(method, options, signal), ...this.#bodyOf(method, body) }
      const answer = await ('invoke' in target ? target.invoke(bag) : target.send(bag))
      return { state: await this.#valueOf(method, answer), etag: answer.headers.get('etag') }
    } finally {
      done()
    }
  }

  #observed(options: AnyOptions, signal: AbortSignal | undefined): AsyncIterable<ReceivedAnswer> {
    const target = this.#target
    if (!('invoke' in target)) return target.observe(this.#bag('GET', options, signal))
    const query = queryOf(options.query)
    return target.observe(query === '' ? this.#path : `${this.#path}?${query}`, {
      headers: this.#headers(options),
      ...(signal === undefined ? {} : { signal })
    })
  }

  #bag(method: string, options: AnyOptions, signal: AbortSignal | undefined): Bag {
    const base = 'invoke' in this.#target ? '' : this.#target.pathBase
    return {
      'iopa.Method': method,
      'iopa.Path': base + this.#path,
      'iopa.QueryString': queryOf(options.query),
      'iopa.Headers': this.#headers(options),
      ...(signal === undefined ? undefined : { 'iopa.CallCancelled': signal })
    }
  }

  #headers({ headers, ifMatch, ifNoneMatch }: AnyOptions): Record<string, string> {
    const all: Record<string, string> = this.#type === undefined ? {} : { accept: this.#type }
    for (const [name, value] of Object.entries(headers ?? {})) if (value !== undefined) all[name] = String(value)
    if (ifMatch !== undefined) all['if-match'] = ifMatch
    if (ifNoneMatch !== undefined) all['if-none-match'] = ifNoneMatch
    return all
  }

  #bodyOf(method: string, body: unknown): Bag {
    if (body === undefined) return {}
    const patch =
      method === 'PATCH' || method === 'iPATCH' ? (Array.isArray(body) ? 'application/json-patch+json' : 'application/merge-patch+json') : undefined
    if (patch === undefined && this.#type !== undefined && body !== null) return { 'iopa.Body': body, 'iopa.ContentType': this.#type }
    return { 'iopa.Body': JSON.stringify(body), 'iopa.ContentType': patch ?? 'application/json' }
  }

  /** The value of an answer; undefined where it has none. @throws IopaError of the answer, 502 `bad-answer` where the contract refuses the value. */
  async #valueOf(method: string, answer: ReceivedAnswer): Promise<unknown> {
    const name = `${method} ${this.#path}`
    if (!answer.ok) throw await problemOf(answer, name)
    const schema = this.#contract.methods[method]?.answer
    if (answer.status === 204 || (method !== 'GET' && (await answer.bytes()).length === 0)) return undefined
    let value: unknown
    try {
      // A handler that returns a text sends it as it is.
      value = await (answer.type.startsWith('text/') ? answer.text() : answer.json())
    } catch (cause) {
      throw new IopaError(502, 'bad-answer', `${name} was answered with a body that cannot be read as a value.`, { cause })
    }
    return schema === undefined ? value : checked(schema, value, name)
  }
}

const checked = async (schema: Schema, value: unknown, name: string): Promise<unknown> => {
  const result = await schema['~standard'].validate(value)
  if (result.issues === undefined) return result.value
  const errors = faultsOf(result.issues)
  throw new IopaError(502, 'bad-answer', `${name} was answered with a value that its contract refuses: ${listed(errors)}.`, {
    extensions: { errors }
  })
}

const queryOf = (query: unknown): string => {
  if (query === undefined || query === null) return ''
  if (query instanceof URLSearchParams) return query.toString()
  const fields = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) fields.append(name, String(one))
  }
  return fields.toString()
}

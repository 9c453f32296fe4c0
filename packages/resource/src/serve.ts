import {
  type AppHandle,
  callSite,
  checkOptions,
  kindOf,
  type MethodContract,
  type ResourceContract,
  type RouteAttributes,
  type ServeOptions
} from '@iopa/appbuilder/extension'
import { IopaError, METHODS, withOrigin } from '@iopa/constants'
import { patchedState } from './patch/patched-state.ts'
import { type Serving, servedMethod } from './served-method.ts'
import type { ServedRequest } from './served-request.ts'

const OPTIONS: Record<keyof ServeOptions, true> = { middleware: true, instances: true, preconditions: true }

type Given = (request: ServedRequest) => unknown

/** Adds a route for each method of a contract. `caller` is the function that was called, for the line of its call. */
export const serveHandlers = (
  app: AppHandle,
  serving: Serving,
  contract: ResourceContract,
  handlers: object,
  options: ServeOptions,
  caller: unknown
): void => {
  const place = callSite(caller)
  const refuse = (detail: string): IopaError => {
    const where = place()
    return withOrigin(new IopaError(500, 'bad-resource', where === '' ? detail : `${detail} (${where})`), 'internal')
  }
  checkOptions('app.serve()', options, OPTIONS, caller)
  checkArguments(refuse, contract, handlers)
  const given = givenHandlers(refuse, contract, handlers)
  for (const [method, declared] of Object.entries(contract.methods)) {
    const handler = given.get(method)
    const [get, put] = [given.get(METHODS.GET), given.get(METHODS.PUT)]
    const served =
      handler !== undefined
        ? servedMethod(contract, method, declared, handler, serving)
        : isPatch(method) && get !== undefined && put !== undefined
          ? servedMethod(contract, method, declared, patchedState(contract, get, put, serving), serving, true)
          : undefined
    if (served === undefined) throw refuse(missing(contract, method))
    app.registry.add(method, contract.pattern, attributesOf(contract, declared, options), [...(options.middleware ?? []), served], place)
  }
}

const isPatch = (method: string): boolean => method === METHODS.PATCH || method === METHODS.IPATCH

const missing = ({ pattern }: ResourceContract, method: string): string => {
  const name = method.toLowerCase()
  const how = isPatch(method) ? `${name}, or get and put, which serve it` : name
  return `The resource ${pattern} declares ${method}, and app.serve() got no handler for it: add ${how}, or remove ${name} from its methods.`
}

const checkArguments = (refuse: (detail: string) => IopaError, contract: unknown, handlers: unknown): void => {
  const { pattern, methods } = (contract ?? {}) as Partial<ResourceContract>
  if (typeof pattern !== 'string' || typeof methods !== 'object')
    throw refuse(`app.serve() takes a resource first, as resource() and collection() make them, not ${kindOf(contract)}.`)
  if (typeof handlers !== 'object' || handlers === null)
    throw refuse(
      `app.serve() takes the handlers of ${pattern} as an object, such as { get: ({ params }) => ... }, or a store, not ${kindOf(handlers)}.`
    )
}

/** The handlers by method; those of a class keep their \`this\`. */
const givenHandlers = (
  refuse: (detail: string) => IopaError,
  { pattern, methods }: ResourceContract,
  handlers: object
): ReadonlyMap<string, Given> => {
  const given = new Map<string, Given>()
  const declared = new Map(Object.keys(methods).map(method => [method.toLowerCase(), method]))
  for (const [name, value] of Object.entries(handlers)) {
    if (typeof value === 'function' && !declared.has(name))
      throw refuse(`The resource ${pattern} declares no ${name.toUpperCase()}: add ${name} to its methods, or remove its handler.`)
  }
  for (const [name, method] of declared) {
    const value: unknown = (handlers as Readonly<Record<string, unknown>>)[name]
    if (value === undefined) continue
    if (typeof value !== 'function') throw refuse(`The handler of ${method} ${pattern} must be a function, not ${kindOf(value)}.`)
    given.set(method, value.bind(handlers))
  }
  // Each iPATCH is a PATCH too.
  const patch = given.get(METHODS.PATCH)
  if (patch !== undefined && declared.has('ipatch') && !given.has(METHODS.IPATCH)) given.set(METHODS.IPATCH, patch)
  return given
}

const attributesOf = (contract: ResourceContract, declared: MethodContract, { instances, preconditions }: ServeOptions): RouteAttributes => {
  const { query, headers, input, answer, errors } = declared
  const members = {
    resource: contract,
    title: declared.title ?? contract.title,
    description: declared.description ?? contract.description,
    rt: contract.rt,
    if: contract.if,
    params: contract.params,
    query,
    headers,
    input,
    answer,
    errors,
    security: declared.security ?? contract.security,
    instances,
    preconditions
  }
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as RouteAttributes
}

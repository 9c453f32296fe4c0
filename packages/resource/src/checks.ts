import { IopaError, isControlMethod, METHODS, type Schema } from '@iopa/transport'
import type { MethodDefinition, ResourceDefinition } from './definition.ts'

/** The error of a declaration. */
const badResource = (pattern: string, why: string): IopaError => new IopaError(500, 'bad-resource', `The resource ${pattern} ${why}.`)

/** The method of a name in a declaration. */
export const methodName = (name: string): string => (name === 'ipatch' ? METHODS.IPATCH : name.toUpperCase())

const NAME = /^[a-z][a-z0-9-]*$/
const CODE = /^[a-z][a-z0-9-]*$/
/** Those with a body that the server reads. */
const PATCHES = ['patch', 'ipatch']
const BODILESS = ['get', 'delete', ...PATCHES]

/** Members of the typed client beside the methods; an object with `then` could not be awaited. */
const OF_THE_CLIENT = ['path', 'read', 'observe', 'then']

const DEFINITION = ['title', 'description', 'rt', 'if', 'params', 'state', 'computed', 'methods', 'security', 'version', 'migrate']
const METHOD = ['title', 'description', 'query', 'headers', 'input', 'answer', 'errors', 'security']

/** @throws IopaError 500 `bad-resource` that says what to write. */
export const checkDefinition = (pattern: string, definition: ResourceDefinition): void => {
  const refuse = (why: string): IopaError => badResource(pattern, why)
  checkNames(refuse, 'a declaration', definition, DEFINITION)
  const { params, state, computed = {}, methods, version = 1, migrate } = definition
  checkSchema(refuse, 'params', params)
  checkSchema(refuse, 'state', state)
  for (const [name, schema] of Object.entries(computed)) checkSchema(refuse, `computed.${name}`, schema)
  if (Object.keys(computed).length > 0 && state === undefined)
    throw refuse('has computed members and no state: give the state that they are added to')
  if (!Number.isInteger(version) || version < 1) throw refuse(`has the version ${String(version)}: count from 1`)
  if (migrate !== undefined && typeof migrate !== 'function') throw refuse('has a migrate that is not a function (old, version) => state')
  if (typeof methods !== 'object' || methods === null) throw refuse('declares no methods: write methods: { get: {}, put: {} }')
  for (const [name, method] of Object.entries(methods)) checkMethod(refuse, name, method, state)
}

type Refuse = (why: string) => IopaError

const checkMethod = (refuse: Refuse, name: string, method: MethodDefinition, state: Schema | undefined): void => {
  if (!NAME.test(name)) throw refuse(`has the method ${JSON.stringify(name)}: write it in lower case, as get, put, patch, delete, post or fetch`)
  if (name === 'head') throw refuse('declares head, which get answers: remove it')
  if (OF_THE_CLIENT.includes(name)) throw refuse(`declares ${name}, which is a member of the typed client: give the method another name`)
  if (isControlMethod(methodName(name))) throw refuse(`declares ${name}, which is a control method of transports: give it another name`)
  if (typeof method !== 'object' || method === null) throw refuse(`needs an object for ${name}: write ${name}: {}`)
  checkNames(refuse, `the method ${name}`, method, METHOD)
  for (const part of ['query', 'headers', 'input', 'answer'] as const) checkSchema(refuse, `${name}.${part}`, method[part])
  if (name === 'put' && method.input !== undefined) throw refuse('gives put an input: PUT takes the state, so remove it')
  if (BODILESS.includes(name) && method.input !== undefined)
    throw refuse(
      PATCHES.includes(name)
        ? `gives ${name} an input: it takes a patch of the state, so remove it`
        : `gives ${name} an input: it has no body, so use query`
    )
  if (PATCHES.includes(name) && state === undefined) throw refuse(`declares ${name} and no state: a patch is one of the state`)
  for (const [code, error] of Object.entries(method.errors ?? {})) {
    if (!CODE.test(code)) throw refuse(`names the error ${JSON.stringify(code)} of ${name}: write codes in kebab case, such as light-busy`)
    if (!Number.isInteger(error?.status) || error.status < 400 || error.status > 599)
      throw refuse(`needs a status from 400 to 599 for the error ${code} of ${name}`)
    checkSchema(refuse, `the extensions of ${code}`, error.extensions)
  }
}

const checkNames = (refuse: Refuse, what: string, given: object, known: readonly string[]): void => {
  const strange = Object.keys(given).find(name => !known.includes(name))
  if (strange !== undefined) throw refuse(`has '${strange}', which ${what} does not take; it takes ${known.join(', ')}`)
}

/** A Standard Schema; arktype's are functions. @throws IopaError 500 that says what to write instead. */
export const checkSchema = (refuse: Refuse, where: string, schema: unknown): void => {
  if (schema === undefined) return
  if ((typeof schema === 'object' || typeof schema === 'function') && schema !== null) {
    const standard = (schema as Partial<Schema>)['~standard']
    if (typeof standard?.validate === 'function') return
    if (
      typeof schema === 'object' &&
      ['type', 'properties', '$schema', '$ref', 'anyOf', 'allOf', 'oneOf', 'enum', 'const'].some(key => Object.hasOwn(schema, key))
    )
      throw refuse(`has JSON Schema for ${where}: wrap it, ${where}: jsonSchema({ ... }), with jsonSchema from @iopa/resource/json-schema`)
  }
  throw refuse(
    `has no schema for ${where}: give a Standard Schema, as zod, valibot and arktype make them, or jsonSchema({ ... }) of @iopa/resource/json-schema`
  )
}

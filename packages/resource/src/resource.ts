import { type MethodContract, parsePattern, type ResourceContract } from '@iopa/transport'
import { checkDefinition, methodName } from './checks.ts'
import type { DefinedTypes, MethodDefinition, ResourceDefinition } from './definition.ts'
import { representationOf } from './representation.ts'

/**
 * Declares a resource: a frozen value without handlers, that server, browser, tests and documents share.
 * @throws IopaError 500 `bad-resource` for what cannot be declared, `invalid-pattern` for a pattern that is not valid.
 */
export const resource = <const Pattern extends string, const Definition extends ResourceDefinition>(
  pattern: Pattern,
  definition: Definition
): ResourceContract<DefinedTypes<Pattern, Definition>> => {
  parsePattern(pattern)
  checkDefinition(pattern, definition)
  const { methods: _, version = 1, ...rest }: ResourceDefinition = definition
  return Object.freeze({ ...rest, pattern, version, methods: methodsOf(definition) })
}

/** By name as requests have it. */
const methodsOf = (definition: ResourceDefinition): Readonly<Record<string, MethodContract>> => {
  const answer = representationOf(definition.state, definition.computed)
  return Object.freeze(
    Object.fromEntries(Object.entries(definition.methods).map(([name, method]) => [methodName(name), contractOf(name, method, definition, answer)]))
  )
}

const REPRESENTED = ['get', 'put', 'patch', 'ipatch']

const contractOf = (
  name: string,
  method: MethodDefinition,
  { state }: ResourceDefinition,
  representation: MethodDefinition['answer']
): MethodContract => {
  const answer = method.answer ?? (REPRESENTED.includes(name) ? representation : undefined)
  return Object.freeze({
    ...method,
    ...(name === 'put' && state !== undefined ? { input: state } : undefined),
    ...(answer === undefined ? undefined : { answer })
  })
}

import { IopaError, METHODS, type MethodContract, parsePattern, type ResourceContract } from '@iopa/transport'
import type { DefinedTypes, MethodDefinition, ResourceDefinition } from './definition.ts'
import { representationOf } from './representation.ts'

/**
 * Declares a resource: a value without handlers, that server, browser, tests and documents share.
 * @throws IopaError 500 where the pattern is not valid or a method is none.
 */
export const resource = <const Pattern extends string, const Definition extends ResourceDefinition>(
  pattern: Pattern,
  definition: Definition
): ResourceContract<DefinedTypes<Pattern, Definition>> => {
  parsePattern(pattern)
  const { methods: _, version = 1, ...rest }: ResourceDefinition = definition
  return Object.freeze({ ...rest, pattern, version, methods: Object.freeze(methodsOf(pattern, definition)) })
}

/** By name as requests have it. */
const methodsOf = (pattern: string, definition: ResourceDefinition): Record<string, MethodContract> =>
  Object.fromEntries(
    Object.entries(definition.methods).map(([name, method]) => {
      if (name !== name.toLowerCase())
        throw new IopaError(500, 'bad-resource', `Write the method "${name}" of the resource ${pattern} in lower case.`)
      return [methodName(name), contractOf(name, method, definition)]
    })
  )

/** The method of a name in a declaration. */
export const methodName = (name: string): string => (name === 'ipatch' ? METHODS.IPATCH : name.toUpperCase())

const REPRESENTED = ['get', 'put', 'patch', 'ipatch']

const contractOf = (name: string, method: MethodDefinition, { state, computed }: ResourceDefinition): MethodContract => {
  const answer = method.answer ?? (REPRESENTED.includes(name) ? representationOf(state, computed) : undefined)
  return { ...method, ...(name === 'put' && state !== undefined ? { input: state } : undefined), ...(answer === undefined ? undefined : { answer }) }
}

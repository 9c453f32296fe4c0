import { IopaError, METHODS, type MethodContract, parsePattern, type ResourceContract } from '@iopa/transport'
import type { DefinedTypes, MethodDefinition, ResourceDefinition } from './definition.ts'

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
const methodsOf = (pattern: string, { methods, state }: ResourceDefinition): Record<string, MethodContract> =>
  Object.fromEntries(
    Object.entries(methods).map(([name, method]) => {
      if (name !== name.toLowerCase())
        throw new IopaError(500, 'bad-resource', `Write the method "${name}" of the resource ${pattern} in lower case.`)
      return [methodName(name), contractOf(name, method, state)]
    })
  )

/** The method of a name in a declaration. */
export const methodName = (name: string): string => (name === 'ipatch' ? METHODS.IPATCH : name.toUpperCase())

const contractOf = (name: string, method: MethodDefinition, state: ResourceDefinition['state']): MethodContract => ({
  ...method,
  ...(name === 'put' && state !== undefined ? { input: state } : undefined),
  ...(['get', 'put', 'patch', 'ipatch'].includes(name) && method.answer === undefined && state !== undefined ? { answer: state } : undefined)
})
